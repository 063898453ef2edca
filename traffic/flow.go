package traffic

import "context"

// A Source yields exchanges in time order.
type Source interface {
	// Next fills x, or returns io.EOF after the last. x's bytes are valid until the following call.
	Next(ctx context.Context, x *Exchange) error
	Close() error
}

// A Sink keeps exchanges.
type Sink interface {
	// Put must not hold on to x's bytes after it returns.
	Put(ctx context.Context, x *Exchange) error
	// Close returns nil when everything put is safe.
	Close() error
}

package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Objects hold what is too large for a message: results, recordings. It is cut into chunks and checked by a
// digest.
type Objects struct {
	store jetstream.ObjectStore
	name  string
}

// Objects opens the store called name (letters, digits, - and _), which is made where there is none.
func (b *Bus) Objects(ctx context.Context, name string) (*Objects, error) {
	store, err := b.js.CreateOrUpdateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: name})
	if err != nil {
		return nil, explain("open objects "+name, err)
	}
	return &Objects{store, name}, nil
}

// Put writes an object, in place of one with its name.
func (o *Objects) Put(ctx context.Context, name string, data []byte) error {
	if _, err := o.store.PutBytes(ctx, name, data); err != nil {
		return explain("put "+name+" in "+o.name, err)
	}
	return nil
}

// Get returns a whole object, or ErrNotFound.
func (o *Objects) Get(ctx context.Context, name string) ([]byte, error) {
	data, err := o.store.GetBytes(ctx, name)
	switch {
	case errors.Is(err, jetstream.ErrObjectNotFound):
		return nil, fmt.Errorf("get %s of %s: %w", name, o.name, ErrNotFound)
	case err != nil:
		return nil, explain("get "+name+" of "+o.name, err)
	}
	return data, nil
}

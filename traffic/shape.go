package traffic

import "time"

// A Direction is the way that bytes take through a proxy.
type Direction uint8

const (
	Upstream   Direction = iota // from the client to the service
	Downstream                  // from the service to the client
)

// A Shaper says how the bytes of one exchange pass: of the body where there are messages, of everything on an
// opaque stream. It belongs to the exchange, and only the loop of that asks it. The head of a message goes with the
// first byte of its body, and counts for nothing.
type Shaper interface {
	// Shape is how bytes pass now. It is asked when a piece has come, and at least every 100 ms while something
	// is held back: a shaper that has let go returns the zero Shape, and what was held passes at once. The size of
	// an opaque exchange's bodies counts the piece already.
	Shape(d Direction) Shape
}

// A Shape is how bytes pass in one direction. The zero Shape lets them pass as they come.
//
//	bytes ─► Delay ─► Rate ─► Slice, Pause ─► Limit ─► the other side
type Shape struct {
	Delay time.Duration // a piece passes this much after it came, never before the one that came before it; 0 lets go of all
	Rate  int64         // bytes a second; 0 is no limit
	Slice int           // bytes passed at once at most; 0 is no limit
	Pause time.Duration // between one slice and the next

	// Limit, where End is not EndNone, is after how many bytes of this direction End happens. 0 is before the
	// first: of a response, before its head, but not before that has come; of an opaque stream, at once.
	Limit int64
	End   End

	Hole   bool          // bytes are taken and thrown away; those of a message are kept, so that it may go on later
	Linger time.Duration // the end of this direction is passed on this much later

	Again time.Duration // it is asked again so much later, though nothing has come; 0: not for that
}

// An End is how a direction ends that is ended on purpose. Both sides of the exchange end with it.
type End uint8

const (
	EndNone  End = iota
	EndClose     // what has passed arrives, and then the connection ends
	EndReset     // TCP reset
)

package recorder

import (
	"context"
	"errors"
	"io"

	"github.com/redlane/redlane/traffic"
)

// A Tap takes exchanges from whoever sees them: a proxy's chain, a packet capture, a file. It copies what it
// keeps. For each exchange there is one Request, then any number of body calls with the bytes in order, and
// one Response or Lose; x must be the same and its headers valid all the while. Different exchanges may be
// under way at once, and from any goroutine.
type Tap interface {
	traffic.BodyFilter

	// Lose ends x in place of Response, when the rest of it will never be seen. It is counted under why.
	Lose(x *traffic.Exchange, why Reason)
	// Miss counts n exchanges of which so little was seen that no Request could be called.
	Miss(why Reason, n uint64)
}

// Lost is an error of a Source's Next that costs one exchange only: the next call goes on behind it.
type Lost struct {
	Why Reason
	Err error // says where, and what is wrong
}

func (l *Lost) Error() string { return l.Err.Error() }
func (l *Lost) Unwrap() error { return l.Err }

// A Streamer is a Source that can pass its exchanges through a tap as they come, bodies piece by piece, so that it
// holds none of them whole. Stream takes the place of all calls of Next, and returns how many exchanges came to their
// end.
type Streamer interface {
	traffic.Source
	Stream(ctx context.Context, tap Tap) (n uint64, err error)
}

// A Teller is a Tap that wants to know more of what is lost than the reason that it counts.
type Teller interface{ Tell(lost *Lost) }

// Import passes everything src holds through tap, and returns how many exchanges that were. What src has
// Lost is counted as missed. It ends with src, with ctx, or at the first other error of src.
func Import(ctx context.Context, src traffic.Source, tap Tap) (n uint64, err error) {
	if s, ok := src.(Streamer); ok {
		return s.Stream(ctx, tap)
	}
	x := new(traffic.Exchange)
	for {
		var lost *Lost
		switch err := src.Next(ctx, x); {
		case errors.As(err, &lost):
			if t, ok := tap.(Teller); ok {
				t.Tell(lost)
			}
			tap.Miss(lost.Why, 1)
			continue
		case errors.Is(err, io.EOF):
			return n, nil
		case err != nil:
			return n, err
		}
		replay(tap, x)
		n++
	}
}

// replay shows tap a whole exchange as if it passed now.
func replay(tap traffic.BodyFilter, x *traffic.Exchange) {
	request, response := x.Request.Body, x.Response.Body
	tap.Request(x)
	tap.RequestBody(x, request)
	tap.ResponseBody(x, response)
	tap.Response(x)
	x.Request.Body, x.Response.Body = request, response // src may use their memory again
}

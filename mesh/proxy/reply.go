package proxy

import (
	"errors"

	"github.com/redlane/redlane/internal/wire/http1"
	"github.com/redlane/redlane/traffic"
)

// reply answers the exchange here. What has already come of the request body is taken first, so that the
// connection can be kept; a body that is still on its way costs the connection.
func (s *session) reply(status int, body string, flags traffic.Flags) {
	s.replyWith(status, nil, body, flags)
}

// replyWith is reply with headers beside those of its framing.
func (s *session) replyWith(status int, headers []traffic.Header, body string, flags traffic.Flags) {
	x, l := s.x, s.loop
	if x.stream {
		s.refuseStream(flags)
		return
	}
	x.Flags |= flags
	s.dropUpstream()
	if !x.whole {
		s.takeBody()
	}
	s.last = s.last || !x.whole || x.Request.Minor == 0 || s.leaving && len(s.in) == 0
	x.back = http1.AppendReplyWith(x.back[:0], status, headers, body, s.last, x.isHead())
	var f http1.Framing
	if n, err := http1.ParseResponse(x.back, x.Request.Method, &x.Response, &f, &ours); n == 0 || err != nil {
		panic("BUG: a reply of our own that cannot be read")
	}
	x.answered = true
	if x.FirstByte == 0 {
		x.FirstByte = x.since(l.Now())
	}
	if f.Kind == http1.Length {
		x.tellResponse(x.back[len(x.back)-int(f.Length):])
	}
	s.flushed(l.Send(s.h, x.back))
}

// ours are the limits of what we say ourselves.
var ours = http1.Limits{Head: 1 << 30, Headers: 1 << 20}

// takeBody takes what has come of the request body and shows it to those who look at bodies.
func (s *session) takeBody() {
	x := s.x
	for {
		data, n, done, err := x.body.Next(s.in)
		s.in = s.in[n:]
		x.tellRequest(data)
		if done || err != nil {
			x.whole = err == nil
			return
		}
		if len(s.in) == 0 {
			return
		}
	}
}

// refuse answers what is no request, or too much of one, and ends the connection. No filter sees it.
func (s *session) refuse(err error) {
	if s.x == nil {
		s.loop.newExchange(s)
	}
	s.last = true
	status, flag := 400, traffic.FlagDownstreamProtocol
	switch {
	case errors.Is(err, errHeadTimeout):
		status, flag = 408, traffic.FlagDownstreamTimeout
	case err == nil:
		err = errNoHead
	default:
		status = statusOf(err)
	}
	s.in = nil                                                       // unusable, whatever it is
	s.x.body.Init(http1.Framing{Kind: http1.Length, Length: 1}, nil) // so that the request never counts as whole
	s.reply(status, err.Error()+"\n", flag)
}

var (
	errHeadTimeout = errors.New("the request head took too long")
	errNoHead      = errors.New("not a request")
)

// fail ends an exchange that cannot be carried out: with an answer when the client has seen none, else
// with a cut.
func (s *session) fail(status int, body string, flag traffic.Flags) {
	if s.x.answered {
		s.cut(flag)
		return
	}
	s.reply(status, body, flag)
	s.run()
}

// cut ends a response that has begun in a way that nobody takes for its end. One that ends with its
// connection needs a reset for that; the others are short of bytes, and what was sent may still arrive.
func (s *session) cut(flag traffic.Flags) {
	s.x.Flags |= flag
	s.sendKept()
	bare := s.x.down == http1.UntilClose
	s.dropUpstream()
	s.end()
	if bare || s.paused {
		s.reset()
	} else {
		s.close()
	}
}

// couldBeRequest is nil for the beginning of a request.
func (l *loop) couldBeRequest(b []byte) error {
	var f http1.Framing
	_, err := http1.ParseRequest(b, &l.scratch, &f, &l.proxy.cfg.Limits)
	return err
}

package proxy

import (
	"github.com/redlane/redlane/internal/wire/http1"
	"github.com/redlane/redlane/traffic"
)

// A response is changed where its head and the pieces of its body go by on their way to the client:
//
//	passHead ─► patchHead ─┬─► head, changed
//	                       └─► kept back, because the whole body is needed first
//	passBody ─► patchPiece ─► piece, changed; or nothing yet; or at last the head and the whole body
//
// So filters see what the client does.
type patching struct {
	framing http1.Framing // as the client would get the response
	keeping bool          // the head and the body are kept back
	kept    []byte        // of the body
	head    []byte        // as written: x.Response points into it
	mute    bool          // the new status has no body
	lies    bool          // the head declares another length
	more    bool          // and a longer one
	left    int64         // bytes of body that may still be sent, where it lies
	edits   []traffic.Header
}

// patchHead writes a changed head into l.down, or keeps it back. It is false where nothing is to be changed.
func (s *session) patchHead(f http1.Framing) bool {
	x := s.x
	h := x.harm
	if x.answer.Kind == http1.Tunnel || over(h.patched) {
		h.patched = nil
		return false
	}
	patch := h.patched.Patch
	h.framing = f
	if patch.Whole != nil {
		switch fits, has := x.wholeFits(); {
		case fits:
			h.keeping, h.kept = true, h.kept[:0]
			s.arm()
			return true
		case has && patch.Unpatched != nil:
			patch.Unpatched()
		}
	}
	s.writeHead(f, patch)
	return true
}

// wholeFits reports whether the body of the response can be kept back and understood, and whether it has one.
func (x *exchange) wholeFits() (fits, has bool) {
	switch x.answer.Kind {
	case http1.Chunked, http1.UntilClose:
	case http1.Length:
		if x.answer.Length == 0 {
			return false, false
		}
		if x.answer.Length > traffic.PatchMax {
			return false, true
		}
	default:
		return false, false
	}
	coding := x.Response.Get("content-encoding")
	return len(coding) == 0 || traffic.EqualFold(coding, "identity"), true
}

// writeHead puts the head into l.down, framed by f and changed by patch, if there is one.
func (s *session) writeHead(f http1.Framing, patch *traffic.Patch) {
	x, l := s.x, s.loop
	h := x.harm
	if patch == nil {
		x.down = f.Kind
		l.down = http1.AppendResponse(l.down[:0], &x.Response, nil, f)
		return
	}
	if n := patch.Status; n >= 200 && n <= 999 && n != x.Response.Status {
		f = h.restate(f, x.Response.Status, n, x.isHead())
		x.Response.Status, x.Response.Reason = n, []byte(http1.Reason(n))
	}
	if patch.Lie != 0 && f.Kind == http1.Length {
		h.lies, h.more = true, patch.Lie > 0
		h.left = min(f.Length, f.Length+patch.Lie)
		f.Length = max(f.Length+patch.Lie, 0)
	}
	h.edits = h.edits[:0]
	for _, e := range patch.Headers {
		if http1.CheckEdit(e) == nil {
			h.edits = append(h.edits, e)
		}
	}
	x.down = f.Kind
	h.head = http1.AppendResponse(h.head[:0], &x.Response, h.edits, f)
	l.down = append(l.down[:0], h.head...)
	var again http1.Framing // what the client sees is on record
	if n, err := http1.ParseResponse(h.head, x.Request.Method, &x.Response, &again, &ours); n == 0 || err != nil {
		panic("BUG: a changed head that cannot be read")
	}
}

// restate is the framing of a response whose status becomes another: some have no body, and the others say
// how long theirs is.
func (h *harm) restate(f http1.Framing, from, to int, head bool) http1.Framing {
	switch {
	case head:
	case bodiless(to):
		h.mute = true
		f.Kind = http1.NoBody
	case bodiless(from):
		f.Kind, f.Length = http1.Length, 0
	}
	return f
}

func bodiless(status int) bool { return status < 200 || status == 204 || status == 304 }

// patchPiece is what goes to the client now that data has come. last says that no more will, and broken that
// it should have.
func (s *session) patchPiece(data []byte, last, broken bool) []byte {
	h := s.x.harm
	if h.patched == nil {
		return data
	}
	patch := h.patched.Patch
	if h.keeping {
		h.kept = append(h.kept, data...)
		switch {
		case over(h.patched) || broken:
			return s.letGo(nil)
		case len(h.kept) > traffic.PatchMax:
			if patch.Unpatched != nil {
				patch.Unpatched()
			}
			return s.letGo(patch)
		case !last:
			return nil
		}
		h.keeping = false
		data = h.kept
		if len(data) > 0 {
			data = patch.Whole(data)
		}
		f := http1.Framing{Kind: http1.Length, Length: int64(len(data))}.ForClient(s.x.Request.Minor, s.last)
		s.writeHead(f, patch)
	}
	if patch.Piece != nil && len(data) > 0 {
		patch.Piece(data)
	}
	switch {
	case h.mute:
		return nil
	case h.lies:
		data = data[:min(int64(len(data)), max(h.left, 0))]
		h.left -= int64(len(data))
	}
	return data
}

// letGo ends the keeping back: the head goes into l.down, changed by patch if there is one, and what has come
// of the body is returned.
func (s *session) letGo(patch *traffic.Patch) []byte {
	h := s.x.harm
	h.keeping, h.patched = false, nil
	s.writeHead(h.framing, patch)
	return h.kept
}

// passLast follows the end of a response that ends with its connection: what was kept back goes into l.down.
func (u *upstream) passLast() (waiting int) {
	x := u.x
	if x.harm == nil || !x.harm.keeping {
		return 0
	}
	data := x.session.patchPiece(nil, true, false)
	x.tellResponse(data)
	return u.loop.gather(&u.loop.down, x.session.h, data, x.down)
}

// sendKept sends what was kept back, between two pieces.
func (s *session) sendKept() {
	x, l := s.x, s.loop
	if x.harm == nil || !x.harm.keeping {
		return
	}
	data := s.letGo(nil)
	x.tellResponse(data)
	waiting := l.gather(&l.down, s.h, data, x.down)
	if len(l.down) > 0 {
		waiting = l.Send(s.h, l.down)
		l.down = shrink(l.down)
	}
	if u := x.up; waiting > highWater && u != nil && !u.paused {
		u.pause()
	}
}

// lookAtKept asks whether what is kept back is still wanted back.
func (s *session) lookAtKept() {
	if over(s.x.harm.patched) {
		s.sendKept()
	}
}

// owes reports whether the head promises more than there is: nothing may take its place.
func (h *harm) owes() bool { return h != nil && h.more }

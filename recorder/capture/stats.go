package capture

import (
	"maps"

	"github.com/redlane/redlane/recorder"
	"github.com/redlane/redlane/traffic"
)

// Stats are what an Assembler has counted since New. Every frame given to it is in one of Other, Fragments,
// Broken and Segments; every byte of TCP payload and every exchange is in a ledger that balances once the
// Assembler has ended.
type Stats struct {
	Frames, FrameBytes uint64 // given to Frame; bytes on the wire
	KernelDropped      uint64 // frames the source says it never got, see Dropped

	Segments  uint64 // TCP, to or from a service
	Other     uint64 // not TCP, or of nobody's service
	Fragments uint64 // TCP in IP fragments
	Broken    uint64 // headers that contradict themselves or break off

	Truncated  uint64 // segments of which not all payload was captured
	Duplicates uint64 // segments whose payload was there before: mirrored, captured twice or sent again
	Reordered  uint64 // segments that had to wait for bytes before them
	Gaps       uint64 // holes in streams that were given up, and
	GapBytes   uint64 // the bytes that were never seen

	Streams uint64 // connections seen
	Joined  uint64 // of these, those whose beginning was not seen
	Evicted uint64 // connections given up for want of memory
	Tunnels uint64 // connections that became something else by Upgrade or CONNECT
	// TLS connections that were decrypted, and those that could not be, or not to their end, by why. The latter
	// stay empty without Config.Keys.
	Decrypted uint64
	Sealed    map[string]uint64

	Open    int   // connections remembered now
	Waiting int64 // bytes of heads and segments that wait now

	// Bytes of TCP payload: accepted = passed (read as HTTP) + filtered (of tunnels) + dropped. What was cut
	// off by the capture is "truncated"; "late" came after the end of its connection.
	Bytes traffic.Ledger
	// Exchanges: passed were given to the tap whole. Dropped is by recorder.Reason. While the capture goes
	// on, what is missing is under way.
	Exchanges traffic.Ledger
}

// counters is Stats as it is counted.
type counters struct {
	Stats
	bytes struct{ accepted, used, tunnel, duplicate, truncated, unfinished, gap, protocol, memory, late, waiting uint64 }
	begun uint64
	whole uint64
	lost  [256]uint64 // by recorder.Reason
}

// Dropped counts frames that the source says were lost before they could be given to Frame.
func (a *Assembler) Dropped(n uint64) { a.n.KernelDropped += n }

// Stats may be called from the goroutine that calls Frame.
func (a *Assembler) Stats() Stats {
	s := a.n.Stats
	s.Sealed = maps.Clone(s.Sealed)
	s.Open, s.Waiting = len(a.conns), a.memory
	b := &a.n.bytes
	s.Bytes = traffic.Ledger{Stage: "payload", Accepted: b.accepted, Passed: b.used, Filtered: b.tunnel}
	for _, d := range []struct {
		why string
		n   uint64
	}{
		{"duplicate", b.duplicate}, {"late", b.late}, {recorder.LostTruncated.String(), b.truncated},
		{recorder.LostUnfinished.String(), b.unfinished}, {recorder.LostGap.String(), b.gap},
		{recorder.LostProtocol.String(), b.protocol}, {recorder.LostMemory.String(), b.memory},
	} {
		s.Bytes.Drop(d.why, d.n)
	}
	s.Exchanges = traffic.Ledger{Stage: "capture", Accepted: a.n.begun, Passed: a.n.whole}
	for why, n := range &a.n.lost {
		if n > 0 {
			s.Exchanges.Drop(recorder.Reason(why).String(), n)
		}
	}
	return s
}

// Add merges other into s, for sources that run several assemblers.
func (s *Stats) Add(other *Stats) {
	s.Frames += other.Frames
	s.FrameBytes += other.FrameBytes
	s.KernelDropped += other.KernelDropped
	s.Segments += other.Segments
	s.Other += other.Other
	s.Fragments += other.Fragments
	s.Broken += other.Broken
	s.Truncated += other.Truncated
	s.Duplicates += other.Duplicates
	s.Reordered += other.Reordered
	s.Gaps += other.Gaps
	s.GapBytes += other.GapBytes
	s.Streams += other.Streams
	s.Joined += other.Joined
	s.Evicted += other.Evicted
	s.Tunnels += other.Tunnels
	s.Decrypted += other.Decrypted
	for why, n := range other.Sealed {
		if s.Sealed == nil {
			s.Sealed = make(map[string]uint64)
		}
		s.Sealed[why] += n
	}
	s.Open += other.Open
	s.Waiting += other.Waiting
	if s.Bytes.Stage == "" {
		s.Bytes.Stage, s.Exchanges.Stage = other.Bytes.Stage, other.Exchanges.Stage
	}
	s.Bytes.Add(&other.Bytes)
	s.Exchanges.Add(&other.Exchanges)
}

// discard counts payload that is not read, by why.
func (a *Assembler) discard(why recorder.Reason, n int) {
	b := &a.n.bytes
	switch why {
	case recorder.LostGap:
		b.gap += uint64(n)
	case recorder.LostTruncated:
		b.truncated += uint64(n)
	case recorder.LostProtocol:
		b.protocol += uint64(n)
	case recorder.LostMemory:
		b.memory += uint64(n)
	default:
		b.unfinished += uint64(n)
	}
}

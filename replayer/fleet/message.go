package fleet

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/redlane/redlane/replayer"
)

// Version of the messages. Workers and controllers of different versions do not work together: what one
// counts the other would not know.
const Version = 3

// Every message is a MessagePack array: the version, then the fields.

// A call asks workers to join a run. It is repeated until there are enough.
type call struct {
	Run    string
	Labels map[string]string // that a worker must have
}

// A join is a worker's answer to a call.
type join struct {
	Worker string // unique
	Name   string // for people
	Labels map[string]string
	Loops  int // its capacity, against others'
}

// An order is what the controller tells one worker.
type order struct {
	Open  *open
	Start *start
	Over  *over
}

// An open tells a worker to make ready for a part of the run.
type open struct {
	Part    int
	Spec    []byte // what to replay, as given to Controller
	Shards  []int
	Of      int       // shards there are
	From    uint64    // place from which on the part is its business
	T0      time.Time // of a run under way: begin at once
	Results time.Duration
}

// A start says when due time 0 is, by the controller's clock.
type start struct{ T0 time.Time }

// An over ends the run for a worker.
type over struct{ Verdict string }

// A beat says that the controller lives.
type beat struct {
	Abort  bool
	Reason string
}

// A ready answers an open.
type ready struct {
	Offset, RTT time.Duration
}

// An answer to a join, an order or a result.
type answer struct {
	Refused string // why; empty is a yes
	Ready   *ready
}

// A lease is what a part may send, under the key of the part.
type lease struct {
	Worker  string
	Renewed uint64 // times
	Mark    mark
	Counts  replayer.Counts
	Skew    time.Duration // clock against the agreed one, since T0
	RTT     time.Duration
	Closed  bool // handed back: nothing beyond Mark will be sent by this worker
	Lost    bool // taken away
}

// A mark is a replayer.Mark as others need to know it.
type mark struct {
	Place, Count uint64
	Due          time.Duration
	End          bool
}

func markOf(m replayer.Mark) mark { return mark{m.Place, m.Count, m.Due, m.End} }

// A result is what a part has found since the one before. Who it is from is read without what was found: that costs
// twenty times as much, and one that is repeated is not worth it.
type result struct {
	Worker string
	Part   int
	Number int    // from 1 on
	Found  []byte // a replayer.Result
	Counts replayer.Counts

	Last   bool // nothing more will come
	Mark   mark // of the last: what the results of the part have
	Failed string
	GaveUp bool // of the last: the worker was cut off and has stopped by itself; others may go on from Mark
}

// found is what is in Found.
func (r *result) found() (*replayer.Result, error) {
	f := new(replayer.Result)
	return f, f.UnmarshalBinary(r.Found)
}

// encode makes a message of v, a pointer to one of the structs above.
func encode(v any) []byte {
	var b bytes.Buffer
	enc := msgpack.GetEncoder()
	defer msgpack.PutEncoder(enc)
	enc.Reset(&b)
	enc.UseArrayEncodedStructs(true)
	enc.UseCompactInts(true)
	err := errors.Join(enc.EncodeArrayLen(2), enc.EncodeUint(Version), enc.Encode(v))
	if err != nil {
		panic(fmt.Sprintf("BUG: encode %T: %v", v, err))
	}
	return b.Bytes()
}

// decode fills v, or says why data is not what it should be.
func decode(data []byte, v any) error {
	dec := msgpack.GetDecoder()
	defer msgpack.PutDecoder(dec)
	dec.Reset(bytes.NewReader(data))
	n, err := dec.DecodeArrayLen()
	if err != nil || n != 2 {
		return errors.New("not a message of a fleet")
	}
	version, err := dec.DecodeUint64()
	switch {
	case err != nil:
		return errors.New("not a message of a fleet")
	case version != Version:
		return fmt.Errorf("it speaks version %d of the fleet's messages, this one speaks %d; run the same redlane everywhere", version, Version)
	}
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("damaged message: %w", err)
	}
	return nil
}

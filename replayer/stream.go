package replayer

import (
	"bytes"
	"time"

	"github.com/redlane/redlane/traffic"
)

// A Stream takes what became of every single request, a batch at a time. Package results has one that writes files.
//
//	loop: book ─ record ─► batch ─ full, or a second old ─► Hand ─► an empty one
type Stream interface {
	// Hand takes over b and returns an empty batch, which may be b. Loops call it, several at once: what it waits,
	// requests wait, and their lag shows it.
	Hand(b *Batch) *Batch
}

// A Record is one request: those of Result.Total, each once, in the order in which they ended on their loop.
type Record struct {
	Seq     uint64 // place in the recording, from 0
	Session uint64
	Route   string

	Due  time.Duration // from Batch.Started, as Sent and End
	Sent time.Duration // negative: never
	End  time.Duration // when the response was whole, or the request had failed

	Status int    // 0: no whole response
	Reason string // why not: one of the reasons of the ledger
	Out    int64  // bytes of the request
	In     int64  // bytes of the response, heads included, whether or not they made a whole one

	Method, Target []byte // as sent; valid as long as the batch
}

// A Batch is a page of records.
type Batch struct {
	Started time.Time // due time 0
	Lane    traffic.Color
	Records []Record

	text []byte // methods and targets
}

const (
	batchRecords = 1024
	batchText    = 128 << 10
)

// NewBatch returns an empty batch.
func NewBatch() *Batch {
	return &Batch{Records: make([]Record, 0, batchRecords), text: make([]byte, 0, batchText)}
}

// Reset empties b for further use.
func (b *Batch) Reset() { b.Records, b.text = b.Records[:0], b.text[:0] }

// record enters what became of it.
func (b *book) record(it *item, status int, reason string, now time.Duration) {
	page := b.page
	method, rest, _ := bytes.Cut(it.wire, []byte(" "))
	target, _, _ := bytes.Cut(rest, []byte(" "))
	size := len(method) + len(target)
	if len(page.Records) == batchRecords || len(page.text)+size > cap(page.text) && size <= batchText {
		page = b.flush()
	}
	at := len(page.text)
	if size > cap(page.text)-at { // larger than a page of text
		page.text = make([]byte, 0, size)
		at = 0
	}
	page.text = append(append(page.text, method...), target...)
	text := page.text[at:]
	page.Records = append(page.Records, Record{
		Seq: it.arrival - 1, Session: it.session, Route: b.routes.name(it.route),
		Due: it.due, Sent: it.sent, End: now, Status: status, Reason: reason, Out: int64(len(it.wire)), In: it.received,
		Method: text[:len(method)], Target: text[len(method):],
	})
}

// flush hands over the batch, unless it is empty.
func (b *book) flush() *Batch {
	if b.page != nil && len(b.page.Records) > 0 {
		b.page.Started, b.page.Lane = b.start, b.lane
		b.page = b.stream.Hand(b.page)
	}
	return b.page
}

package injector

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/redlane/redlane/traffic"
)

// An Answer is a response that was kept. It does not change.
type Answer struct {
	Status  int
	Headers []traffic.Header // without those of its framing
	Body    string
}

// Bounds of what a lease keeps, and for as long as it lives.
const (
	maxAnswers    = 256
	maxAnswerBody = 64 << 10 // larger ones are not kept
	maxAnswerSum  = 4 << 20  // bytes of bodies
)

// answers are what a lease has seen: the first good answer of each key.
type answers struct {
	sync.Mutex
	kept map[string]*Answer
	size int
}

func (k *answers) get(key string) *Answer {
	k.Lock()
	defer k.Unlock()
	return k.kept[key]
}

// room reports whether an answer of key would be kept.
func (k *answers) room(key string) bool {
	k.Lock()
	defer k.Unlock()
	return k.kept[key] == nil && len(k.kept) < maxAnswers && k.size < maxAnswerSum
}

func (k *answers) put(key string, a *Answer) {
	k.Lock()
	defer k.Unlock()
	if k.kept[key] != nil || len(k.kept) >= maxAnswers || k.size >= maxAnswerSum {
		return
	}
	if k.kept == nil {
		k.kept = make(map[string]*Answer)
	}
	k.kept[key] = a
	k.size += len(a.Body)
}

// forget gives the memory back.
func (k *answers) forget() {
	k.Lock()
	defer k.Unlock()
	k.kept, k.size = nil, 0
}

// watching are the exchanges whose answers are looked at. They are seen through the Piece of a Patch, and not by a
// filter of bodies, so that only exchanges in scope of a lease that wants it cost anything.
type watching struct {
	sync.Mutex
	n    atomic.Int64
	open map[*traffic.Exchange]*watched
}

type watched struct {
	lease *lease
	key   string
	body  []byte
	long  bool
}

// watch asks to see the answer of x, unless that would not be kept.
func (l *lease) watch(x *traffic.Exchange, key string, a *traffic.Action) {
	if !l.answers.room(key) || a.Harm != nil {
		return
	}
	w := &watched{lease: l, key: key}
	t := &l.table.watching
	t.Lock()
	defer t.Unlock()
	if t.open == nil {
		t.open = make(map[*traffic.Exchange]*watched)
	}
	t.open[x] = w
	t.n.Store(int64(len(t.open)))
	a.Harm = &traffic.Harm{Patch: &traffic.Patch{Piece: func(b []byte) {
		if w.long = w.long || len(w.body)+len(b) > maxAnswerBody; !w.long {
			w.body = append(w.body, b...)
		}
	}}}
}

// over keeps the answer of x when that was watched and is worth it: it came whole and was good.
func (t *watching) over(x *traffic.Exchange) {
	t.Lock()
	w := t.open[x]
	delete(t.open, x)
	t.n.Store(int64(len(t.open)))
	t.Unlock()
	m := &x.Response
	if w == nil || m.Status < 200 || m.Status > 299 || m.BodySize != int64(len(w.body)) || x.Flags.Has(broken) || w.lease.Over() {
		return
	}
	kept := &Answer{Status: m.Status, Body: string(w.body)}
	for _, h := range m.Headers {
		if !framing(string(h.Name)) {
			kept.Headers = append(kept.Headers, traffic.Header{Name: slices.Clone(h.Name), Value: slices.Clone(h.Value)})
		}
	}
	w.lease.answers.put(w.key, kept)
}

// broken are the flags of an answer that did not come to its end, or that a fault gave.
const broken = traffic.FlagUpstreamClosed | traffic.FlagUpstreamTimeout | traffic.FlagUpstreamProtocol |
	traffic.FlagDownstreamClosed | traffic.FlagDraining | traffic.FlagFaultInjected | traffic.FlagUpgraded

// framing reports whether a header is about one connection or one body, and not about the answer (RFC 9110 §7.6.1).
func framing(name string) bool {
	switch strings.ToLower(name) {
	case "connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade":
		return true
	}
	return false
}

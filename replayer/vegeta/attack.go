package vegeta

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	lib "github.com/tsenart/vegeta/v12/lib"
)

// An attack is a vegeta.Attacker that is fed with calls.
//
//	put ─► calls ─► Pace: one taken, one tick ─► bound ─► Targeter, in any worker ─► RoundTrip ─► result
//
// Calls leave bound in the order in which they came, so that a tick gives a worker its own call or one that was
// due before it, and never one that is not due yet.
type attack struct {
	attacker  *lib.Attacker
	transport *http.Transport
	bound     chan *call
	added     chan struct{} // a token when there are calls
	ended     chan struct{}

	mu struct {
		sync.Mutex
		calls  []*call          // to be made
		inside map[uint64]*call // given to the attacker, by number
		number uint64
	}
}

func newAttack(workers int) *attack {
	a := &attack{
		transport: &http.Transport{MaxIdleConns: 0, MaxIdleConnsPerHost: workers, DisableCompression: true},
		bound:     make(chan *call, workers+1), // of the ticks, no more are on their way
		added:     make(chan struct{}, 1), ended: make(chan struct{}),
	}
	a.mu.inside = make(map[uint64]*call)
	a.attacker = lib.NewAttacker(
		lib.Workers(uint64(workers)), lib.MaxWorkers(uint64(workers)),
		lib.MaxBody(0), // it would keep a copy
		lib.Client(&http.Client{ // last: other options look into the transport that they expect
			Transport:     a,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}),
	)
	return a
}

// put queues a call.
func (a *attack) put(c *call) {
	a.mu.Lock()
	a.mu.calls = append(a.mu.calls, c)
	a.mu.Unlock()
	select {
	case a.added <- struct{}{}:
	default:
	}
}

// end makes run return when the calls on their way are over. Who gives them up has cancelled them.
func (a *attack) end() { close(a.ended) }

// run attacks until end, and calls over for each call that is.
func (a *attack) run(over func(*call)) {
	for r := range a.attacker.Attack(a.target, a, 0, "") {
		if c := a.take(r.URL); c != nil {
			if r.Code == 0 && c.err == nil {
				c.err = errors.New(r.Error) // it came to nothing before RoundTrip
			}
			over(c)
		}
	}
	a.transport.CloseIdleConnections()
}

// Pace waits for a call and has it made now.
func (a *attack) Pace(time.Duration, uint64) (wait time.Duration, stop bool) {
	for {
		a.mu.Lock()
		if len(a.mu.calls) > 0 {
			c := a.mu.calls[0]
			a.mu.calls[0] = nil
			a.mu.calls = a.mu.calls[1:]
			a.mu.Unlock()
			if c.ctx.Err() != nil {
				continue // given up meanwhile
			}
			a.bound <- c
			return 0, false
		}
		a.mu.Unlock()
		select {
		case <-a.added:
		case <-a.ended:
			return 0, true
		}
	}
}

// Rate is asked by nobody but plots.
func (a *attack) Rate(time.Duration) float64 { return 0 }

// target binds the next call to the worker that asks. The number travels in the URL's fragment, which no
// request carries.
func (a *attack) target(t *lib.Target) error {
	c := <-a.bound
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mu.number++
	a.mu.inside[a.mu.number] = c
	t.Method, t.Header, t.Body = c.method, c.header, c.body
	t.URL = "http://target/#" + strconv.FormatUint(a.mu.number, 10)
	return nil
}

// take is the call with the number in url, which is over.
func (a *attack) take(url string) *call {
	a.mu.Lock()
	defer a.mu.Unlock()
	number := numberIn(url)
	c := a.mu.inside[number]
	delete(a.mu.inside, number)
	return c
}

func numberIn(url string) uint64 {
	_, text, _ := strings.Cut(url, "#")
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0 // that of no call
	}
	return n
}

// RoundTrip sends a call, as much as it was recorded as net/http can, and none of what vegeta adds.
func (a *attack) RoundTrip(req *http.Request) (*http.Response, error) {
	a.mu.Lock()
	c := a.mu.inside[numberIn(req.URL.String())]
	a.mu.Unlock()
	req = req.WithContext(c.ctx)
	c.dress(req)
	resp, err := a.transport.RoundTrip(req)
	if err != nil {
		c.err = err
		return nil, err
	}
	c.keep(resp)
	return resp, nil
}

package traffic

import "time"

// An Action is what a filter wants done. An engine carries it out, parts in the order of the fields.
// The zero Action does nothing: the exchange goes on to the next filter.
type Action struct {
	Wait  time.Duration // hold the request this long first
	Reply Reply         // then answer it here, if Reply.Status is not 0
	Reset bool          // or end the client's connection with a TCP reset and no answer
	Harm  *Harm         // or do more to it; apart, because every filter returns an Action for every request
}

// A Reply is an answer given by a filter in place of a service.
type Reply struct {
	Status int
	Body   string // sent as text/plain, unless Harm.Headers say otherwise
	Flag   Flags  // added to the exchange's flags: why the proxy answered
}

// Ends reports whether the exchange goes no further down the chain.
func (a Action) Ends() bool {
	return a.Reset || a.Reply.Status != 0 || a.Harm != nil && a.Harm.Hole
}

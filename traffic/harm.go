package traffic

// Harm is the part of an Action that faults are made of. Nil and zero fields do nothing.
type Harm struct {
	Hole    bool     // never answer; the exchange lasts until the client hangs up
	Headers []Header // of Action.Reply, beside those of its framing

	// What becomes of an exchange that goes on.
	Connect Connect // of the connection to the service
	Copies  int     // of the request that are sent beside it; what is answered to them is thrown away
	Failed  bool    // Copies are sent one after the other, each only where the answer before it was 5xx or none: a retry storm
	Shaper  Shaper  // of its bytes, both ways
	Patch   *Patch  // of the response

	// Grip is who holds what the Action began. Where that is over, waiting ends, and the exchange goes on as if
	// nothing had been asked. Nil never ends.
	Grip Grip
}

// A Grip is asked by the loop that carries an Action out, at least every 100 ms while that holds something back.
// Over is cheap and may be called by many loops at once.
type Grip interface{ Over() bool }

// Connect says what becomes of a connection to the service.
type Connect uint8

const (
	ConnectAsUsual Connect = iota
	ConnectRefused         // it fails, as if nothing listened: other instances are not tried, and none rests for it
	ConnectStalled         // it never comes about: it fails after the connect timeout
	ConnectUnnamed         // it fails as if the name of the service could not be resolved
)

// A Patch is what changes in a response on its way to the client.
type Patch struct {
	Status  int      // in place of the service's; 0 keeps it
	Headers []Header // replace lines of the same name, or join them; a nil Value removes
	Lie     int64    // added to the length that the head declares: what is missing never comes, what is too much is not sent

	// Piece, if not nil, changes bytes of the body in place as they pass.
	Piece func(b []byte)
	// Whole, if not nil, returns what passes in place of the whole body, which is kept back for it: up to PatchMax
	// bytes and without a content coding. Other bodies pass as they are, and Unpatched, if not nil, is called.
	Whole     func(b []byte) []byte
	Unpatched func()
}

// PatchMax is the largest body, in bytes, that is kept back to be changed as a whole.
const PatchMax = 1 << 20

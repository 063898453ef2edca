package conformance

import (
	"fmt"
	"strings"
	"time"
)

// A script is what a fuzz target makes of its input: up to scriptMax steps over a few connections, done by
// the peer, or by the Handler in an event. Every input is a script.
type script struct {
	settle bool // in the end let everything arrive before Run is stopped
	steps  []step
}

const (
	scriptMax = 60 // steps
	connsMax  = 6  // connections of one script
)

// A step is three bytes of input: what, which connection, how much.
type step struct {
	do   act
	on   int  // which connection, of those there are
	much byte // what it means is for the act to say
	next bool // not now, but from within the next event of the connection
}

type act byte

// What the peer does, then what the Handler does.
const (
	peerOpen  act = iota // much: 0 to 3 TCP, its windows small or not; 4 to 7 a unix socket
	peerSend             // as many bytes as much says
	peerRead             // the same
	peerFIN              // half close
	peerClose            // with FIN, or RST when it has not read everything
	peerReset            // RST
	pass                 // much times 10 µs, or until all loops have done what was asked so far
	doDial               // much: whom, see target
	doSend               // as many bytes as much says
	doCloseWrite
	doClose
	doReset
	doPause
	doResume
	doArm // much: when
	acts
)

var actNames = [acts]string{
	"peer opens", "peer sends", "peer reads", "peer sends FIN", "peer closes", "peer resets", "time passes", "Dial", "Send", "CloseWrite",
	"Close", "Reset", "Pause", "Resume", "Arm",
}

func parseScript(b []byte) (s script) {
	if len(b) == 0 {
		return s
	}
	s.settle = b[0]&1 == 0
	for b = b[1:]; len(b) >= 3 && len(s.steps) < scriptMax; b = b[3:] {
		st := step{do: act(b[0]&0x7F) % acts, on: int(b[1]), much: b[2]}
		st.next = b[0]&0x80 != 0 && st.do >= doSend
		s.steps = append(s.steps, st)
	}
	return s
}

// bytes is how many to send or to read: mostly few, at times more than Linux holds on loopback (2.6 MB at first).
func (s step) bytes() int {
	return [...]int{1, 100, 1000, 4 << 10, 16 << 10, 40 << 10, 300 << 10, 3 << 20}[s.much%8]
}

// after is when the timer is to fire: at once, soon, later, or not at all.
func (s step) after() time.Duration {
	return [...]time.Duration{1, 100 * time.Microsecond, time.Millisecond, 5 * time.Millisecond, 0, time.Hour}[s.much%6]
}

// String is the script as somebody would write it down, for the log of a failure.
func (s script) String() string {
	var b strings.Builder
	for i, st := range s.steps {
		fmt.Fprintf(&b, "%2d  connection %d: %s %d", i, st.on, actNames[st.do], st.much)
		switch st.do {
		case peerSend, peerRead, doSend:
			fmt.Fprintf(&b, " (%d bytes)", st.bytes())
		case doArm:
			fmt.Fprintf(&b, " (%s)", st.after())
		}
		if st.next {
			b.WriteString(", in its next event")
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "    then settle: %t\n", s.settle)
	return b.String()
}

package handover

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/clock"
)

// The protocol, over a unix socket that keeps packets apart (SOCK_SEQPACKET). A packet is a word and what it
// is about; descriptors travel beside it (SCM_RIGHTS).
//
//	new process                         running process
//	    │  redlane takeover 1                 │
//	    ├────────────────────────────────────►│  5 s
//	    │  socket NAME      + up to 64 of it  │
//	    │◄────────────────────────────────────┤  for each name, more than once where there are more
//	    │  door             + this socket     │
//	    │◄────────────────────────────────────┤  15 s for all of it
//	    │                                     │
//	  builds, serves                  serves, 60 s
//	    │  took NAME                          │
//	    ├────────────────────────────────────►│  for each name it serves
//	    │  serving                            │
//	    ├────────────────────────────────────►│
//	    │                             stops accepting
//	    │  yours                              │
//	    │◄────────────────────────────────────┤  30 s
//	  listens at the door              drains, ends
//
// Instead of any of its packets the running process may say "no REASON"; then it goes on as before.
const (
	hello       = "redlane takeover 1" // the number changes when what follows does
	wordSocket  = "socket"
	wordDoor    = "door"
	wordTook    = "took"
	wordServing = "serving"
	wordYours   = "yours"
	wordNo      = "no"
)

// Limits of the steps, by whoever waits.
const (
	helloTime   = 5 * time.Second
	socketsTime = 15 * time.Second // longer than helloTime: a silent peer may be before us at the door
	buildTime   = 60 * time.Second
	yoursTime   = 30 * time.Second
)

const (
	perPacket = 64 // descriptors; the kernel takes 253
	maxPacket = 16 << 10
)

// A wire is one connection between the two.
type wire struct {
	*net.UnixConn
	clock clock.Clock
	buf   [maxPacket]byte
	oob   []byte
}

func newWire(c *net.UnixConn, clk clock.Clock) *wire {
	return &wire{UnixConn: c, clock: clk, oob: make([]byte, unix.CmsgSpace(perPacket*4))}
}

// send sends one packet. The files stay the caller's.
func (w *wire) send(limit time.Duration, word, about string, files ...*os.File) error {
	var oob []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			raw, err := f.SyscallConn() // Fd would make sockets block, in every process that has them
			if err != nil {
				return err
			}
			if err := raw.Control(func(fd uintptr) { fds[i] = int(fd) }); err != nil {
				return err
			}
		}
		oob = unix.UnixRights(fds...)
	}
	_ = w.SetWriteDeadline(w.clock.Now().Add(limit))
	_, _, err := w.WriteMsgUnix([]byte(packet(word, about)), oob, nil)
	runtime.KeepAlive(files)
	return err
}

func packet(word, about string) string {
	if about == "" {
		return word
	}
	return word + " " + about
}

// receive returns one packet, and the files that came with it, which are the caller's to close.
func (w *wire) receive(limit time.Duration) (word, about string, files []*os.File, err error) {
	_ = w.SetReadDeadline(w.clock.Now().Add(limit)) // on a dead socket, which the read reports, as the write above
	n, oobn, flags, _, err := w.ReadMsgUnix(w.buf[:], w.oob)
	if err != nil {
		return "", "", nil, err
	}
	files, err = rights(w.oob[:oobn])
	switch {
	case err != nil:
	case flags&unix.MSG_CTRUNC != 0:
		err = errors.New("descriptors got lost on the way: more of them than this process may open (ulimit -n)")
	case flags&unix.MSG_TRUNC != 0:
		err = errors.New("a packet that is too long")
	}
	if err != nil {
		closeAll(files)
		return "", "", nil, err
	}
	word, about, _ = strings.Cut(string(w.buf[:n]), " ")
	return word, about, files, nil
}

// rights are the files in control messages.
func rights(oob []byte) (files []*os.File, err error) {
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("read control message: %w", err)
	}
	for i := range messages {
		fds, err := syscall.ParseUnixRights(&messages[i])
		if err != nil {
			continue // of another kind
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "handed over"))
		}
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

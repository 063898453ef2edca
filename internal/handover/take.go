package handover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"

	"github.com/redlane/redlane/internal/clock"
)

// A Taking is the new process's side: what it was given, until it says that it serves.
type Taking struct {
	Sockets Sockets // closed by Close; listeners are made from duplicates

	path string
	wire *wire
	door *os.File
	done bool
}

// Take asks whoever listens at path for its sockets. It returns nil where nobody does: start cold then. The
// running process serves on until Serving, and if that never comes. ctx ends the asking only.
func Take(ctx context.Context, path string, clk clock.Clock) (*Taking, error) {
	t, err := take(ctx, path, clk)
	if err != nil {
		return nil, fmt.Errorf("take over at %s: %w", path, err)
	}
	return t, nil
}

func take(ctx context.Context, path string, clk clock.Clock) (*Taking, error) {
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case info.Mode().Type() != fs.ModeSocket:
		return nil, errors.New("there is something else")
	}
	conn, err := (&net.Dialer{Timeout: helloTime}).DialContext(ctx, "unixpacket", path)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	t := &Taking{Sockets: make(Sockets), path: path, wire: newWire(conn.(*net.UnixConn), clk)}
	stop := context.AfterFunc(ctx, func() { t.wire.Close() })
	defer stop()
	if err := t.ask(); err != nil {
		t.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, err
	}
	return t, nil
}

// ask says hello and takes what comes.
func (t *Taking) ask() error {
	if err := sameUser(t.wire.UnixConn); err != nil {
		return err
	}
	if err := t.wire.send(helloTime, hello, ""); err != nil {
		return err
	}
	for t.door == nil {
		word, about, files, err := t.wire.receive(socketsTime)
		if err != nil {
			return ended(err)
		}
		for _, f := range files {
			if err == nil {
				err = listens(f)
			}
		}
		switch {
		case err != nil:
		case word == wordNo:
			err = fmt.Errorf("the running process says no: %s", about)
		case word == wordSocket && len(files) > 0:
			t.Sockets[about] = append(t.Sockets[about], files...)
			continue
		case word == wordDoor && len(files) == 1:
			t.door = files[0]
			continue
		default:
			err = fmt.Errorf("%q with %d sockets is no word of this protocol", word, len(files))
		}
		closeAll(files)
		return err
	}
	return nil
}

// Serving tells the running process that the sockets with these names are served here. When it returns nil,
// that one accepts no more, or is gone. An error means that it goes on and this process must not.
func (t *Taking) Serving(names []string) error {
	for _, name := range names {
		if err := t.wire.send(helloTime, wordTook, name); err != nil {
			break // it has gone, or has said why not
		}
	}
	_ = t.wire.send(helloTime, wordServing, "") // as above
	for range 2 {                               // the first read may only tell that the connection broke; what it said last comes then
		word, about, files, err := t.wire.receive(yoursTime)
		closeAll(files)
		switch {
		case err == nil && word == wordNo:
			return fmt.Errorf("take over at %s: the running process says no: %s", t.path, about)
		case errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("take over at %s: no answer in %s", t.path, yoursTime)
		case err == nil || errors.Is(err, io.EOF):
			t.done = true
			return nil
		}
	}
	t.done = true
	return nil
}

// Close gives the sockets back, if Serving has not been called or did not work, and closes what is held here.
func (t *Taking) Close() error {
	t.Sockets.Close()
	if t.door != nil {
		t.door.Close()
	}
	return t.wire.Close()
}

// ended says in words how a conversation broke off.
func ended(err error) error {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return errors.New("the other process ended the conversation")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errors.New("the other process says nothing")
	}
	return err
}

package handover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/clock"
)

// An Owner has sockets to hand over. Its methods are called one at a time.
type Owner interface {
	// Sockets returns duplicates, which the Door closes. Until Keep or HandOver they may be in the hands of
	// two processes.
	Sockets() (Sockets, error)
	// Keep says that the other process has given up.
	Keep()
	// HandOver says that another process serves the sockets of these names. It returns when they are not
	// accepted from any more, and begins to end the Owner's work.
	HandOver(names []string)
}

// Config of a Door.
type Config struct {
	Path   string  // of the unix socket; it is made for this user alone
	Taken  *Taking // its door is used in place of a new one; may be nil
	Owner  Owner
	Build  time.Duration // how long another process may take until it serves; 0 means 60s
	Clock  clock.Clock
	Logger *slog.Logger
}

// A Door is where the running process waits for the one that takes its place.
type Door struct {
	cfg     Config
	ln      *net.UnixListener
	lending atomic.Bool // somebody has the sockets, and this one perhaps too
	shut    sync.Once
}

// Open opens the door. With a Taking, Serving must have returned nil.
func Open(cfg Config) (*Door, error) {
	cfg.Build = cmp.Or(cfg.Build, buildTime)
	ln, err := listen(cfg)
	if err != nil {
		return nil, fmt.Errorf("wait for takeover at %s: %w", cfg.Path, err)
	}
	return &Door{cfg: cfg, ln: ln}, nil
}

func listen(cfg Config) (*net.UnixListener, error) {
	if cfg.Taken != nil && cfg.Taken.done {
		ln, err := net.FileListener(cfg.Taken.door)
		if err != nil {
			return nil, err
		}
		return ln.(*net.UnixListener), nil
	}
	private := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		// Before bind, so that there is no moment in which others could connect.
		if ctl := c.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), 0o600) }); ctl != nil {
			return ctl
		}
		return err
	}}
	ln, err := private.Listen(context.Background(), "unixpacket", cfg.Path)
	if errors.Is(err, syscall.EADDRINUSE) && abandoned(cfg.Path) {
		if err := os.Remove(cfg.Path); err != nil {
			return nil, err
		}
		ln, err = private.Listen(context.Background(), "unixpacket", cfg.Path)
	}
	if err != nil {
		return nil, err
	}
	return ln.(*net.UnixListener), nil
}

// abandoned reports whether path is a socket that nobody listens on.
func abandoned(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return false
	}
	c, err := net.DialTimeout("unixpacket", path, helloTime)
	if err == nil {
		c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// Run answers, one after the other, until ctx ends or a process has taken over. The file of the socket is
// removed unless it is the other's now.
func (d *Door) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { d.close() })
	defer stop()
	defer d.close()
	for wait := time.Duration(0); ; {
		conn, err := d.ln.AcceptUnix()
		switch {
		case err == nil:
			wait = 0
			if d.answer(ctx, newWire(conn, d.cfg.Clock)) {
				return nil
			}
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		default: // no descriptors left, most likely: they come back
			wait = min(max(2*wait, 10*time.Millisecond), time.Second)
			if d.cfg.Clock.SleepUntil(ctx, d.cfg.Clock.Now().Add(wait)) != nil {
				return nil
			}
		}
	}
}

func (d *Door) close() {
	d.shut.Do(func() {
		d.ln.SetUnlinkOnClose(!d.lending.Load())
		d.ln.Close()
	})
}

// answer deals with one peer, and reports whether it has taken over.
func (d *Door) answer(ctx context.Context, w *wire) (gone bool) {
	defer w.Close()
	stop := context.AfterFunc(ctx, func() { w.Close() })
	names, err := d.talk(w)
	stop() // HandOver may be the end of ctx
	if err != nil {
		_ = w.send(helloTime, wordNo, err.Error()) // it may not listen any more
		if d.lending.Load() && ctx.Err() == nil {  // else it may go on with them: they are not ours alone
			d.lending.Store(false)
			d.cfg.Owner.Keep()
		}
		d.cfg.Logger.Warn("takeover refused, this process goes on", "path", d.cfg.Path, "error", err)
		return false
	}
	d.cfg.Owner.HandOver(names)
	d.cfg.Logger.Info("handed over", "path", d.cfg.Path, "listeners", len(names))
	if err := w.send(helloTime, wordYours, ""); err != nil {
		d.cfg.Logger.Warn("the process that took over does not listen", "error", err)
	}
	return true
}

// talk lends the sockets and returns the names of those that the other process serves.
func (d *Door) talk(w *wire) (names []string, err error) {
	if err := sameUser(w.UnixConn); err != nil {
		return nil, err
	}
	word, about, files, err := w.receive(helloTime)
	closeAll(files)
	if err != nil {
		return nil, ended(err)
	}
	if said := packet(word, about); said != hello {
		return nil, fmt.Errorf("this process knows %q, not %.40q", hello, said)
	}
	lent, err := d.lend(w)
	if err != nil {
		return nil, ended(err)
	}
	for {
		word, about, files, err := w.receive(d.cfg.Build)
		closeAll(files)
		switch {
		case err != nil:
			return nil, ended(err)
		case word == wordTook && lent[about]:
			delete(lent, about)
			names = append(names, about)
		case word == wordServing:
			return names, nil
		default:
			return nil, fmt.Errorf("%.40q is no word of this protocol here", packet(word, about))
		}
	}
}

// lend sends every socket, and the door itself last. It returns their names.
func (d *Door) lend(w *wire) (lent map[string]bool, err error) {
	d.lending.Store(true)
	sockets, err := d.cfg.Owner.Sockets()
	if err != nil {
		return nil, err
	}
	defer sockets.Close()
	lent = make(map[string]bool, len(sockets))
	for name, files := range sockets {
		lent[name] = true
		for part := range slices.Chunk(files, perPacket) {
			if err := w.send(helloTime, wordSocket, name, part...); err != nil {
				return nil, err
			}
		}
	}
	door, err := d.ln.File()
	if err != nil {
		return nil, err
	}
	defer door.Close()
	return lent, w.send(helloTime, wordDoor, "", door)
}

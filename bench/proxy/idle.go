package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/bench/internal/lab"
)

// A crowd is idle connections that each have done one request.
type crowd []net.Conn

func (c crowd) leave() {
	for _, conn := range c {
		conn.Close()
	}
}

// gather opens n connections to addr and does a request on each, 32 at a time. They come from several
// addresses of the loopback network: one has some 28,000 ports.
func gather(ctx context.Context, addr string, n int) (crowd, error) {
	c := make(crowd, n)
	errs := make(chan error, 32)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var opening sync.WaitGroup
	for worker := range cap(errs) {
		opening.Go(func() {
			for i := worker; i < n && ctx.Err() == nil; i += cap(errs) {
				var err error
				if c[i], err = joins(ctx, addr, i); err != nil {
					stop(fmt.Errorf("idle connection %d of %d: %w", i, n, err))
				}
			}
		})
	}
	opening.Wait()
	if err := context.Cause(ctx); err != nil {
		for _, conn := range c {
			if conn != nil {
				conn.Close()
			}
		}
		return nil, err
	}
	return c, nil
}

func joins(ctx context.Context, addr string, i int) (net.Conn, error) {
	d := net.Dialer{
		Timeout: 10 * time.Second, KeepAlive: -1, Control: latePort,
		LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i/10_000))},
	}
	conn, err := d.DialContext(ctx, "tcp4", addr)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if err := ask(conn, addr); err != nil {
		conn.Close()
		return nil, err
	}
	conn.SetDeadline(time.Time{})
	return conn, nil
}

// latePort leaves the choice of a port to connect, which knows the other end. At bind the kernel takes half of
// the range only, and none that still waits for the end of an old connection.
func latePort(_, _ string, c syscall.RawConn) (err error) {
	ctlErr := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	})
	return errors.Join(ctlErr, err)
}

// ask does one request on conn.
func ask(conn net.Conn, addr string) error {
	if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", addr); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.ContentLength != 200 {
		return fmt.Errorf("status %d, %d bytes", resp.StatusCode, resp.ContentLength)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// crowdOf is n, or as many as the limit on open files leaves to one process that also has others.
func (b *bench) crowdOf(n int) int { return min(n, int(b.Files)-512) }

// idleMemory is the resident memory of the proxy for each idle connection.
func (b *bench) idleMemory(ctx context.Context, r *lab.Report) error {
	run, err := lab.Full.Start(ctx, b.Lab, lab.CoreOfProxy)
	if err != nil {
		return err
	}
	if _, err := b.Wrk(ctx, lab.CoreOfRest, run.Addr, 64, b.Config.Warm); err != nil {
		return err
	}
	before, err := lab.RSS(run.Cmd.Process.Pid)
	if err != nil {
		return err
	}
	n := b.crowdOf(b.idle)
	c, err := gather(ctx, run.Addr, n)
	if err != nil {
		return err
	}
	defer c.leave()
	if err := run.Sleep(ctx, time.Second); err != nil {
		return err
	}
	after, err := lab.RSS(run.Cmd.Process.Pid)
	if err != nil {
		return err
	}
	metrics, err := lab.Get(ctx, "http://"+run.Admin+"/metrics")
	if err != nil {
		return err
	}
	if open := int(lab.Sum(metrics, "redlane_connections_open")); open != n {
		return fmt.Errorf("idle connections: opened %d, the proxy has %d", n, open)
	}
	each := float64(after-before) / float64(n)
	r.Single("idle_conn_bytes", each, lab.AtMost(6*1024), "%.0f bytes resident for each of %d idle connections", each, n)
	c.leave()
	return b.Stop(run.Proc)
}

// idleAndBusy asks whether connections that do nothing cost those that work. In the control another proxy has
// the idle ones: what still differs then is the machine's doing. Something that reads the kernel's table of
// sockets once a second, say, takes a core for as long as the table is.
func (b *bench) idleAndBusy(ctx context.Context, r *lab.Report) error {
	n := b.crowdOf(b.idleBusy)
	among := crowded(fmt.Sprintf("full + %d idle", n), n, false)
	control := crowded(fmt.Sprintf("full, %d idle elsewhere", n), n, true)
	c, err := b.Compare(ctx, []lab.Contestant{lab.Full, control, among}, 64, lab.TwoCores, b.rounds)
	if err != nil {
		return err
	}
	r.Table("64 busy connections, alone and among idle ones", c, haproxy.Name)
	compare := func(with, without string) (p50, p99, cpu lab.Spread) {
		p50 = c.Pairs(with, without, func(a, b lab.Sample) float64 { return a.P50.Seconds() / b.P50.Seconds() })
		p99 = c.Pairs(with, without, func(a, b lab.Sample) float64 { return a.P99.Seconds() / b.P99.Seconds() })
		return p50, p99, c.Ratio(with, without)
	}
	p50, p99, cpu := compare(among.Name, lab.Full.Name)
	r.Note("among idle ones: p50 x%s, p99 x%s, CPU x%s (asked: latency within 1.10)", p50, p99, cpu)
	p50, p99, cpu = compare(among.Name, control.Name)
	r.Note("against as many idle ones at another proxy: p50 x%s, p99 x%s, CPU x%s", p50, p99, cpu)
	return nil
}

// crowded is a full proxy with n idle connections, or with as many at another proxy beside it.
func crowded(name string, n int, elsewhere bool) lab.Contestant {
	return lab.Contestant{Name: name, Start: func(ctx context.Context, b *lab.Lab, cores []int) (*lab.Running, error) {
		run, err := lab.Full.Start(ctx, b, cores)
		if err != nil {
			return nil, err
		}
		host := run
		if elsewhere {
			if host, err = lab.Full.Start(ctx, b, lab.CoreOfRest); err != nil {
				_ = b.Stop(run.Proc) // err says more
				return nil, err
			}
		}
		c, err := gather(ctx, host.Addr, n)
		if err != nil {
			if elsewhere {
				_ = b.Stop(host.Proc) // err says more
			}
			_ = b.Stop(run.Proc) // the same
			return nil, err
		}
		run.Release = func() {
			c.leave()
			if elsewhere {
				_ = b.Stop(host.Proc) // it only held connections
			}
		}
		return run, nil
	}}
}

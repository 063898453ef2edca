package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/redlane/redlane/bench/internal/lab"
	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/injector/control"
	"github.com/redlane/redlane/injector/token"
	"github.com/redlane/redlane/lanes/ticket"
	"github.com/redlane/redlane/traffic"
)

// lanesOf names n lanes.
func lanesOf(n int) (lanes []traffic.Color) {
	for i := range n {
		lanes = append(lanes, traffic.Color(fmt.Sprintf("l%d", i)))
	}
	return lanes
}

const mostLanes = 16

// A drill is what the parts share: a key, a token for all lanes, and instances that answer 200, each at an address of
// its own, because no instance is of two lanes.
type drill struct {
	pub, tokenFile, token string
	instances             []string
	servers               []*http.Server
}

func newDrill(dir string) (*drill, error) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	pem, err := ticket.EncodePublic(public)
	if err != nil {
		return nil, err
	}
	tok, err := token.Issue(private, lanesOf(mostLanes), "bench", time.Now(), time.Hour)
	if err != nil {
		return nil, err
	}
	d := &drill{pub: filepath.Join(dir, "drill.pub"), tokenFile: filepath.Join(dir, "token"), token: tok.String()}
	if err := errors.Join(os.WriteFile(d.pub, pem, 0o600), os.WriteFile(d.tokenFile, []byte(d.token), 0o600)); err != nil {
		return nil, err
	}
	for range mostLanes + 1 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			d.close()
			return nil, err
		}
		s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "ok") // a client that has gone misses nothing
		})}
		go func() { _ = s.Serve(ln) }() // ends with close
		d.servers = append(d.servers, s)
		d.instances = append(d.instances, ln.Addr().String())
	}
	return d, nil
}

func (d *drill) close() {
	for _, s := range d.servers {
		_ = s.Close() // nobody asks any more
	}
}

// A site is one proxy under test, of one service called app.
type site struct {
	*lab.Proc
	addr, admin string
	client      *injector.Client
}

// site starts a proxy with so many lanes. red, where it is not empty, is the instance of the first lane.
func (b *bench) site(ctx context.Context, cores []int, lanes int, red string) (*site, error) {
	addr, err := b.FreePort()
	if err != nil {
		return nil, err
	}
	admin, err := b.FreePort()
	if err != nil {
		return nil, err
	}
	dir, err := b.NewDir("site")
	if err != nil {
		return nil, err
	}
	var all []string
	for i, lane := range lanesOf(lanes) {
		at := b.drill.instances[i]
		if i == 0 && red != "" {
			at = red
		}
		all = append(all, fmt.Sprintf("%s: [%q]", lane, at))
	}
	mesh := fmt.Sprintf("admin: %s\ndrills: {keys: [%q]}\nservices:\n  app: {listen: %q, endpoints: [%q], lanes: {%s}}\n",
		admin, b.drill.pub, addr, b.drill.instances[mostLanes], strings.Join(all, ", "))
	file := filepath.Join(dir, "mesh.yaml")
	if err := os.WriteFile(file, []byte(mesh), 0o600); err != nil {
		return nil, err
	}
	args := []string{"proxy", "-c", file, "--loops", "1"}
	if b.engine != "" {
		args = append(args, "--engine", b.engine)
	}
	p, err := b.Start(cores, nil, b.Redlane, args...)
	if err != nil {
		return nil, err
	}
	s := &site{Proc: p, addr: addr, admin: admin, client: &injector.Client{Base: "http://" + admin, Token: b.drill.token}}
	for range 1000 {
		if _, err = s.client.List(ctx); err == nil {
			return s, nil
		}
		if err := p.Sleep(ctx, 10*time.Millisecond); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("the proxy does not answer: %w: %s", err, p.LastLine())
}

// live is how many faults a proxy has.
func (s *site) live(ctx context.Context) (n int, err error) {
	list, err := s.client.List(ctx)
	for _, st := range list {
		if st.State == injector.Live {
			n++
		}
	}
	return n, err
}

// serve starts the controller of sites.
func (b *bench) serve(ctx context.Context, sites []*site) (*control.Client, *lab.Proc, error) {
	addr, err := b.FreePort()
	if err != nil {
		return nil, nil, err
	}
	args := []string{"inject", "serve", "--listen", addr, "--token-file", b.drill.tokenFile}
	for _, s := range sites {
		args = append(args, "--proxy", s.admin)
	}
	p, err := b.Start(lab.BothCores, nil, b.Redlane, args...)
	if err != nil {
		return nil, nil, err
	}
	c := &control.Client{Base: "http://" + addr}
	for range 1000 {
		if _, err = c.Faults(ctx); err == nil {
			return c, p, nil
		}
		if err := p.Sleep(ctx, 10*time.Millisecond); err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, fmt.Errorf("the controller does not answer: %w: %s", err, p.LastLine())
}

// stop ends sites.
func (b *bench) stop(sites ...*site) (err error) {
	for _, s := range sites {
		err = errors.Join(err, b.Stop(s.Proc))
	}
	return err
}

// refusing is a fault that costs nothing to see: the lane is answered 503.
func refusing(id string, lane traffic.Color) injector.Lease {
	return injector.Lease{ID: id, Fault: &injector.Abort{}, Lane: lane, Edge: injector.Edge{Caller: "*", Callee: "app"}, Share: 1, TTL: 10 * time.Minute}
}

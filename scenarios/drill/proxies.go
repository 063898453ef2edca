package drill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/injector/guard"
)

// A plane is the admin addresses of the proxies a drill is about.
type plane struct {
	proxies []proxy
	http    *http.Client
}

type proxy struct {
	base   string
	faults injector.Client
	guards guard.Client
}

// askLimit is how long a proxy may take to answer.
const askLimit = 3 * time.Second

func newPlane(bases []string, token string) *plane {
	p := &plane{http: &http.Client{Timeout: askLimit, Transport: &http.Transport{MaxIdleConnsPerHost: 4}}}
	for _, base := range bases {
		base = strings.TrimSuffix(base, "/")
		p.proxies = append(p.proxies, proxy{base, injector.Client{Base: base, HTTP: p.http, Token: token}, guard.Client{Base: base, HTTP: p.http, Token: token}})
	}
	return p
}

func (p *plane) close() { p.http.CloseIdleConnections() }

// each asks all proxies at once and joins what went wrong.
func (p *plane) each(f func(one *proxy) error) error {
	errs := make([]error, len(p.proxies))
	var wait sync.WaitGroup
	for i := range p.proxies {
		wait.Go(func() {
			if err := f(&p.proxies[i]); err != nil {
				errs[i] = fmt.Errorf("%s: %w", p.proxies[i].base, err)
			}
		})
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// lives lists the live leases of all proxies, by the place of the proxy.
func (p *plane) lives(ctx context.Context) ([][]injector.Status, error) {
	all := make([][]injector.Status, len(p.proxies))
	err := p.each(func(one *proxy) error {
		list, err := one.faults.List(ctx)
		for _, s := range list {
			if s.State == injector.Live {
				at := p.place(one)
				all[at] = append(all[at], s)
			}
		}
		return err
	})
	return all, err
}

func (p *plane) place(one *proxy) int {
	for i := range p.proxies {
		if &p.proxies[i] == one {
			return i
		}
	}
	panic("BUG: a proxy of another plane")
}

// removeLane ends every live lease of a lane, at all proxies, and returns how many there were.
func (p *plane) removeLane(ctx context.Context, lane string) (n int, err error) {
	var mu sync.Mutex
	err = p.each(func(one *proxy) error {
		list, err := one.faults.List(ctx)
		if err != nil {
			return err
		}
		for _, s := range list {
			if s.State != injector.Live || string(s.Lease.Lane) != lane {
				continue
			}
			if _, err := one.faults.Remove(ctx, s.ID); err != nil {
				return err
			}
			mu.Lock()
			n++
			mu.Unlock()
		}
		return nil
	})
	return n, err
}

// get reads a page of an admin address.
func (p *plane) get(ctx context.Context, target string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return "", err
	}
	resp, err := p.http.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("ask %s: %s", target, resp.Status)
	}
	return string(text), err
}

// generation is the number of the configuration in force and its text.
func (p *plane) generation(ctx context.Context, one *proxy) (string, error) {
	text, err := p.get(ctx, one.base+"/config")
	if err != nil {
		return "", fmt.Errorf("ask for its configuration: %w", err)
	}
	line, _, _ := strings.Cut(text, "\n")
	number, ok := strings.CutPrefix(line, "# generation ")
	if !ok {
		return "", errors.New("its /config does not begin with a generation: is it a redlane proxy?")
	}
	return number, nil
}

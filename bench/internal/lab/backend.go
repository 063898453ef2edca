package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A backend is the service behind every contestant: one nginx worker that answers 200 with 200 bytes.
type backend struct {
	*Proc
	Addr, status string
	asked        int64 // times that status was asked: it counts itself
}

// NginxHead is for one process, without a master: its CPU and its cores are then those of one pid.
const NginxHead = `daemon off; master_process off; worker_processes 1;
pid %[1]s/pid; error_log %[1]s/error.log;
events { worker_connections 8192; }
http {
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;
  client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
`

const backendConf = NginxHead + `
  server { listen %[2]s; location / { default_type text/plain; return 200 "%[3]s"; } }
  server { listen %[4]s; location / { stub_status; } }
}
`

func (b *Lab) startBackend(ctx context.Context) (*backend, error) {
	be := &backend{}
	var err error
	if be.Addr, err = b.FreePort(); err != nil {
		return nil, err
	}
	if be.status, err = b.FreePort(); err != nil {
		return nil, err
	}
	dir, err := b.NewDir("backend")
	if err != nil {
		return nil, err
	}
	if be.Proc, err = b.StartNginx(dir, CoreOfRest, fmt.Sprintf(backendConf, dir, be.Addr, strings.Repeat("x", b.Body), be.status)); err != nil {
		return nil, err
	}
	return be, be.answers(ctx, be.Addr)
}

// StartNginx runs nginx in dir, on the cores given.
func (b *Lab) StartNginx(dir string, cores []int, conf string) (*Proc, error) {
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return nil, err
	}
	return b.Start(cores, nil, b.Nginx, "-p", dir, "-c", file, "-e", filepath.Join(dir, "error.log"))
}

// NewDir makes a directory for what one contestant keeps.
func (b *Lab) NewDir(name string) (string, error) {
	b.numbered++
	dir := filepath.Join(b.Dir, fmt.Sprintf("%s-%d", name, b.numbered))
	return dir, os.Mkdir(dir, 0o700)
}

// Handled is how many requests the backend has taken so far.
func (be *backend) Handled(ctx context.Context) (int64, error) {
	text, err := Get(ctx, "http://"+be.status+"/")
	if err != nil {
		return 0, fmt.Errorf("ask the backend's count: %w", err)
	}
	be.asked++
	n, err := parseStubStatus(text)
	return n - be.asked, err
}

// Settled is handled, once it has stopped growing: wrk leaves requests behind that are still under way.
func (be *backend) Settled(ctx context.Context) (int64, error) {
	last := int64(-1)
	for range 100 {
		n, err := be.Handled(ctx)
		if err != nil || n == last {
			return n, err
		}
		last = n
		if err := be.Sleep(ctx, 10*time.Millisecond); err != nil {
			return 0, err
		}
	}
	return 0, errors.New("the backend's count goes on growing without load: is somebody else using it?")
}

// parseStubStatus finds the number of requests on the third line of nginx's stub_status.
func parseStubStatus(text string) (int64, error) {
	_, after, ok := strings.Cut(text, "server accepts handled requests\n")
	var accepts, handled, requests int64
	if _, err := fmt.Sscan(after, &accepts, &handled, &requests); err != nil || !ok {
		return 0, fmt.Errorf("read stub_status: unexpected %q", text)
	}
	return requests, nil
}

// answers waits until addr answers and makes sure that it is p who does.
func (p *Proc) answers(ctx context.Context, addr string) error {
	var err error
	for range 500 {
		if _, err = Get(ctx, "http://"+addr+"/"); err == nil {
			return listensAlone(p.Cmd.Process.Pid, addr)
		}
		if err := p.Sleep(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s does not answer: %w: %s", p.name, err, p.LastLine())
}

var client = http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// Get is the body of a 200.
func Get(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return string(text), err
}

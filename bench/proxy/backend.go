package main

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
	*proc
	addr, status string
	asked        int64 // times that status was asked: it counts itself
}

// One process, without a master: its CPU and its cores are then those of one pid.
const nginxHead = `daemon off; master_process off; worker_processes 1;
pid %[1]s/pid; error_log %[1]s/error.log;
events { worker_connections 8192; }
http {
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;
  client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
`

const backendConf = nginxHead + `
  server { listen %[2]s; location / { default_type text/plain; return 200 "%[3]s"; } }
  server { listen %[4]s; location / { stub_status; } }
}
`

func (b *bench) startBackend(ctx context.Context) (*backend, error) {
	be := &backend{}
	var err error
	if be.addr, err = b.freePort(); err != nil {
		return nil, err
	}
	if be.status, err = b.freePort(); err != nil {
		return nil, err
	}
	dir, err := b.newDir("backend")
	if err != nil {
		return nil, err
	}
	if be.proc, err = b.startNginx(dir, coreOfRest, fmt.Sprintf(backendConf, dir, be.addr, strings.Repeat("x", 200), be.status)); err != nil {
		return nil, err
	}
	return be, be.answers(ctx, be.addr)
}

func (b *bench) startNginx(dir string, cores []int, conf string) (*proc, error) {
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return nil, err
	}
	return b.start(cores, nil, b.nginx, "-p", dir, "-c", file, "-e", filepath.Join(dir, "error.log"))
}

// newDir makes a directory for what one contestant keeps.
func (b *bench) newDir(name string) (string, error) {
	b.numbered++
	dir := filepath.Join(b.dir, fmt.Sprintf("%s-%d", name, b.numbered))
	return dir, os.Mkdir(dir, 0o700)
}

// handled is how many requests the backend has taken so far.
func (be *backend) handled(ctx context.Context) (int64, error) {
	text, err := get(ctx, "http://"+be.status+"/")
	if err != nil {
		return 0, fmt.Errorf("ask the backend's count: %w", err)
	}
	be.asked++
	n, err := parseStubStatus(text)
	return n - be.asked, err
}

// settled is handled, once it has stopped growing: wrk leaves requests behind that are still under way.
func (be *backend) settled(ctx context.Context) (int64, error) {
	last := int64(-1)
	for range 100 {
		n, err := be.handled(ctx)
		if err != nil || n == last {
			return n, err
		}
		last = n
		if err := be.sleep(ctx, 10*time.Millisecond); err != nil {
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
func (p *proc) answers(ctx context.Context, addr string) error {
	var err error
	for range 500 {
		if _, err = get(ctx, "http://"+addr+"/"); err == nil {
			return listensAlone(p.cmd.Process.Pid, addr)
		}
		if err := p.sleep(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s does not answer: %w: %s", p.name, err, p.lastLine())
}

var client = http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func get(ctx context.Context, url string) (string, error) {
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

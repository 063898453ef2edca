package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// target starts what is asked for and returns its address. auto takes nginx where it is installed.
func target(to string) (addr, name string, stop func(), err error) {
	if to == "auto" {
		to = "nethttp"
		if _, err := exec.LookPath("nginx"); err == nil {
			to = "nginx"
		}
	}
	switch to {
	case "nginx":
		addr, stop, err = startNginx()
	case "nethttp":
		addr, stop, err = startNetHTTP()
	default:
		return to, to, func() {}, nil
	}
	return addr, to, stop, err
}

func startNetHTTP() (string, func(), error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	body := []byte(strings.Repeat("x", 200))
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(ln) // ends when closed
	}()
	return ln.Addr().String(), func() { _ = srv.Close(); <-served }, nil
}

const nginxConf = `
daemon off; master_process off; worker_processes 1; pid %[1]s/pid; error_log %[1]s/error.log;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 100000000;
  client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
  server { listen %[2]s; return 200 "%[3]s"; }
}
`

func startNginx() (addr string, stop func(), err error) {
	dir, err := os.MkdirTemp("", "redlane-bench-")
	if err != nil {
		return "", nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0") // a free port, given up for nginx
	if err != nil {
		return "", nil, err
	}
	addr = ln.Addr().String()
	conf := filepath.Join(dir, "nginx.conf")
	err = errors.Join(ln.Close(), os.WriteFile(conf, fmt.Appendf(nil, nginxConf, dir, addr, strings.Repeat("x", 200)), 0o600))
	if err != nil {
		return "", nil, err
	}
	cmd := exec.Command("nginx", "-p", dir, "-c", conf, "-e", filepath.Join(dir, "error.log"))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // killed is what we expect
		_ = os.RemoveAll(dir)  // left behind at worst
	}
	for range 100 {
		if c, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
			return addr, stop, c.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	stop()
	return "", nil, fmt.Errorf("start nginx: nothing listens on %s after 5s", addr)
}

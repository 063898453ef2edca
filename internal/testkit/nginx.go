package testkit

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Nginx is a running nginx. It answers every path with 200 and Body, keeps connections alive, and reports
// what it has handled at /stub_status on an address of its own.
type Nginx struct {
	Addr   string // host:port of the service
	Status string // host:port of stub_status
	Dir    string // its directory, gone after the test

	asked atomic.Int64 // times Handled got an answer
}

// NginxConfig of StartNginx. Zero fields take the default named beside them.
type NginxConfig struct {
	Body    string // of every answer; empty means "ok"
	Server  string // further directives of the server block
	Log     string // format of the lines of Dir/access.log; empty means no log
	Workers int    // 0 means 1
}

// StartNginx starts nginx on free ports and stops it with the test. The test is skipped where nginx is not
// installed.
func StartNginx(t testing.TB, cfg NginxConfig) *Nginx {
	t.Helper()
	path, err := exec.LookPath("nginx")
	if err != nil {
		path = "/usr/sbin/nginx" // not in the PATH of ordinary users
		if _, err := os.Stat(path); err != nil {
			t.Skip("nginx is not installed")
		}
	}
	if cfg.Body == "" {
		cfg.Body = "ok"
	}
	addrs := FreeAddrs(t, 2)
	n := &Nginx{Addr: addrs[0], Status: addrs[1], Dir: t.TempDir()}
	conf := filepath.Join(n.Dir, "nginx.conf")
	if err := os.WriteFile(conf, []byte(n.config(cfg)), 0o644); err != nil {
		t.Fatalf("write nginx configuration: %v", err)
	}
	var out bytes.Buffer
	cmd := exec.Command(path, "-p", n.Dir, "-c", conf, "-e", filepath.Join(n.Dir, "error.log"))
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // not even a killed test leaves it behind
	if err := cmd.Start(); err != nil {
		t.Fatalf("start nginx: %v", err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM) // the master stops its workers
		select {
		case <-exited:
		case <-time.After(5 * time.Second):
			cmd.Process.Kill()
			<-exited
		}
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(n.Dir, "error.log"))
			t.Logf("nginx said: %s%s", out.Bytes(), log)
		}
	})
	deadline := time.Now().Add(5 * time.Second)
	for {
		_, err := n.Handled(t.Context())
		if err == nil {
			return n
		}
		select {
		case err := <-exited:
			exited <- err
			log, _ := os.ReadFile(filepath.Join(n.Dir, "error.log"))
			t.Fatalf("nginx ended: %v: %s%s", err, out.Bytes(), log)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("nginx does not answer: %v", err)
		}
	}
}

func (n *Nginx) config(cfg NginxConfig) string {
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;\n" // or its workers could not read a test's files
	}
	log := "access_log off;"
	if cfg.Log != "" {
		log = fmt.Sprintf("log_format ours '%s'; access_log %s/access.log ours;", cfg.Log, n.Dir)
	}
	return user + fmt.Sprintf(`daemon off;
worker_processes %d;
pid %s/nginx.pid;
events { worker_connections 4096; }
http {
  %[3]s
  client_body_temp_path %[2]s/body; proxy_temp_path %[2]s/proxy; fastcgi_temp_path %[2]s/fcgi; uwsgi_temp_path %[2]s/uwsgi; scgi_temp_path %[2]s/scgi;
  keepalive_timeout 60s; keepalive_requests 1000000000;
  server {
    listen %[4]s;
    location / { default_type text/plain; return 200 %[5]q; }
    %[6]s
  }
  server { listen %[7]s; location = /stub_status { stub_status; access_log off; } }
}
`, max(cfg.Workers, 1), n.Dir, log, n.Addr, cfg.Body, cfg.Server, n.Status)
}

// Handled is how many requests nginx has handled since it started, the questions for this number not
// counted.
func (n *Nginx) Handled(ctx context.Context) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.Status+"/stub_status", nil)
	if err != nil {
		return 0, err
	}
	req.Close = true // so that no connection outlives the question
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	_, after, ok := strings.Cut(string(text), "server accepts handled requests\n")
	var accepts, handled, requests int64
	if _, err := fmt.Sscan(after, &accepts, &handled, &requests); err != nil || !ok {
		return 0, fmt.Errorf("read stub_status: unexpected %q", text)
	}
	n.asked.Add(1)
	return requests - n.asked.Load(), nil
}

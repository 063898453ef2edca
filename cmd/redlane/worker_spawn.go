package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// spawnWorkers starts the workers of a run as children. They leave by themselves when it is over, also when
// this program is killed; stop waits for that, and does not wait for ever.
func spawnWorkers(fl *fleetFlags, url string, loops int, stderr io.Writer) (stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, runError("find this program: %w", err)
	}
	args := []string{"worker", "--bus", url, "--once", "--quiet", "--loops", strconv.Itoa(max(loops, 1))}
	for _, f := range []struct{ name, value string }{
		{"bus-user", fl.bus.auth.User}, {"bus-password-file", fl.bus.passwordFile}, {"bus-token-file", fl.bus.tokenFile},
		{"bus-nkey", fl.bus.auth.NKey}, {"bus-creds", fl.bus.auth.Creds}, {"bus-ca", fl.bus.tls.CA}, {"bus-cert", fl.bus.tls.Cert}, {"bus-key", fl.bus.tls.Key},
	} {
		if f.value != "" {
			args = append(args, "--"+f.name, f.value)
		}
	}
	for k, v := range fl.labels {
		args = append(args, "--label", k+"="+v)
	}
	var children []*exec.Cmd
	var wg sync.WaitGroup
	stop = func() {
		late := time.AfterFunc(15*time.Second, func() {
			for _, c := range children {
				_ = c.Process.Kill() // it may have ended
			}
		})
		defer late.Stop()
		wg.Wait()
	}
	for i := range fl.workers {
		c := exec.Command(self, append(args, "--name", fmt.Sprintf("w%d", i))...)
		c.Stderr = stderr
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt is for us, who tell them
		if fl.bus.auth.Token != "" {
			c.Env = append(os.Environ(), tokenEnv+"="+fl.bus.auth.Token)
		}
		if err := c.Start(); err != nil {
			for _, c := range children {
				_ = c.Process.Kill()
			}
			wg.Wait()
			return nil, runError("start worker %d: %w", i, err)
		}
		children = append(children, c)
		wg.Go(func() { _ = c.Wait() }) // how it ended shows in the run
	}
	return stop, nil
}

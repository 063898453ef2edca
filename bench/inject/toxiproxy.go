package main

import (
	"context"
	"encoding/json"
	"flag"
	"net"
	"os"
	"path/filepath"

	"github.com/redlane/redlane/bench/internal/lab"
)

var _ = parts.Add("toxiproxy", []string{"ratio_toxiproxy"}, (*bench).toxiproxy)

var toxiproxyServer = flag.String("toxiproxy", "bin/toxiproxy-server", "Toxiproxy's own server, to compare with")

// toxiproxy is what a request costs through a proxy without toxics, beside Toxiproxy itself: the same file of
// proxies, the same load, 64 connections that stay open, in turn.
func (b *bench) toxiproxy(ctx context.Context) error {
	ours, sockmap := redlaneToxiproxy("redlane toxiproxy"), redlaneToxiproxy("redlane --sockmap", "--sockmap")
	theirs := lab.Contestant{Name: "Toxiproxy", Start: func(ctx context.Context, l *lab.Lab, cores []int) (*lab.Running, error) {
		return startToxiproxy(ctx, l, func(host, port, config string) (*lab.Proc, error) {
			return l.Start(cores, []string{"LOG_LEVEL=error"}, *toxiproxyServer, "-host", host, "-port", port, "-config", config)
		})
	}}
	all := []lab.Contestant{ours, theirs}
	r, err := sockmap.Start(ctx, b.Lab, lab.CoreOfProxy)
	if err == nil {
		all, err = append(all, sockmap), b.Stop(r.Proc)
	}
	if err != nil {
		b.Note("left out: %s: %v", sockmap.Name, err)
	}
	c, err := b.Compare(ctx, all, 64, lab.TwoCores, b.rounds)
	if err != nil {
		return err
	}
	b.Table("a proxy without toxics, 64 connections", c, theirs.Name)
	b.done["ratio_toxiproxy"] = true
	b.Figure("ratio_toxiproxy", c.Ratio(ours.Name, theirs.Name), goals["ratio_toxiproxy"])
	return nil
}

// redlaneToxiproxy is our own server. What --sockmap saves, it saves where client and upstream are on this machine.
func redlaneToxiproxy(name string, more ...string) lab.Contestant {
	return lab.Contestant{Name: name, Start: func(ctx context.Context, l *lab.Lab, cores []int) (*lab.Running, error) {
		return startToxiproxy(ctx, l, func(host, port, config string) (*lab.Proc, error) {
			args := append([]string{"toxiproxy", "--listen", net.JoinHostPort(host, port), "--config", config}, more...)
			if l.Engine != "" {
				args = append(args, "--engine", l.Engine)
			}
			return l.Start(cores, nil, l.Redlane, args...)
		})
	}}
}

// startToxiproxy starts either with one proxy in front of the backend.
func startToxiproxy(ctx context.Context, l *lab.Lab, start func(host, port, config string) (*lab.Proc, error)) (*lab.Running, error) {
	addr, err := l.FreePort()
	if err != nil {
		return nil, err
	}
	api, err := l.FreePort()
	if err != nil {
		return nil, err
	}
	dir, err := l.NewDir("toxiproxy")
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal([]map[string]string{{"name": "app", "listen": addr, "upstream": l.Backend.Addr}})
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "proxies.json")
	if err := os.WriteFile(config, text, 0o600); err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(api)
	if err != nil {
		return nil, err
	}
	p, err := start(host, port, config)
	if err != nil {
		return nil, err
	}
	return l.Ready(ctx, &lab.Running{Proc: p, Addr: addr})
}

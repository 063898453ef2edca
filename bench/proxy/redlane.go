package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// redlane says which of its configurations takes part.
type redlane struct {
	full   bool // lanes and timeouts; metrics, access counters and the slot for faults are always there
	record bool // the verb record instead of proxy, onto a tape on disk
	args   []string
	env    []string
}

const bareMesh = `admin: %[1]s
services:
  app:
    listen: %[2]s
    endpoints: ["%[3]s"]
`

// The lanes' endpoints do not exist. Nobody notices: production traffic has no colour.
const fullMesh = `lanes: {header: x-tenant-lane, fallback: never}
timeouts: {connect: 1s, header: 10s, request: 30s, response: 15s, idle: 10m, pool: 4s, drain: 10s}
` + bareMesh + `    lanes:
      red: ["127.0.0.1:9"]
      blue: {endpoints: ["127.0.0.1:10"], fallback: absent_or_unhealthy}
`

func (c redlane) start(ctx context.Context, b *bench, cores []int) (*running, error) {
	addr, err := b.freePort()
	if err != nil {
		return nil, err
	}
	admin, err := b.freePort()
	if err != nil {
		return nil, err
	}
	dir, err := b.newDir("redlane")
	if err != nil {
		return nil, err
	}
	mesh := bareMesh
	if c.full {
		mesh = fullMesh
	}
	file := filepath.Join(dir, "mesh.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, mesh, admin, addr, b.backend.addr), 0o600); err != nil {
		return nil, err
	}
	args := []string{"proxy", "-c", file}
	if c.record {
		args = []string{"record", "-c", file, "--tap", "app", "--to", "tape://" + filepath.Join(dir, "tape")}
	}
	if b.engine != "" {
		args = append(args, "--engine", b.engine)
	}
	p, err := b.start(cores, c.env, b.redlane, append(args, c.args...)...)
	if err != nil {
		return nil, err
	}
	r := &running{proc: p, addr: addr, admin: admin}
	if c.record {
		r.books = func(requests, cut int64) error {
			// A tape of every round would fill the disk.
			return errors.Join(checkLedgers(p.stdout.String(), requests, cut), os.RemoveAll(dir))
		}
	}
	return b.ready(ctx, r)
}

// knows says whether this build of redlane has a flag.
func (b *bench) knows(flag string) bool { return strings.Contains(b.help, "--"+flag) }

var ledgerLine = regexp.MustCompile(`(?m)^(.+): accepted (\d+) = passed \d+ \+ filtered \d+ \+ sampled out \d+ \+ dropped (\d+).*, (balanced|NOT BALANCED)$`)

// checkLedgers holds what redlane record printed at its end against the requests that the backend saw:
// the first ledger, that of the tap, accepts each of them.
func checkLedgers(text string, requests, cut int64) error {
	all := ledgerLine.FindAllStringSubmatch(text, -1)
	if len(all) == 0 {
		return fmt.Errorf("redlane record printed no ledger: %q", text)
	}
	for _, l := range all {
		if l[4] != "balanced" {
			return fmt.Errorf("ledger of redlane record: %s", l[0])
		}
	}
	accepted, err := strconv.ParseInt(all[0][2], 10, 64)
	if err != nil {
		return err
	}
	if d := accepted - requests; d < -cut || d > cut {
		return fmt.Errorf("redlane record: accepted %d exchanges, the backend saw %d requests", accepted, requests)
	}
	return nil
}

// dropped is how many exchanges found no room on the tape, by the first ledger.
func dropped(text string) int64 {
	l := ledgerLine.FindStringSubmatch(text)
	if l == nil {
		return 0
	}
	n, _ := strconv.ParseInt(l[3], 10, 64) // the pattern has digits only
	return n
}

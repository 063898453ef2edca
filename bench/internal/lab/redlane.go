package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
)

// Redlane says which of its configurations takes part.
type Redlane struct {
	Full   bool // lanes and timeouts; metrics, access counters and the slot for faults are always there
	record bool // the verb record instead of proxy, onto a tape on disk
	Args   []string
	Env    []string
}

// The configurations that take part everywhere.
var (
	Bare   = Contestant{"bare", Redlane{}.Start}
	Full   = Contestant{"full", Redlane{Full: true}.Start}
	Record = Contestant{"record", Redlane{Full: true, record: true}.Start}
)

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

func (c Redlane) Start(ctx context.Context, b *Lab, cores []int) (*Running, error) {
	addr, err := b.FreePort()
	if err != nil {
		return nil, err
	}
	admin, err := b.FreePort()
	if err != nil {
		return nil, err
	}
	dir, err := b.NewDir("redlane")
	if err != nil {
		return nil, err
	}
	mesh := bareMesh
	if c.Full {
		mesh = fullMesh
	}
	file := filepath.Join(dir, "mesh.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, mesh, admin, addr, b.Backend.Addr), 0o600); err != nil {
		return nil, err
	}
	args := []string{"proxy", "-c", file}
	if c.record {
		args = []string{"record", "-c", file, "--tap", "app", "--to", "tape://" + filepath.Join(dir, "tape")}
	}
	if b.Engine != "" {
		args = append(args, "--engine", b.Engine)
	}
	p, err := b.Start(cores, c.Env, b.Redlane, append(args, c.Args...)...)
	if err != nil {
		return nil, err
	}
	r := &Running{Proc: p, Addr: addr, Admin: admin}
	if c.record {
		r.books = func(requests, cut int64) error {
			// A tape of every round would fill the disk.
			return errors.Join(checkLedgers(p.Stdout.String(), requests, cut), os.RemoveAll(dir))
		}
	}
	return b.Ready(ctx, r)
}

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

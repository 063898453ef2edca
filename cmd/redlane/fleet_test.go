package main

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/testkit"
)

// Eight workers in processes of their own, one killed: others go on within two seconds, nothing is sent twice,
// and the ledger is exact.
func TestFleetWorkerKilled(t *testing.T) {
	t.Parallel()
	r := newFleetRig(t, 6000, loopback(t))
	c := r.start("replay", r.tape, "--to", r.to, "--lane", "red", "--unsafe-target", "--workers", "8", "--spawn", "--bus-listen", "127.0.0.1:0",
		"--lag-limit", "1m", "--skew-limit", "1m", "--lost-limit", "0.2", "--results", r.results())
	r.sent(2000)
	workers := childrenOf(t, c.cmd.Process.Pid)
	require.Len(t, workers, 8)
	require.NoError(t, syscall.Kill(workers[3], syscall.SIGKILL))
	require.Zero(t, c.ends(30*time.Second))
	rep := r.report()
	r.requireExact(rep)
	require.Len(t, rep.Takeovers, 1)
	require.NotZero(t, rep.Lost)
	require.EqualValues(t, r.n, rep.Ledger.Passed+rep.Lost)
	require.GreaterOrEqual(t, r.seen(), int(rep.Sent)) // loopback loses nothing that was sent
	require.Positive(t, rep.Takeovers[0].Took)
	require.Less(t, rep.Takeovers[0].Took, 10*time.Second) // the figure is that of bench/fleet
	require.Contains(t, c.out.String(), "shards gone on with after")
}

// Workers that are told to go hand back what they have: nothing is lost. The last one to go ends the run.
func TestFleetWorkerLeaves(t *testing.T) {
	t.Parallel()
	r := newFleetRig(t, 4000, loopback(t))
	listen := testkit.FreeAddr(t)
	c := r.start("replay", r.tape, "--to", r.to, "--lane", "red", "--unsafe-target", "--workers", "2", "--bus-listen", listen,
		"--lag-limit", "1m", "--skew-limit", "1m", "--results", r.results())
	w := []*proc{r.start("worker", "--bus", "nats://"+listen, "--loops", "1"), r.start("worker", "--bus", "nats://"+listen, "--loops", "1")}
	r.sent(1000)
	require.NoError(t, w[0].cmd.Process.Signal(syscall.SIGTERM))
	require.Zero(t, w[0].ends(10*time.Second))
	require.Zero(t, c.ends(30*time.Second))
	rep := r.report()
	r.requireExact(rep)
	require.Zero(t, rep.Lost)
	require.Equal(t, r.n, r.seen())
	w[1].out.await(t, ": valid")
}

// The controller is killed, and with it the bus: every worker stops within a second and says why.
func TestFleetControllerKilled(t *testing.T) {
	t.Parallel()
	r := newFleetRig(t, 30_000, loopback(t))
	listen := testkit.FreeAddr(t)
	c := r.start("replay", r.tape, "--to", r.to, "--lane", "red", "--unsafe-target", "--workers", "2", "--bus-listen", listen)
	w := []*proc{r.start("worker", "--once", "--bus", "nats://"+listen), r.start("worker", "--once", "--bus", "nats://"+listen)}
	r.sent(1000)
	killed := time.Now()
	c.kill()
	r.silent(killed)
	for _, w := range w {
		require.Equal(t, exitInvalid, w.ends(15*time.Second), w.out)
		require.Regexp(t, "INVALID: (its controller has not been heard of|the lease could not be renewed)", w.out.String())
	}
	r.seen()
}

// The bus is killed: everybody stops within a second, and the controller says that the run is invalid.
func TestFleetBusKilled(t *testing.T) {
	t.Parallel()
	r := newFleetRig(t, 30_000, loopback(t))
	b := startProc(t, "busd")
	b.out.await(t, "\n")
	url := b.out.String()[:len(b.out.String())-1]
	c := r.start("replay", r.tape, "--to", r.to, "--lane", "red", "--unsafe-target", "--workers", "2", "--bus", url, "--results", r.results())
	w := []*proc{r.start("worker", "--bus", url), r.start("worker", "--once", "--bus", url)}
	r.sent(1000)
	killed := time.Now()
	b.kill()
	r.silent(killed)
	require.Equal(t, exitInvalid, c.ends(15*time.Second))
	require.Contains(t, c.out.String(), "the bus was lost")
	require.Equal(t, exitInvalid, w[1].ends(15*time.Second))
	w[0].out.await(t, "INVALID") // and waits for the next run
	require.NoError(t, r.report().Ledger.Balance())
	r.seen()
}

// A controller that is killed while the bus lives on.
func TestFleetControllerKilledBusLives(t *testing.T) {
	t.Parallel()
	r := newFleetRig(t, 30_000, loopback(t))
	b := startProc(t, "busd")
	b.out.await(t, "\n")
	url := b.out.String()[:len(b.out.String())-1]
	c := r.start("replay", r.tape, "--to", r.to, "--lane", "red", "--unsafe-target", "--workers", "2", "--bus", url)
	w := []*proc{r.start("worker", "--bus", url), r.start("worker", "--bus", url)}
	r.sent(1000)
	killed := time.Now()
	c.kill()
	r.silent(killed)
	for _, w := range w {
		w.out.await(t, "INVALID: its controller has not been heard of")
	}
	// The workers are there for the next run.
	again := r.start("replay", r.tape, "--to", r.to, "--lane", "red", "--unsafe-target", "--workers", "2", "--bus", url, "--rate", "1000x", "--lag-limit", "1m", "--skew-limit", "1m")
	require.Zero(t, again.ends(30*time.Second), again.out)
}

// An interrupt ends all workers, and the report is whole.
func TestFleetInterrupted(t *testing.T) {
	t.Parallel()
	r := newFleetRig(t, 30_000, loopback(t))
	c := r.start("replay", r.tape, "--to", r.to, "--lane", "red", "--unsafe-target", "--workers", "3", "--spawn", "--bus-listen", "127.0.0.1:0", "--skew-limit", "1m", "--results", r.results())
	r.sent(1000)
	begin := time.Now()
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGINT))
	require.Equal(t, exitStopped, c.ends(15*time.Second))
	require.Less(t, time.Unix(0, r.last.Load()).Sub(begin), time.Second)
	rep := r.report()
	require.NoError(t, rep.Ledger.Balance())
	require.Equal(t, r.seen(), int(rep.Sent))
}

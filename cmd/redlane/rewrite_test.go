package main

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/replayer"
)

// recordItems records users of the stateful service through the proxy and returns the tape and the number
// of requests in it.
func recordItems(t *testing.T, users int, flags ...string) (tapeDir string, requests int) {
	t.Helper()
	dir := t.TempDir()
	server := httptest.NewServer(testkit.NewItems())
	defer server.Close()
	listen := testkit.FreeAddr(t)
	tapeDir = filepath.Join(dir, "tape")
	rec := startRecord(t, dir, listen, server.Listener.Addr().String(), tapeDir, flags...)
	var g errgroup.Group
	g.SetLimit(16)
	counts := make([]int, users)
	for i := range users {
		g.Go(func() (err error) {
			counts[i], err = testkit.UseItems(listen, fmt.Sprintf("user-%d", i))
			return err
		})
	}
	require.NoError(t, g.Wait())
	rec.stop(t)
	for _, n := range counts {
		requests += n
	}
	return tapeDir, requests
}

// replayItems replays a tape against a service that has never heard of what is on it.
func replayItems(t *testing.T, tapeDir string, flags ...string) (*replayer.Result, *testkit.Items) {
	t.Helper()
	items := testkit.NewItems()
	server := httptest.NewServer(items)
	defer server.Close()
	results := filepath.Join(t.TempDir(), "results.json")
	args := append([]string{"replay", tapeDir, "--to", server.Listener.Addr().String(), "--lane", "red", "--unsafe-target", "--lag-limit", "1h", "--results", results}, flags...)
	out, err := exec.Command("redlane", args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	t.Logf("%s", out)
	data, err := os.ReadFile(results)
	require.NoError(t, err)
	res := new(replayer.Result)
	require.NoError(t, json.Unmarshal(data, res))
	return res, items
}

// good is the share of answers that were 2xx.
func good(res *replayer.Result) float64 {
	n := uint64(0)
	for status, count := range res.Statuses {
		if status/100 == 2 {
			n += count
		}
	}
	return float64(n) / float64(res.Ledger.Accepted)
}

// A recording full of ids and tokens that mean nothing to the target: with what is learned every request is
// understood, without it hardly one is.
func TestLearnedValuesMakeSessionsWork(t *testing.T) {
	for name, redact := range map[string]string{
		"nothing is redacted": "defaults: off\nrules: []\n",
		"cookies one by one":  "rules:\n  - {cookies: [other], headers: [x-none]}\n",
		"hashed":              "key: {env: HOME_KEY}\nrules:\n  - {headers: [authorization], cookies: [sid], json: [access_token], do: hash}\n",
		"masked":              "",
	} {
		t.Run(name, func(t *testing.T) {
			var flags []string
			if redact != "" {
				t.Setenv("HOME_KEY", "sixteen bytes or more")
				file := filepath.Join(t.TempDir(), "redact.yaml")
				require.NoError(t, os.WriteFile(file, []byte(redact), 0o644))
				flags = []string{"--redact-rules", file}
			}
			tapeDir, requests := recordItems(t, 100, flags...)
			res, _ := replayItems(t, tapeDir)
			require.EqualValues(t, requests, res.Ledger.Accepted)
			require.GreaterOrEqual(t, good(res), 0.999, "%v", res.Statuses)
			require.Positive(t, res.Rewritten.Learned)
			require.Zero(t, res.Rewritten.Unresolved)

			control, _ := replayItems(t, tapeDir, "--learn=off")
			require.Less(t, good(control), 0.2, "the control: what is learned does not matter here")
			require.Zero(t, control.Rewritten.Substituted)
		})
	}
}

// Fifty times the users: each clone is somebody else, and nothing that one was given is used by another.
func TestClonesDoNotCollide(t *testing.T) {
	const users, clones = 20, 50
	dir := t.TempDir()
	redact, rules := filepath.Join(dir, "redact.yaml"), filepath.Join(dir, "rules.yaml")
	require.NoError(t, os.WriteFile(redact, []byte("defaults: off\n"), 0o644))
	require.NoError(t, os.WriteFile(rules, []byte("identity: [json $.user, query user]\n"), 0o644))
	tapeDir, requests := recordItems(t, users, "--redact-rules", redact)

	// With no rule users log in fifty times; all else is theirs alone.
	res, items := replayItems(t, tapeDir, "--amplify", "50", "--rate", "0.2x")
	require.EqualValues(t, requests*clones, res.Ledger.Accepted)
	require.GreaterOrEqual(t, good(res), 0.999, "%v", res.Statuses)
	require.EqualValues(t, users*clones, res.Sessions)
	require.Len(t, items.Collisions(), users*(clones-1))
	require.Empty(t, slices.DeleteFunc(items.Collisions(), func(c string) bool { return strings.HasPrefix(c, "user ") }))

	res, items = replayItems(t, tapeDir, "--amplify", "50", "--rate", "0.2x", "--amplify-spread", "500ms", "--rules", rules)
	require.EqualValues(t, requests*clones, res.Ledger.Accepted)
	require.GreaterOrEqual(t, good(res), 0.999, "%v", res.Statuses)
	require.Empty(t, items.Collisions())
	require.Zero(t, res.Rewritten.Unresolved)
	require.Zero(t, res.Disorder)

	control, _ := replayItems(t, tapeDir, "--amplify", "50", "--rate", "0.2x", "--learn=off")
	require.Less(t, good(control), 0.2)
}

package mesh

import (
	"crypto/ed25519"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/lanes/ticket"
	"github.com/redlane/redlane/traffic"
)

func TestDrills(t *testing.T) {
	dir := t.TempDir()
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	write := func(name string, pem []byte, err error) string {
		require.NoError(t, err)
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, pem, 0o600))
		return path
	}
	pub, err := ticket.EncodePublic(public)
	good := write("drill.pub", pub, err)
	key, err := ticket.EncodePrivate(private)
	secret := write("drill.key", key, err)

	f := func(drills, want string) {
		t.Helper()
		c, err := Parse("m.yaml", []byte("drills: "+drills+"\nservices: {web: {listen: 127.0.0.1:1, endpoints: [127.0.0.1:2]}}\n"))
		if err == nil {
			err = c.CheckFiles()
		}
		if want == "" {
			require.NoError(t, err)
			keys, err := c.DrillKeys()
			require.NoError(t, err)
			require.Equal(t, ticket.KeysOf(public), keys)
			text, err := c.Effective()
			require.NoError(t, err)
			require.Contains(t, string(text), "max_ttl: 30m0s")
			return
		}
		require.EqualError(t, err, strings.ReplaceAll(want, "DIR", dir))
	}
	f("{keys: ["+good+"]}", "")
	f("{}", "m.yaml:1: drills: want keys: the public key files that redlane ticket keygen wrote")
	f("{keys: ["+good+"], max_ttl: 31m}", "m.yaml:1: drills: max_ttl: want at most 30m0s, found 31m0s")
	f("{keys: ["+good+"], maxttl: 1m}", `m.yaml:1: drills: no key "maxttl" (did you mean "max_ttl"?)`)
	f("{keys: ["+dir+"/gone.pub]}", "m.yaml:1: drills.keys[0]: open DIR/gone.pub: no such file or directory")
	f("{keys: ["+secret+"]}", "m.yaml:1: drills.keys[0]: DIR/drill.key: block 1 is PEM of a PRIVATE KEY; want a PUBLIC KEY (PKIX)")

	_, err = (&Config{}).DrillKeys()
	require.ErrorIs(t, err, ErrNoDrills)
}

func TestStruck(t *testing.T) {
	c, err := Parse("m.yaml", []byte("services:\n  web: {listen: 127.0.0.1:1, endpoints: [127.0.0.1:2], lanes: {red: [127.0.0.1:3]}}\n  db: {callers: {web: 127.0.0.1:4}, endpoints: [127.0.0.1:5]}\n"))
	require.NoError(t, err)
	f := func(lane traffic.Color, caller, callee, want string) {
		t.Helper()
		err := c.Struck(lane, caller, callee)
		if want == "" {
			require.NoError(t, err)
			return
		}
		require.EqualError(t, err, want)
	}
	f("red", "web", "db", "")
	f("red", "*", "*", "")
	f("rad", "web", "db", `lane: no service has a lane "rad" (did you mean "red"?)`)
	f("red", "wob", "db", `edge: no service "wob" (did you mean "web"?)`)
	f("red", "web", "cache", `edge: no service "cache"`)
	require.Equal(t, 30*time.Minute, maxFault)
}

package mesh_test

import (
	"crypto/ed25519"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/lanes/ticket"
	"github.com/redlane/redlane/mesh"
)

const ticketed = "services:\n  s: {listen: 127.0.0.1:9001, endpoints: [127.0.0.1:9101], lanes: {red: [127.0.0.1:9201]}}\n"

func TestTickets(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	pem, err := ticket.EncodePrivate(private)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "lane.key")
	require.NoError(t, os.WriteFile(file, pem, 0o600))

	parse := func(section string) (*mesh.Config, error) {
		c, err := mesh.Parse("mesh.yaml", []byte(section+ticketed))
		if err == nil {
			err = c.CheckFiles()
		}
		return c, err
	}
	c, err := parse("tickets: {key: " + file + ", ttl: 5s}\n")
	require.NoError(t, err)
	require.Equal(t, 5*time.Second, c.Tickets.TTL)
	keys, err := c.TicketKeys()
	require.NoError(t, err)
	require.Equal(t, ticket.KeysOf(public), keys)
	issuer, err := c.Tickets.Issuer("host")
	require.NoError(t, err)
	require.Equal(t, 5*time.Second, issuer.TTL())

	text, err := (&mesh.Config{Services: c.Services, Tickets: &mesh.Tickets{Key: mesh.File{Path: file}}}).Effective()
	require.NoError(t, err)
	require.Contains(t, string(text), "ttl: 1m0s")
	again, err := mesh.Parse("effective.yaml", text)
	require.NoError(t, err, "%s", text)
	require.Equal(t, file, again.Tickets.Key.Path)

	none, err := parse("")
	require.NoError(t, err)
	_, err = none.TicketKeys()
	require.ErrorIs(t, err, mesh.ErrNoTickets)

	f := func(section, want string) {
		t.Helper()
		_, err := parse(section)
		require.EqualError(t, err, want)
	}
	f("tickets: {ttl: 1m}\n", "mesh.yaml:1: tickets: want a key: the file that redlane ticket keygen wrote")
	f("tickets: {kee: a}\n", `mesh.yaml:1: tickets: no key "kee" (did you mean "key"?)`)
	f("tickets: {key: "+file+", ttl: -1s}\n", "mesh.yaml:1: tickets: ttl: -1s is negative")
	f("tickets: {key: "+file+", ttl: 5}\n", `mesh.yaml:1: tickets.ttl: want a duration such as 200ms or 1m30s, found "5"`)
	f("tickets: {key: /no/such}\n", "mesh.yaml:1: tickets.key: open /no/such: no such file or directory")
	f("tickets: {key: /dev/null}\n", "mesh.yaml:1: tickets.key: /dev/null: no PEM in it; redlane ticket keygen makes a key")
}

package mesh_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/mesh"
)

const secured = `services:
  web:
    listen: 127.0.0.1:9001
    endpoints: [127.0.0.1:9101]
    lanes: {red: ["unix:/run/web.sock"]}
    tls:
      cert: web.pem
      key: web.key
      client_ca: clients.pem
      client_auth: optional
    upstream_tls: {ca: ca.pem, server_name: web.internal, cert: us.pem, key: us.key, min_version: 1.3}
`

func TestParseTLS(t *testing.T) {
	c, err := mesh.Parse("mesh.yaml", []byte(secured))
	require.NoError(t, err)
	s := c.Services["web"]
	require.Equal(t, "web.key", s.TLS.Key.Path)
	require.Equal(t, 8, s.TLS.Key.Line)
	require.Equal(t, "services.web.tls.key", s.TLS.Key.Pos.Path)
	require.Equal(t, "web.internal", s.UpstreamTLS.ServerName)
	text, err := c.Effective()
	require.NoError(t, err)
	require.Contains(t, string(text), "min_version: \"1.2\"", "the default of tls")
	again, err := mesh.Parse("effective.yaml", text)
	require.NoError(t, err, "%s", text)
	require.Equal(t, "us.key", again.Services["web"].UpstreamTLS.Key.Path)
	twice, err := again.Effective()
	require.NoError(t, err)
	require.Equal(t, string(text), string(twice))

	var files []string
	for f := range c.TLSFiles() {
		files = append(files, f.Path)
	}
	require.Equal(t, []string{"web.pem", "web.key", "clients.pem", "us.pem", "us.key", "ca.pem"}, files)
}

func TestComplaintsAboutTLS(t *testing.T) {
	f := func(from, to, want string) {
		t.Helper()
		require.Contains(t, secured, from)
		_, err := mesh.Parse("mesh.yaml", []byte(strings.Replace(secured, from, to, 1)))
		require.EqualError(t, err, want)
	}
	f("      key: web.key\n", "", `mesh.yaml:6: services.web.tls: want a cert and its key`)
	f("      client_ca: clients.pem\n", "", `mesh.yaml:6: services.web.tls: client_auth: "optional" means nothing without a client_ca`)
	f("optional", "optionel", `mesh.yaml:6: services.web.tls: client_auth: want require or optional, found "optionel" (did you mean "optional"?)`)
	f("client_ca", "client_car", `mesh.yaml:9: services.web.tls: no key "client_car" (did you mean "client_ca"?)`)
	f("cert: web.pem", "cert: [web.pem]", `mesh.yaml:7: services.web.tls.cert: want one value, found a list`)
	f(", key: us.key", "", `mesh.yaml:11: services.web.upstream_tls: want a cert and its key, or neither`)
	f("min_version: 1.3", "min_version: 1.1", `mesh.yaml:11: services.web.upstream_tls: min_version: want 1.2 or 1.3, found "1.1"`)
	f("min_version: 1.3", "insecure_skip_verify: true", `mesh.yaml:11: services.web.upstream_tls: a ca means nothing with insecure_skip_verify`)
	f("server_name: web.internal, ", "", `mesh.yaml:11: services.web.upstream_tls: endpoint unix:/run/web.sock has no name to check a certificate against: want a server_name`)
}

// A Config made by a program has no places, and is checked all the same.
func TestCheckTLSWithoutAFile(t *testing.T) {
	c := &mesh.Config{Services: map[string]*mesh.Service{"s": {Listen: "127.0.0.1:0", Endpoints: []string{"127.0.0.1:1"}, TLS: new(mesh.ServerTLS)}}}
	require.EqualError(t, c.Check(), "services.s.tls: want a cert and its key")
}

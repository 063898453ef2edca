package testkit

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The corpus and its server agree about what is sent and answered.
func TestFidelityServer(t *testing.T) {
	addr := ServeFidelity(t, "127.0.0.1")
	for _, fc := range append(FidelityMore(), FidelityLarge()...) {
		sent, err := fc.Run(addr)
		require.NoError(t, err)
		require.NotEmpty(t, sent, fc.Name)
	}
	fc := Fidelity()[7]
	_, err := fc.Run(addr)
	require.NoError(t, err, fc.Name)
}

package injector

import (
	"crypto/ed25519"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/injector/token"
	"github.com/redlane/redlane/lanes/ticket"
	"github.com/redlane/redlane/traffic"
)

// What a proxy spends on a call that arms a fault, and on its end, HTTP apart.
func BenchmarkArmOverHTTP(b *testing.B) {
	public, key, err := ed25519.GenerateKey(nil)
	require.NoError(b, err)
	tok, err := token.Issue(key, []traffic.Color{"red"}, "b", time.Now(), time.Hour)
	require.NoError(b, err)
	table := NewTable(Config{Allow: func(text string, lane traffic.Color) error {
		_, err := token.Verify(ticket.KeysOf(public), text, lane, time.Now())
		return err
	}})
	handler := table.Handler()
	b.ReportAllocs()
	for b.Loop() {
		w, r := httptest.NewRecorder(), httptest.NewRequest("POST", "/faults", strings.NewReader(`{"id":"a","fault":"abort","lane":"red","edge":"* -> packet","share":1,"ttl":"10m0s"}`))
		r.Header.Set(token.Header, tok.String())
		handler.ServeHTTP(w, r)
		require.Equal(b, 201, w.Code)
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("DELETE", "/faults/a", nil))
	}
}

package token

import (
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/lanes/ticket"
	"github.com/redlane/redlane/traffic"
)

var (
	now = time.UnixMilli(1763755200000)
	key = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
)

func good(t testing.TB) *Token {
	t.Helper()
	k, err := Issue(key, []traffic.Color{"red", "blue", "red"}, "alice at home", now, time.Hour)
	require.NoError(t, err)
	return k
}

func TestTextIsTheToken(t *testing.T) {
	k := good(t)
	require.True(t, strings.HasPrefix(k.String(), "rdt1:lanes=blue,red:issuer=alice-at-home:nbf=1763755195000:exp=1763758800000:key="), k.String())
	back, err := Parse(k.String())
	require.NoError(t, err)
	require.Equal(t, k, back)
}

func TestVerify(t *testing.T) {
	keys := ticket.KeysOf(key.Public().(ed25519.PublicKey))
	var memory Verifier
	f := func(text string, lane traffic.Color, at time.Time, want string) {
		t.Helper()
		_, err := Verify(keys, text, lane, at)
		for range 2 { // what it remembers changes nothing
			_, again := memory.Verify(keys, text, lane, at)
			require.Equal(t, err, again)
		}
		if want == "" {
			require.NoError(t, err)
			return
		}
		var no *Error
		require.ErrorAs(t, err, &no)
		require.Contains(t, no.Cause, want)
		require.Equal(t, text == "", no.Missing)
	}
	text := good(t).String()
	f(text, "red", now, "")
	f(text, "blue", now.Add(time.Hour-1), "")
	f(text, "red", now.Add(-5*time.Second), "")
	f(text, "green", now, "is for lane blue, red, not for lane green")
	f(text, "red", now.Add(time.Hour), "has expired 0s ago")
	f(text, "red", now.Add(-6*time.Second), "is good only in 1s: compare the clocks")
	f("", "red", now, "a drill token is needed to start a fault, in header x-redlane-drill")
	f(strings.Replace(text, "alice", "alicf", 1), "red", now, "has a signature that is not of key")
	f(strings.Replace(text, "lanes=blue,red", "lanes=green", 1), "green", now, "has a signature that is not of key")
	_, err := memory.Verify(ticket.Keys{}, text, "red", now)
	require.ErrorContains(t, err, "is signed with key", "a key that was taken away")
	other, err := Issue(ed25519.NewKeyFromSeed([]byte(strings.Repeat("k", 32))), []traffic.Color{"red"}, "eve", now, time.Hour)
	require.NoError(t, err)
	f(other.String(), "red", now, "is signed with key "+other.KeyID+", not with "+ticket.KeyID(key.Public().(ed25519.PublicKey)))
	for range 2 * maxSeen {
		k, err := Issue(key, []traffic.Color{"red"}, "alice", now, time.Duration(len(memory.seen)+1)*time.Second)
		require.NoError(t, err)
		_, err = memory.Verify(keys, k.String(), "red", now)
		require.NoError(t, err)
	}
	require.LessOrEqual(t, len(memory.seen), maxSeen)
	forever := good(t)
	forever.Expires = now.Add(48 * time.Hour)
	copy(forever.signature[:], ed25519.Sign(key, forever.appendSigned(nil)))
	f(forever.String(), "red", now, "is good for longer than 24h0m0s")
}

func TestIssueRefuses(t *testing.T) {
	f := func(lanes []traffic.Color, life time.Duration, want string) {
		t.Helper()
		_, err := Issue(key, lanes, "", now, life)
		require.ErrorContains(t, err, want)
	}
	f(nil, time.Hour, "want 1 to 16 lanes, found 0")
	f([]traffic.Color{"baseline"}, time.Hour, `lane: not a colour: "baseline"`)
	f([]traffic.Color{"red", "*"}, time.Hour, `lane: not a colour: "*"`)
	f([]traffic.Color{"red"}, 25*time.Hour, "at most 24h0m0s")
	f([]traffic.Color{"red"}, 0, "more than nothing")
	_, err := Issue(nil, []traffic.Color{"red"}, "", now, time.Hour)
	require.ErrorContains(t, err, "want 64 bytes of Ed25519, found 0")
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	text := good(t).String()
	f := func(old, new, want string) {
		t.Helper()
		_, err := Parse(strings.Replace(text, old, new, 1))
		require.ErrorContains(t, err, want)
	}
	f("rdt1", "rdt2", `version: want rdt1, found "rdt2:`)
	f("lanes=blue,red", "lanes=red,blue", `lanes: want colours with commas between, sorted, found "red,blue"`)
	f("lanes=blue,red", "lanes=red,red", `lanes: want`)
	f("lanes=blue,red", "lanes=", `lanes: want`)
	f("lanes=blue,red", "lanes=baseline", `lanes: want`)
	f("issuer=", "issuer= ", `issuer: want a name`)
	f(":nbf=", ":nbg=", `nbf: want :nbf=`)
	f("exp=1", "exp=01", `exp: want milliseconds since 1970`)
	f("exp=1", "exp=999999999991", `exp: want milliseconds since 1970`)
	f("key=", "key=G", `key: want 16 hex digits`)
	f("sig=", "sig=A", `sig: want 86 characters of base64url`)
	_, err := Parse(text + ":more=1")
	require.ErrorContains(t, err, `end: want nothing more, found ":more=1"`)
	_, err = Parse(strings.Repeat("r", 3000))
	require.ErrorContains(t, err, "3000 bytes, want no more than 2048")
}

// Whatever the bytes: one line says what is wrong, or the text is the token.
func FuzzParse(f *testing.F) {
	f.Add(good(f).String())
	f.Add("rdt1:lanes=red:issuer=-:nbf=0:exp=0:key=0123456789abcdef:sig=" + strings.Repeat("A", 86))
	f.Add("rdt1:lanes=\n")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := Parse(text)
		if err != nil {
			require.NotContains(t, err.Error(), "\n")
			return
		}
		require.Equal(t, text, k.String())
	})
}

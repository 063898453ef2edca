package ticket_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/lanes"
	"github.com/redlane/redlane/lanes/ticket"
)

var now = time.UnixMilli(1763755200000)

// key is the same in every run.
func key(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

func public(n byte) ed25519.PublicKey { return key(n).Public().(ed25519.PublicKey) }

func issue(t testing.TB, rule lanes.Rule) string {
	t.Helper()
	i, err := ticket.NewIssuer("host 1", key(1), time.Minute)
	require.NoError(t, err)
	return i.Issue(ticket.Challenge{Nonce: "a-nonce_1", Lane: "red"}, "gateway", rule, now).String()
}

func Example() {
	issuer, _ := ticket.NewIssuer("host-1", key(1), time.Minute)
	asked, _ := ticket.ParseChallenge("a-nonce_1 red")
	text := issuer.Issue(asked, "gateway", lanes.Never, now).String()
	fmt.Println(text[:strings.Index(text, " sig=")])

	keys := ticket.KeysOf(public(1))
	_, err := keys.Verify(text, ticket.Want{Lane: "red", Nonce: "a-nonce_1"}, now)
	fmt.Println(err)
	_, err = keys.Verify(text, ticket.Want{Lane: "blue"}, now)
	fmt.Println(err)
	// Output:
	// rlt1 lane=red service=gateway fallback=never issuer=host-1 nbf=1763755195000 exp=1763755260000 nonce=a-nonce_1 key=34750f98bd59fcfc
	// <nil>
	// ticket of host-1 is for lane red, not for lane blue
}

func TestVerifySaysWhichCheckFailed(t *testing.T) {
	good := issue(t, lanes.Absent)
	keys := ticket.KeysOf(public(1), public(2))
	f := func(keys ticket.Keys, text string, want ticket.Want, at time.Time, check ticket.Check, cause string) {
		t.Helper()
		_, err := keys.Verify(text, want, at)
		if check == "" {
			require.NoError(t, err)
			return
		}
		var e *ticket.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, check, e.Failed)
		require.Contains(t, err.Error(), cause)
		require.NotContains(t, err.Error(), "\n")
	}
	red := ticket.Want{Lane: "red"}
	f(keys, good, red, now, "", "")
	f(keys, good, ticket.Want{Lane: "red", Service: "gateway", Nonce: "a-nonce_1"}, now, "", "")
	f(keys, good, red, now.Add(-5*time.Second), "", "")
	f(keys, good, red, now.Add(time.Minute-1), "", "")
	f(ticket.KeysOf(public(2)), good, red, now, ticket.UnknownKey, "not with "+ticket.KeyID(public(2)))
	f(nil, good, red, now, ticket.UnknownKey, "no key at all")
	f(ticket.Keys{ticket.KeyID(public(1)): public(2)}, good, red, now, ticket.BadSignature, "not of key")
	f(keys, strings.Replace(good, "lane=red", "lane=tan", 1), ticket.Want{Lane: "tan"}, now, ticket.BadSignature, "")
	f(keys, good, ticket.Want{Lane: "red", Nonce: "another-1"}, now, ticket.WrongNonce, "a-nonce_1, not another-1")
	f(keys, good, ticket.Want{Lane: "blue"}, now, ticket.WrongLane, "for lane red, not for lane blue")
	f(keys, good, ticket.Want{Lane: "red", Service: "packet"}, now, ticket.WrongService, "gateway, not for packet")
	f(keys, good, red, now.Add(-6*time.Second), ticket.NotYetValid, "good only in 1s: compare the clocks")
	f(keys, good, red, now.Add(time.Minute), ticket.Expired, "expired 0s ago")
	f(keys, good, red, now.Add(time.Hour), ticket.Expired, "expired 59m0s ago, at 2025-11-21T20:01:00Z")
	f(keys, good, ticket.Want{Lane: "red", Strict: true}, now, ticket.CanLeaveALane, "fall back to the baseline (absent)")
	f(keys, issue(t, lanes.Never), ticket.Want{Lane: "red", Strict: true}, now, "", "")
	f(keys, "", red, now, ticket.Malformed, "byte 0")
	f(ticket.Keys{ticket.KeyID(public(1)): nil}, good, red, now, ticket.BadSignature, "")

	any, err := ticket.NewIssuer("", key(2), 0)
	require.NoError(t, err)
	every := any.Issue(ticket.Challenge{Nonce: "a-nonce_1", Lane: "red"}, ticket.Any, lanes.Never, now)
	f(keys, every.String(), ticket.Want{Lane: "red", Service: "packet"}, now, "", "")
	require.Equal(t, "-", every.Issuer)
	require.Equal(t, ticket.DefaultTTL, any.TTL())
}

func TestParseSaysWhereItGoesWrong(t *testing.T) {
	good := issue(t, lanes.Never)
	f := func(text, want string) {
		t.Helper()
		_, err := ticket.Parse(text)
		require.ErrorContains(t, err, want)
	}
	f("", `at byte 0: want "rlt1", found the end`)
	f("<html>\x1b[31m and so on, a long page", `at byte 0: want "rlt1", found "<html>\x1b[31m and so on,`)
	f("rlt1 lane=Red", `at byte 10: lane: want a colour, found "Red"`)
	f("rlt1 lane=baseline service=a", "want a colour")
	f("rlt1 lane=red  service=a", `at byte 13: want " service="`)
	f(strings.Replace(good, "never", "often", 1), "fallback: want never")
	f(strings.Replace(good, "nbf=1", "nbf=+1", 1), "nbf: want milliseconds since 1970")
	f(strings.Replace(good, "exp=1", "exp=999", 1), "exp: want")
	f(strings.Replace(good, "a-nonce_1", "short", 1), "nonce: want 8 to 64")
	f(strings.Replace(good, "key=3", "key=G", 1), "key: want 16 hex")
	f(good[:len(good)-1], "sig: want 86")
	f(good+" ", `want the end, found " "`)
	f(good+"\n", "sig: want 86")
	f(good+strings.Repeat("x", 1024), "want no more than 1024")
}

func TestChallenge(t *testing.T) {
	f := func(value, fails string) {
		t.Helper()
		c, err := ticket.ParseChallenge(value)
		if fails != "" {
			require.ErrorContains(t, err, fails)
			return
		}
		require.NoError(t, err)
		require.Equal(t, value, c.String())
	}
	f("0123abcd red", "")
	f("", "found the end")
	f("0123abcd", "no colour")
	f("0123 red", "want a nonce")
	f("0123abcd Red", `"Red" is no colour`)
	f("0123abcd baseline", "no colour")
	f("0123abcd red blue", "no colour")
}

func TestKeysOfFiles(t *testing.T) {
	private, err := ticket.EncodePrivate(key(1))
	require.NoError(t, err)
	one, err := ticket.EncodePublic(public(1))
	require.NoError(t, err)
	two, err := ticket.EncodePublic(public(2))
	require.NoError(t, err)
	back, err := ticket.ParsePrivate(private)
	require.NoError(t, err)
	require.Equal(t, key(1), back)
	keys, err := ticket.ParsePublic(append(one, two...))
	require.NoError(t, err)
	require.Equal(t, ticket.KeysOf(public(1), public(2)), keys)

	f := func(parse func([]byte) error, data []byte, want string) {
		t.Helper()
		err := parse(data)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "\n")
	}
	priv := func(b []byte) error { _, err := ticket.ParsePrivate(b); return err }
	pub := func(b []byte) error { _, err := ticket.ParsePublic(b); return err }
	f(priv, nil, "no PEM in it")
	f(priv, one, "PEM of a PUBLIC KEY; want a PRIVATE KEY")
	f(priv, append(private, one...), "a PUBLIC KEY behind the key")
	f(priv, []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), "asn1")
	f(priv, []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"), "encrypted")
	f(pub, nil, "no PEM in it")
	f(pub, private, "block 1 is PEM of a PRIVATE KEY; want a PUBLIC KEY")
	f(pub, append(one, private...), "block 2 is PEM of a PRIVATE KEY")
	f(pub, []byte("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"), "block 1: asn1")
}

func TestIssuerRefusesWhatIsNoKey(t *testing.T) {
	_, err := ticket.NewIssuer("x", nil, 0)
	require.ErrorContains(t, err, "want 64 bytes")
	_, err = ticket.NewIssuer("x", key(1), -1)
	require.ErrorContains(t, err, "negative")
}

// What Parse takes is written back as it was, and nothing makes it panic.
func FuzzParse(f *testing.F) {
	f.Add(issue(f, lanes.Never))
	f.Add("rlt1 lane=red service=* fallback=absent issuer=- nbf=0 exp=1 nonce=abcdefgh key=0123456789abcdef sig=" + strings.Repeat("A", 86))
	f.Add("rlt1 lane=red service==")
	f.Add("")
	keys := ticket.KeysOf(public(2)) // has signed none of them
	f.Fuzz(func(t *testing.T, text string) {
		tk, err := ticket.Parse(text)
		if err != nil {
			require.NotContains(t, err.Error(), "\n")
			var e *ticket.Error
			require.True(t, errors.As(err, &e) && e.Failed == ticket.Malformed)
			return
		}
		require.Equal(t, text, tk.String())
		_, err = keys.Verify(text, ticket.Want{Lane: tk.Lane}, tk.NotBefore)
		require.Error(t, err)
	})
}

func FuzzParseChallenge(f *testing.F) {
	f.Add("0123abcd red")
	f.Add(" ")
	f.Fuzz(func(t *testing.T, value string) {
		c, err := ticket.ParseChallenge(value)
		if err != nil {
			require.NotContains(t, err.Error(), "\n")
			return
		}
		require.Equal(t, value, c.String())
	})
}

func BenchmarkIssue(b *testing.B) {
	i, err := ticket.NewIssuer("x", key(1), 0)
	require.NoError(b, err)
	for b.Loop() {
		_ = i.Issue(ticket.Challenge{Nonce: "a-nonce_1", Lane: "red"}, "gateway", lanes.Never, now).String()
	}
}

func BenchmarkVerify(b *testing.B) {
	keys, text := ticket.KeysOf(public(1)), issue(b, lanes.Never)
	for b.Loop() {
		if _, err := keys.Verify(text, ticket.Want{Lane: "red"}, now); err != nil {
			b.Fatal(err)
		}
	}
}

package rewrite

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
)

func pemFile(t *testing.T, key any) string {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	return file
}

// A recorded token, signed by production's key, becomes one that a library accepts under the test's key.
func TestJWT(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	for alg, key := range map[string]struct {
		yaml   string
		verify any
	}{
		"HS256": {"{env: K}", []byte("the secret of the test")},
		"HS384": {"{env: K}", []byte("the secret of the test")},
		"HS512": {"{env: K}", []byte("the secret of the test")},
		"RS256": {"{file: " + pemFile(t, rsaKey) + "}", rsaKey.Public()},
		"ES256": {"{file: " + pemFile(t, ecKey) + "}", ecKey.Public()},
	} {
		recorded := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
			"sub": "alice", "exp": recordedAt.Add(time.Hour).Unix(), "iat": recordedAt.Unix(), "nbf": recordedAt.Unix(), "big": 12345678901234567,
		})
		recorded.Header["kid"] = "production"
		old, err := recorded.SignedString([]byte("production's"))
		require.NoError(t, err)
		l := newLab(t, Config{File: parse(t, "sign:\n  - {jwt: {key: "+key.yaml+", alg: "+alg+", kid: test}}")})
		sent := l.send("GET /|Authorization: Bearer " + old)
		token, ok := strings.CutPrefix(sent, "GET /|Authorization: Bearer ")
		require.True(t, ok, sent)
		require.EqualValues(t, 1, l.memory.Counts().Signed)
		claims := jwt.MapClaims{}
		parsed, err := jwt.ParseWithClaims(token, claims, func(got *jwt.Token) (any, error) {
			require.Equal(t, alg, got.Method.Alg())
			return key.verify, nil
		}, jwt.WithTimeFunc(func() time.Time { return sentAt.Add(time.Minute) }), jwt.WithJSONNumber())
		require.NoError(t, err, alg)
		require.Equal(t, "test", parsed.Header["kid"])
		require.Equal(t, "alice", claims["sub"])
		require.EqualValues(t, "12345678901234567", claims["big"])
		exp, err := claims.GetExpirationTime()
		require.NoError(t, err)
		require.Equal(t, sentAt.Add(time.Hour).Unix(), exp.Unix())
	}
}

func TestJWTIsLeftAlone(t *testing.T) {
	f := func(rule, request, want string, unsigned uint64) {
		t.Helper()
		l := newLab(t, Config{Learn: LearnOn, File: parse(t, "sign:\n  - {jwt: {key: {env: K}"+rule+"}}")})
		json := "200|Content-Type: application/json||"
		l.exchange("POST /login", json+`{"token":"`+jwtA+`"}`, json+`{"token":"`+jwtB+`"}`)
		require.Equal(t, want, l.send(request))
		require.Equal(t, unsigned, l.memory.Counts().Unsigned)
	}
	f("", "GET /|Authorization: Bearer "+jwtA, "GET /|Authorization: Bearer "+jwtB, 0) // it is the target's own
	f("", "GET /|Authorization: Basic YTpi", "GET /|Authorization: Basic YTpi", 0)
	f("", "GET /", "GET /", 0)
	f("", "GET /|Authorization: Bearer a.b.c", "GET /|Authorization: Bearer a.b.c", 1)
	f(", in: query t", "GET /?t="+jwtA, "GET /?t="+jwtB, 0)
}

// The published test suite of Signature Version 4.
func TestSigV4Vectors(t *testing.T) {
	at := time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
	f := func(text, signed, want string) {
		t.Helper()
		l := newLab(t, Config{File: parse(t, "sign:\n  - {sigv4: {access_key: AKIDEXAMPLE, secret: {env: K}, region: us-east-1, service: service}}")})
		l.planner.rules.file.Sign[0].SigV4.secret = []byte("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
		m := &l.memory.message
		*m = request(t, text)
		m.Headers[len(m.Headers)-1].Value = []byte("example.amazonaws.com")
		l.memory.set("Authorization", []byte("AWS4-HMAC-SHA256 Credential=X/20200101/r/s/aws4_request, SignedHeaders="+signed+", Signature=0"))
		did, ok := l.planner.rules.file.Sign[0].by.sign(l.memory, &setting{now: at})
		require.True(t, did && ok)
		require.Equal(t, "20150830T123600Z", string(m.Get("x-amz-date")))
		require.Equal(t, "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders="+signed+", Signature="+want,
			string(m.Get("authorization")))
	}
	f("GET /", "host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31")                                                                   // get-vanilla
	f("POST /", "host;x-amz-date", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b")                                                                  // post-vanilla
	f("GET /?Param2=value2&Param1=value1", "host;x-amz-date", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500")                                       // get-vanilla-query-order-key-case
	f("GET /?Param1=value1", "host;x-amz-date", "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb")                                                     // get-vanilla-empty-query-key
	f("GET /-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", "host;x-amz-date", "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f") // get-unreserved
	f("GET /?-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz=-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", "host;x-amz-date",
		"9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197") // get-vanilla-query-unreserved
	f("GET /ሴ", "host;x-amz-date", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85")                                                                            // get-utf8
	f("GET /example/..", "host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31")                                                                   // get-relative
	f("GET //./", "host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31")                                                                          // normalize-path
	f("POST /|Content-Type:application/x-www-form-urlencoded||Param1=value1", "content-type;host;x-amz-date", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a") // post-x-www-form-urlencoded
	f(`GET /|My-Header1: value1|My-Header2: "a   b   c"`, "host;my-header1;my-header2;x-amz-date", "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736")            // get-header-value-trim
	f("GET /|My-Header1: value2|My-Header1: value2|My-Header1: value1", "host;my-header1;x-amz-date", "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea")         // get-header-key-duplicate
}

func TestSigV4(t *testing.T) {
	const rule = "sign:\n  - {sigv4: {access_key: AK, secret: {env: K}REST}}"
	f := func(rest, request string, did bool, contains ...string) {
		t.Helper()
		l := newLab(t, Config{File: parse(t, strings.Replace(rule, "REST", rest, 1))})
		sent := l.send(request)
		for _, c := range contains {
			require.Contains(t, sent, c)
		}
		if did {
			require.EqualValues(t, 1, l.memory.Counts().Signed)
		} else {
			require.Zero(t, l.memory.Counts().Signed)
			require.Equal(t, request, sent)
		}
	}
	old := "|Authorization: AWS4-HMAC-SHA256 Credential=P/20200101/eu-west-1/s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-security-token, Signature=0"
	f("", "GET /", false)
	f("", "GET /|Authorization: Bearer x", false)
	f("", "GET /|Authorization: REDACTED", false)
	f(", region: r, service: s", "GET /|X-Amz-Meta: 1|Authorization: REDACTED", true, "Credential=AK/20261121/r/s/aws4_request, SignedHeaders=host;x-amz-date;x-amz-meta, Signature=")
	f("", "GET /|X-Amz-Content-Sha256: old|X-Amz-Security-Token: old"+old, true,
		"X-Amz-Content-Sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "AK/20261121/eu-west-1/s3/", "SignedHeaders=host;x-amz-content-sha256;x-amz-date,")
	f(", token: {env: T}", "GET /|X-Amz-Security-Token: old"+old, true, "X-Amz-Security-Token: the secret of the test", "SignedHeaders=host;x-amz-date;x-amz-security-token,")
	f("", "GET /|X-Amz-Content-Sha256: UNSIGNED-PAYLOAD"+old, true, "X-Amz-Content-Sha256: UNSIGNED-PAYLOAD")
}

func TestHMAC(t *testing.T) {
	l := newLab(t, Config{File: parse(t, `
replace:
  - {header: x-date, value: '${now.unix}'}
sign:
  - hmac: {header: x-signature, key: {env: K}, text: "${method}\n${path}?${query}\n${header.x-date}\n${body.sha256}", hash: sha256, encoding: base64, value: 'v1=${signature}'}
`)})
	require.Equal(t, "PUT /a?b=c|x-date: 1795255200|x-signature: v1=D1koopCEmzNOLCUQgMEvg+GJlju5ET4221vtVH/nDjE=||body", l.send("PUT /a?b=c||body"))
}

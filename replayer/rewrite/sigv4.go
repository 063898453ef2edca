package rewrite

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/internal/escape"
	"github.com/redlane/redlane/traffic"
)

// SigV4 signs requests for AWS and what speaks like it (Signature Version 4, in the Authorization header).
// The same headers are signed as in the recording. Region and service are those of the recorded
// credential scope; where that was redacted they have to be given.
type SigV4 struct {
	AccessKey string       `yaml:"access_key"`
	Secret    conf.Secret  `yaml:"secret"`
	Token     *conf.Secret `yaml:"token"` // of a session; without it a recorded one is taken out
	Region    string       `yaml:"region"`
	Service   string       `yaml:"service"`

	secret, token []byte
}

const (
	sigAlgorithm = "AWS4-HMAC-SHA256"
	sigUnsigned  = "UNSIGNED-PAYLOAD"
)

func (a *SigV4) compile(_ []string, getenv func(string) string) (err error) {
	if a.AccessKey == "" {
		return errors.New("sigv4: access_key: want one")
	}
	if a.secret, err = a.Secret.Read(getenv); err != nil {
		return fmt.Errorf("sigv4: secret: %w", err)
	}
	if a.Token != nil {
		if a.token, err = a.Token.Read(getenv); err != nil {
			return fmt.Errorf("sigv4: token: %w", err)
		}
	}
	return nil
}

// sign signs requests that were signed, or whose signature was redacted.
func (a *SigV4) sign(m *Memory, in *setting) (did, ok bool) {
	msg := &m.message
	old := string(msg.Get("authorization"))
	if !strings.HasPrefix(old, sigAlgorithm+" ") && old != traffic.Mask {
		return false, true
	}
	region, service, signed := a.scope(old)
	if region == "" || service == "" {
		return false, false
	}
	stamp := string(appendTime(nil, in.now.UTC(), "amz"))
	m.set("X-Amz-Date", []byte(stamp))
	if a.token != nil {
		m.set("X-Amz-Security-Token", a.token)
	} else {
		m.set("X-Amz-Security-Token", nil)
	}
	payload, ok := a.payload(m)
	if !ok {
		return false, false
	}
	names := a.names(msg, signed)
	scope := stamp[:8] + "/" + region + "/" + service + "/aws4_request"
	request := sha256.Sum256(canonical(msg, names, payload, service))
	text := sigAlgorithm + "\n" + stamp + "\n" + scope + "\n" + hex.EncodeToString(request[:])

	key := append([]byte("AWS4"), a.secret...)
	for _, part := range []string{stamp[:8], region, service, "aws4_request", text} {
		key = hmacSHA256(key, part)
	}
	m.set("Authorization", fmt.Appendf(nil, "%s Credential=%s/%s, SignedHeaders=%s, Signature=%x",
		sigAlgorithm, a.AccessKey, scope, strings.Join(names, ";"), key))
	return true, true
}

func hmacSHA256(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text)) // never fails
	return mac.Sum(nil)
}

// scope is where and what for, and which headers were signed, as the recorded signature says.
func (a *SigV4) scope(old string) (region, service string, signed []string) {
	for field := range strings.SplitSeq(strings.TrimPrefix(old, sigAlgorithm), ",") {
		switch name, value, _ := strings.Cut(strings.TrimSpace(field), "="); name {
		case "Credential":
			if part := strings.Split(value, "/"); len(part) >= 5 {
				region, service = part[len(part)-3], part[len(part)-2]
			}
		case "SignedHeaders":
			signed = strings.Split(value, ";")
		}
	}
	if a.Region != "" {
		region = a.Region
	}
	if a.Service != "" {
		service = a.Service
	}
	return region, service, signed
}

// payload is the hash of the body, also where a header repeats it. Bodies signed chunk by chunk cannot be
// signed again.
func (a *SigV4) payload(m *Memory) (string, bool) {
	sum := sha256.Sum256(m.message.Body)
	payload := hex.EncodeToString(sum[:])
	switch old := m.message.Get("x-amz-content-sha256"); {
	case old == nil:
	case string(old) == sigUnsigned:
		payload = sigUnsigned
	case bytes.HasPrefix(old, []byte("STREAMING-")):
		return "", false
	default:
		m.set("X-Amz-Content-Sha256", []byte(payload))
	}
	return payload, true
}

// names lists the headers to sign, sorted: those of the recording that are still there, and those that are
// ours.
func (a *SigV4) names(msg *traffic.Message, signed []string) (names []string) {
	names = append(names, "host", "x-amz-date")
	if a.token != nil {
		names = append(names, "x-amz-security-token")
	}
	for _, name := range signed {
		if msg.Get(name) != nil {
			names = append(names, strings.ToLower(name))
		}
	}
	if signed == nil {
		for i := range msg.Headers {
			if name := strings.ToLower(string(msg.Headers[i].Name)); name == "content-type" || strings.HasPrefix(name, "x-amz-") {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// canonical is the request in the one form in which it is signed.
func canonical(msg *traffic.Message, names []string, payload, service string) []byte {
	path, query, _ := bytes.Cut(msg.Target, []byte("?"))
	b := append(append([]byte(nil), msg.Method...), '\n')
	b = append(canonicalPath(b, path, service != "s3"), '\n')
	b = append(canonicalQuery(b, query), '\n')
	for _, name := range names {
		b = append(append(b, name...), ':')
		first := true
		for i := range msg.Headers {
			if h := &msg.Headers[i]; traffic.EqualFold(h.Name, name) {
				if !first {
					b = append(b, ',')
				}
				b = append(b, bytes.Join(bytes.Fields(h.Value), []byte(" "))...)
				first = false
			}
		}
		b = append(b, '\n')
	}
	b = append(b, '\n')
	b = append(append(b, strings.Join(names, ";")...), '\n')
	return append(b, payload...)
}

// canonicalPath takes . and .. and empty segments out and encodes once more, but for S3, where a name is
// what is between slashes.
func canonicalPath(dst, path []byte, clean bool) []byte {
	if !clean {
		return escape.EscapeURL(dst, escape.UnescapeURL(nil, path, false), "/")
	}
	var kept [][]byte
	for s := range bytes.SplitSeq(path, []byte("/")) {
		switch string(s) {
		case "", ".":
		case "..":
			kept = kept[:max(0, len(kept)-1)]
		default:
			kept = append(kept, s)
		}
	}
	for _, s := range kept {
		dst = escape.EscapeURL(append(dst, '/'), s, "")
	}
	if len(kept) == 0 || len(path) > 0 && path[len(path)-1] == '/' {
		dst = append(dst, '/')
	}
	return dst
}

func canonicalQuery(dst, query []byte) []byte {
	var pairs []string
	for pair := range bytes.SplitSeq(query, []byte("&")) {
		if len(pair) == 0 {
			continue
		}
		key, value, _ := bytes.Cut(pair, equals)
		b := escape.EscapeURL(nil, escape.UnescapeURL(nil, key, false), "")
		b = append(b, '=')
		pairs = append(pairs, string(escape.EscapeURL(b, escape.UnescapeURL(nil, value, false), "")))
	}
	slices.SortFunc(pairs, func(a, b string) int { // by key, then value: = would sort among them
		ak, av, _ := strings.Cut(a, "=")
		bk, bv, _ := strings.Cut(b, "=")
		if c := strings.Compare(ak, bk); c != 0 {
			return c
		}
		return strings.Compare(av, bv)
	})
	return append(dst, strings.Join(pairs, "&")...)
}

package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"

	"compress/gzip"
	"compress/zlib"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// A planted is one exchange with a secret in one place.
type planted struct {
	head    []string // request lines behind the first, without Host and framing
	target  string
	body    string
	chunk   int // the request body goes in chunks of so many bytes, each in a segment of its own; 0: by length
	trailer string
	answer  func(w http.ResponseWriter) // nil: 200 and no body
}

// secretName is what every secret begins with, so that one look finds whatever is left of any.
const secretName = "hunter2-"

func secretText(i int) string { return fmt.Sprintf("%s%04d-5up3r", secretName, i) }

func percented(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%%%02x", s[i])
	}
	return b.String()
}

func unicoded(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, `\u%04x`, s[i])
	}
	return b.String()
}

func basic(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// packed is s under a content coding, and unpacked is its inverse.
func packed(coding, s string) string {
	var b bytes.Buffer
	var w io.WriteCloser
	switch coding {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "deflate":
		w = zlib.NewWriter(&b)
	case "zstd":
		w, _ = zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
	case "br":
		w = brotli.NewWriter(&b)
	}
	_, _ = io.WriteString(w, s) // into memory
	_ = w.Close()
	return b.String()
}

func unpacked(coding string, b []byte) []byte {
	var r io.Reader
	switch coding {
	case "gzip":
		r, _ = gzip.NewReader(bytes.NewReader(b))
	case "deflate":
		r, _ = zlib.NewReader(bytes.NewReader(b))
	case "zstd":
		d, _ := zstd.NewReader(bytes.NewReader(b), zstd.WithDecoderConcurrency(1))
		r = d
	case "br":
		r = brotli.NewReader(bytes.NewReader(b))
	default:
		return b
	}
	out, _ := io.ReadAll(r)
	return out
}

const (
	typeJSON = "Content-Type: application/json"
	typeForm = "Content-Type: application/x-www-form-urlencoded"
	typeText = "Content-Type: text/plain"
	typePart = "Content-Type: multipart/form-data; boundary=limit"
)

func part(head, content string) string {
	return "--limit\r\n" + head + "\r\n\r\n" + content + "\r\n--limit--\r\n"
}

func answer(lines map[string]string, chunks ...string) func(w http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		for name, value := range lines {
			w.Header().Set(name, value)
		}
		for _, c := range chunks {
			_, _ = io.WriteString(w, c)
			w.(http.Flusher).Flush() // a chunk of its own
		}
	}
}

// letters is s in pieces of three bytes.
func letters(s string) (out []string) {
	for len(s) > 3 {
		out, s = append(out, s[:3]), s[3:]
	}
	return append(out, s)
}

// places are where a secret can stand. The rules in secrets_test.go name every one.
var places = []func(s string) planted{
	func(s string) planted {
		return planted{head: []string{"Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0." + s}}
	},
	func(s string) planted { return planted{head: []string{"Authorization: Basic " + basic(s)}} },
	func(s string) planted { return planted{head: []string{"Cookie: theme=dark; sid=" + s}} },
	func(s string) planted { return planted{head: []string{"X-API-KEY: " + s}} },
	func(s string) planted { return planted{head: []string{"Proxy-Authorization: Digest response=" + s}} },
	func(s string) planted { return planted{target: "?a=1&token=" + s + "&b=2"} },
	func(s string) planted { return planted{target: "?tok%65n=" + percented(s)} },
	func(s string) planted {
		return planted{target: "?next=http%3A%2F%2Fh%2F%3Ftoken%3D" + s}
	},
	func(s string) planted { return planted{head: []string{"Referer: http://h/a?x=1&token=" + s}} },
	func(s string) planted { return planted{head: []string{"Referer: http://me:" + s + "@h/a"}} },
	func(s string) planted { return planted{target: "/reset/pin=" + s} },
	func(s string) planted { return planted{head: []string{"X-Note: your pin=" + s + ", keep it"}} },
	func(s string) planted {
		return planted{head: []string{typeForm}, body: "a=1&p%61ssword=" + s + "&b=2"}
	},
	func(s string) planted {
		return planted{head: []string{typeForm}, body: "password=" + percented(s), chunk: 3}
	},
	func(s string) planted {
		return planted{head: []string{typePart}, body: part(`Content-Disposition: form-data; name="Password"`, s)}
	},
	func(s string) planted {
		return planted{head: []string{typePart}, chunk: 4, body: part(`Content-Disposition: form-data; name="password"; filename="`+s+`.txt"`, s)}
	},
	func(s string) planted {
		return planted{head: []string{typePart}, body: part("Content-Disposition: form-data; name=doc\r\n"+typeJSON, `{"password":"`+s+`"}`)}
	},
	func(s string) planted {
		return planted{head: []string{typeJSON}, body: `{"a":[{"Password":"` + s + `"}],"b":1}`}
	},
	func(s string) planted {
		return planted{head: []string{typeJSON}, body: `{"card":{"number":"` + s + `"}}`, chunk: 3}
	},
	func(s string) planted {
		return planted{head: []string{typeJSON}, body: `{"pass\u0077ord":"` + unicoded(s) + `"}`}
	},
	func(s string) planted {
		return planted{head: []string{typeJSON}, body: `{"event":"{\"user\":{\"password\":\"` + s + `\"}}"}`}
	},
	func(s string) planted {
		return planted{head: []string{typeJSON}, body: `{"event":"{\"user\":\"{\\\"password\\\":\\\"` + s + `\\\"}\"}"}`, chunk: 7}
	},
	func(s string) planted {
		return planted{head: []string{"Content-Type: application/x-ndjson"}, body: "{\"a\":1}\n{\"password\":\"" + s + "\"}\n{\"a\":2}\n"}
	},
	func(s string) planted {
		return planted{head: []string{typeJSON}, body: `{"a":1, password: "` + s + `"}`} // not JSON
	},
	func(s string) planted {
		return planted{head: []string{typeText}, body: "Your pin=" + s + " is new.", chunk: 2}
	},
	func(s string) planted {
		return planted{head: []string{typeJSON}, body: `{"text":"pin\u003d` + unicoded(s) + `"}`}
	},
	func(s string) planted {
		return planted{head: []string{typeJSON, "Content-Encoding: gzip"}, body: packed("gzip", `{"password":"`+s+`"}`), chunk: 3}
	},
	func(s string) planted {
		return planted{head: []string{typeForm, "Content-Encoding: deflate"}, body: packed("deflate", "password="+s)}
	},
	func(s string) planted {
		return planted{head: []string{typeJSON, "Content-Encoding: zstd"}, body: packed("zstd", `{"password":"`+s+`"}`)}
	},
	func(s string) planted {
		return planted{head: []string{typeText, "Content-Encoding: br"}, body: packed("br", "pin="+s)}
	},
	func(s string) planted {
		return planted{head: []string{typeJSON, "Content-Encoding: rot13"}, body: `{"password":"` + s + `"}`} // unknown
	},
	func(s string) planted {
		return planted{head: []string{typeText, "Trailer: X-Api-Key"}, body: "x", chunk: 1, trailer: "X-Api-Key: " + s}
	},
	func(s string) planted {
		return planted{answer: answer(map[string]string{"Set-Cookie": "sid=" + s + "; Path=/; HttpOnly"})}
	},
	func(s string) planted {
		return planted{answer: answer(map[string]string{"Location": "https://h/cb#token=" + s})}
	},
	func(s string) planted {
		return planted{answer: answer(map[string]string{"Content-Type": "application/json"}, letters(`{"password":"`+s+`"}`)...)}
	},
	func(s string) planted {
		return planted{answer: answer(map[string]string{"Content-Type": "application/json", "Content-Encoding": "gzip"}, letters(packed("gzip", `[{"password":"`+s+`"}]`))...)}
	},
	func(s string) planted {
		return planted{answer: answer(map[string]string{http.TrailerPrefix + "X-Api-Key": s}, "x")}
	},
	func(s string) planted { // a field of an EU user, whose region only the request says
		return planted{head: []string{"X-Region: EU"}, answer: answer(map[string]string{"Content-Type": "application/json"}, `{"mail":"`+s+`"}`)}
	},
	func(s string) planted {
		return planted{head: []string{typeJSON}, body: `{"region":"uk","mail":"` + s + `"}`}
	},
	func(s string) planted { // hashed
		return planted{head: []string{"X-Account: " + s, typeJSON}, body: `{"account":"` + s + `"}`}
	},
}

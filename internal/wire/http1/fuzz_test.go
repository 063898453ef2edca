package http1

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/redlane/redlane/traffic"
	"github.com/stretchr/testify/require"
)

// The fuzz targets ask two things of every input: does it read the same however it is split, and does a
// reader that shares no code with ours (net/http) agree about what it is and where it ends.

// FuzzRequest reads a stream of requests.
func FuzzRequest(f *testing.F) {
	for _, c := range corpus(f) {
		f.Add(c.data, uint64(1))
	}
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		lim := &Limits{Body: 1 << 20}
		s := &stream{server: true, lim: lim}
		want := s.read(data)
		require.Equal(t, want, (&stream{server: true, lim: lim}).read(data, cuts(seed, len(data))...), "split by seed %d", seed)
		if len(s.heads) == 0 {
			return
		}
		// net/http skips no empty lines.
		rest := data[blankLines(data):]
		br := bufio.NewReader(bytes.NewReader(rest))
		for _, ours := range s.heads {
			theirs, err := http.ReadRequest(br)
			if err != nil {
				require.True(t, excused(err), "we accept what net/http refuses: %v\n%s", err, want)
				return
			}
			body, err := io.ReadAll(theirs.Body)
			require.NoError(t, err)
			require.Equal(t, string(ours.Method), theirs.Method)
			require.Equal(t, string(ours.Target), theirs.RequestURI)
			require.Equal(t, int(ours.Minor), theirs.ProtoMinor)
			require.Equal(t, string(ours.Body), string(body))
			requireSameHeaders(t, ours.Headers, theirs.Header, theirs.Host)
			if blank, _ := br.Peek(2); string(blank) == "\r\n" {
				return // the next request follows empty lines
			}
		}
	})
}

// FuzzResponse reads a stream of responses to GET, HEAD or CONNECT.
func FuzzResponse(f *testing.F) {
	for _, c := range corpus(f) {
		f.Add(c.data, uint64(1))
		f.Add(c.data, uint64(2))
	}
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		method := []string{"GET", "GET", "HEAD", "CONNECT"}[seed%4]
		fresh := func() *stream { return &stream{methods: []string{method}, lim: &Limits{Body: 1 << 20}} }
		s := fresh()
		want := s.read(data)
		require.Equal(t, want, fresh().read(data, cuts(seed, len(data))...), "split by seed %d", seed)
		br := bufio.NewReader(bytes.NewReader(data))
		for _, ours := range s.heads {
			if ours.Status == 101 || method == "CONNECT" {
				return // net/http has no tunnels here
			}
			theirs, err := http.ReadResponse(br, &http.Request{Method: method})
			if err != nil {
				require.True(t, excused(err), "we accept what net/http refuses: %v\n%s", err, want)
				return
			}
			body, err := io.ReadAll(theirs.Body)
			require.NoError(t, err)
			require.Equal(t, ours.Status, theirs.StatusCode)
			require.Equal(t, int(ours.Minor), theirs.ProtoMinor)
			require.Equal(t, string(ours.Body), string(body))
			requireSameHeaders(t, ours.Headers, theirs.Header, "")
			if ours.Status >= 200 {
				method = "GET"
			}
		}
	})
}

// FuzzBody reads a chunked body.
func FuzzBody(f *testing.F) {
	for _, c := range corpus(f) {
		if _, body, ok := bytes.Cut(c.data, []byte("\r\n\r\n")); ok {
			f.Add(body, uint64(1))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		read := func(cuts ...int) (body []byte, n int, done bool, trailers []traffic.Header, err error) {
			var d Body
			d.Init(Framing{Kind: Chunked}, nil)
			at := 0
			for _, c := range append(cuts, len(data)) {
				for at < c && !done && err == nil {
					var part []byte
					var k int
					part, k, done, err = d.Next(data[at:c])
					require.True(t, k > 0 || err != nil, "consumed nothing")
					body, at = append(body, part...), at+k
				}
			}
			return body, at, done, d.Trailers(), err
		}
		body, n, done, trailers, err := read()
		body2, n2, done2, trailers2, err2 := read(cuts(seed, len(data))...)
		require.Equal(t, fmt.Sprint(string(body), done, err, trailers), fmt.Sprint(string(body2), done2, err2, trailers2), "split by seed %d", seed)
		if !done {
			return
		}
		require.Equal(t, n, n2)
		head := "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
		br := bufio.NewReader(io.MultiReader(strings.NewReader(head), bytes.NewReader(data)))
		theirs, err := http.ReadRequest(br)
		require.NoError(t, err)
		their, err := io.ReadAll(theirs.Body)
		if err != nil && len(trailers) > 0 {
			return // it is pickier about trailer lines longer than its buffer
		}
		require.NoError(t, err)
		require.Equal(t, string(body), string(their))
		rest, _ := io.ReadAll(br)
		require.Equal(t, string(data[n:]), string(rest))

		// And what we write of it reads as the same.
		again := AppendLastChunk(AppendChunk(nil, body), trailers)
		var d Body
		d.Init(Framing{Kind: Chunked}, nil)
		var back []byte
		for end := false; !end; {
			part, k, e, err := d.Next(again)
			require.NoError(t, err)
			require.True(t, k > 0, "stuck before the end")
			back, again, end = append(back, part...), again[k:], e
		}
		require.Empty(t, again)
		require.Equal(t, string(body), string(back))
	})
}

// cuts are up to eight ascending places within size.
func cuts(seed uint64, size int) (at []int) {
	if size == 0 {
		return nil
	}
	r := rand.New(rand.NewPCG(seed, uint64(size)))
	for range 1 + r.IntN(8) {
		at = append(at, r.IntN(size+1))
	}
	sort.Ints(at)
	return at
}

// excused tells the refusals of net/http that are not about framing: it parses the URL, and it judges
// the list of announced trailers.
func excused(err error) bool {
	var u *url.Error
	return errors.As(err, &u) || strings.Contains(err.Error(), "bad trailer key") || strings.Contains(err.Error(), "invalid URI")
}

// requireSameHeaders compares our lines with net/http's map, which drops Host, Transfer-Encoding and
// Trailer, and keeps the order of values of one name only.
func requireSameHeaders(t *testing.T, ours []traffic.Header, theirs http.Header, host string) {
	t.Helper()
	got := http.Header{}
	for _, h := range ours {
		switch name := http.CanonicalHeaderKey(string(h.Name)); name {
		case "Host":
			if host == "" {
				got[name] = append(got[name], string(h.Value))
			}
		case "Transfer-Encoding", "Trailer", "Connection": // taken away, or changed
		case "Pragma", "Cache-Control": // it adds the one where the other stands
		default:
			got[name] = append(got[name], string(h.Value))
		}
	}
	want := theirs.Clone()
	for _, name := range []string{"Trailer", "Transfer-Encoding", "Connection", "Pragma", "Cache-Control"} {
		want.Del(name)
	}
	if host == "" {
		got.Del("Host")
		want.Del("Host")
	}
	for name := range want {
		require.True(t, slices.Equal(want[name], got[name]), "%s: net/http %q, we %q", name, want[name], got[name])
	}
	require.Len(t, got, len(want))
}

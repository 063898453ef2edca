package gor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/redlane/redlane/recorder"
	"github.com/redlane/redlane/recorder/format/codec"
	"github.com/redlane/redlane/traffic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// say is what src yields, an exchange or a loss a line.
func say(t testing.TB, src traffic.Source) (out []string) {
	t.Helper()
	x := new(traffic.Exchange)
	for {
		err := src.Next(t.Context(), x)
		var lost *recorder.Lost
		switch {
		case errors.Is(err, io.EOF):
			require.NoError(t, src.Close())
			return out
		case errors.As(err, &lost):
			out = append(out, lost.Why.String()+" "+lost.Error())
		default:
			require.NoError(t, err)
			out = append(out, fmt.Sprintf("%x.%d %s %s %q %d %q %d+%d+%d %s", x.Session, x.Seq, x.Request.Method, x.Request.Target, x.Request.Body,
				x.Response.Status, x.Response.Body, x.Start, x.FirstByte, x.Latency, x.Flags))
		}
	}
}

func made(records ...string) string { return strings.Join(append(records, ""), separator) }

const (
	id1 = "9c400050c0a8000100000001"
	id2 = "9c400050c0a8000100000002"
	old = "f45590522cd1838b4a0d5c5aab80b77929dea3b3"
	get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
)

// Files written by hand from the description of the format.
func TestReads(t *testing.T) {
	f := func(in string, want ...string) {
		t.Helper()
		require.Equal(t, want, say(t, newPairs("f", newRecords(oneByte{strings.NewReader(in)}, codec.Options{Name: "f"}))))
		require.Equal(t, want, say(t, newPairs("f", newRecords(strings.NewReader(in), codec.Options{Name: "f"}))))
	}
	ok := "2 " + id1 + " 1500 40\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
	f(made("1 "+id1+" 1000 7\n"+get, ok), `9c400050c0a80001.0 GET / "" 200 "hi" 1000+500+540 -`)
	f(made("1 "+id1+" 1000\n"+get), `9c400050c0a80001.0 GET / "" 0 "" 1000+0+0 -`)
	// GoReplay writes a message when it knows its end: of a request that may be after its response.
	f(made(ok, "1 "+id1+" 1000\n"+get), `9c400050c0a80001.0 GET / "" 200 "hi" 1000+500+540 -`)
	f(made(ok, "1 "+id1+" 2000\n"+get), `9c400050c0a80001.0 GET / "" 0 "" 2000+0+0 -`, "unfinished f:1: a response without its request")
	f(made(ok, ok, "1 "+id1+" 1000\n"+get), `9c400050c0a80001.0 GET / "" 200 "hi" 1000+500+540 -`, "unfinished f:1: a response without its request")
	// Sorted by time; two requests of one connection.
	f(made("1 "+id2+" 2000\n"+get, "1 "+id1+" 1000\n"+get, ok), `9c400050c0a80001.0 GET / "" 200 "hi" 1000+500+540 -`, `9c400050c0a80001.1 GET / "" 0 "" 2000+0+0 -`)
	// An old id is no connection. An answer to a replay is no exchange.
	f(made("1 "+old+" 1\n"+get, "3 "+old+" 2 3\nHTTP/1.1 200 OK\r\n\r\n"), fmt.Sprintf(`%x.0 GET / "" 0 "" 1+0+0 -`, traffic.RequestID([]byte(old))))

	// A separator in a body: by length, in chunks, twice, at the end.
	post := "1 " + id1 + " 1000\nPOST / HTTP/1.1\r\nHost: h\r\n"
	f(made(post+"Content-Length: 17\r\n\r\na"+separator+"bc"), `9c400050c0a80001.0 POST / "a\n🐵🙈🙉\nbc" 0 "" 1000+0+0 -`)
	f(made(post+"Content-Length: 29\r\n\r\n"+separator+separator+"x"), `9c400050c0a80001.0 POST / "\n🐵🙈🙉\n\n🐵🙈🙉\nx" 0 "" 1000+0+0 -`)
	f(made(post+"Transfer-Encoding: chunked\r\n\r\n1c\r\n"+separator+separator+"\r\n0\r\nA: b\r\n\r\n", "1 "+id2+" 2000\n"+get),
		`9c400050c0a80001.0 POST / "\n🐵🙈🙉\n\n🐵🙈🙉\n" 0 "" 1000+0+0 -`, `9c400050c0a80001.1 GET / "" 0 "" 2000+0+0 -`)
	// A body that was cut, before others: they are no part of it.
	f(made(post+"Content-Length: 5000000\r\n\r\nabc", "1 "+id2+" 2000\n"+get), `9c400050c0a80001.0 POST / "abc" 0 "" 1000+0+0 request-cut`, `9c400050c0a80001.1 GET / "" 0 "" 2000+0+0 -`)
	f(made(post+"Transfer-Encoding: chunked\r\n\r\n1c\r\nabc", "1 "+id2+" 2000\n"+get), `9c400050c0a80001.0 POST / "abc" 0 "" 1000+0+0 request-cut`, `9c400050c0a80001.1 GET / "" 0 "" 2000+0+0 -`)
	// The answer to a HEAD has no body, even where one would fit what follows.
	head := "1 " + id1 + " 1000\nHEAD / HTTP/1.1\r\nHost: h\r\n\r\n"
	next := "1 " + id2 + " 2000\n" + get
	f(made(head, fmt.Sprintf("2 %s 1500\nHTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", id1, len(separator)+len(next)), next),
		`9c400050c0a80001.0 HEAD / "" 200 "" 1000+500+500 -`, `9c400050c0a80001.1 GET / "" 0 "" 2000+0+0 -`)
	// Interim answers, an answer up to the end of the connection, a switch of protocols.
	f(made("1 "+id1+" 1000\n"+get, "2 "+id1+" 1500\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nall"), `9c400050c0a80001.0 GET / "" 200 "all" 1000+500+500 continued`)
	f(made("1 "+id1+" 1000\nGET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "2 "+id1+" 1500\nHTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nabc"),
		`9c400050c0a80001.0 GET / "" 101 "" 1000+500+500 UG`)
	// No Host, as HTTP/1.0 and logs have it.
	f(made("1 "+id1+" 1000\nGET /x HTTP/1.1\r\nA: b\r\n\r\n"), `9c400050c0a80001.0 GET /x "" 0 "" 1000+0+0 -`)

	// What is none costs itself and nothing else.
	const line = "format f:1: a record begins with its type, an id and a time, and this line does not"
	f(made("hello", "1 "+id1+" 1000\n"+get), line, `9c400050c0a80001.0 GET / "" 0 "" 1000+0+0 -`)
	f(made("4 a 1\n"+get), line)
	f(made("1 a b\n"+get), line)
	f(made("1 a 1\n"), "protocol f:1: the head is not complete")
	f("1 a 1\n"+get, "format f:1: the file ends inside a record")
	f("1 a 1", line)
	f("")
	f("\n\n")
	f(made("1 "+id1+" 1000\nGET HTTP/1.1\r\n\r\n"), "protocol f:1: the request line has no version")
	f(made("1 "+id1+" 1000\n"+get+"more"), "protocol f:1: bytes follow the end of the message")
	f(made("1 "+id1+" 1000\n"+get, "2 "+id1+" 1500\nnonsense"), "protocol f:7: the version is not HTTP/ and two digits")
}

// oneByte gives its bytes one at a time.
type oneByte struct{ r io.Reader }

func (o oneByte) Read(b []byte) (int, error) { return o.r.Read(b[:min(1, len(b))]) }

// What is written is what GoReplay writes.
func TestWrites(t *testing.T) {
	x := &traffic.Exchange{Session: 0x9c400050c0a80001, Seq: 1, Start: 1000, FirstByte: 500, Latency: 540}
	x.Request = traffic.Message{Method: []byte("POST"), Target: []byte("/"), Minor: 1, Body: []byte("hi"), BodySize: 2}
	x.Request.Headers = []traffic.Header{{Name: []byte("host"), Value: []byte("h")}, {Name: []byte("Content-Length"), Value: []byte("2")}}
	x.Response = traffic.Message{Status: 200, Reason: []byte("OK"), Minor: 1, Body: []byte("until the end"), BodySize: 13}
	f := func(want string) {
		t.Helper()
		var b bytes.Buffer
		w := newWriter(&b)
		require.NoError(t, w.Put(t.Context(), x))
		require.NoError(t, w.Close())
		require.Equal(t, want, b.String())
	}
	f(made("1 "+id1+" 1000 0\nPOST / HTTP/1.1\r\nhost: h\r\nContent-Length: 2\r\n\r\nhi", "2 "+id1+" 1500 40\nHTTP/1.1 200 OK\r\n\r\nuntil the end"))
	x.Response = traffic.Message{}
	x.Request.Body, x.Request.BodySize = []byte(separator), 14
	x.Request.Headers[1].Value = []byte("14")
	f(made("1 " + id1 + " 1000 0\nPOST / HTTP/1.1\r\nhost: h\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n\n🐵\xf0\x9f\r\n7\r\n\x99\x88🙉\n\r\n0\r\n\r\n"))

	x.Request.Minor, x.Request.Headers[1].Value = 0, []byte("14")
	var no *codec.Refusal
	require.ErrorAs(t, newWriter(io.Discard).Put(t.Context(), x), &no)
	require.Equal(t, "separator", no.Why)
}

// Pipelined requests have one time. Whoever sorts by it, as GoReplay does in an unstable way, keeps their order.
func TestNoTwoRequestsHaveOneTime(t *testing.T) {
	var b bytes.Buffer
	w := newWriter(&b)
	var want []string
	for i, start := range []int64{1000, 1000, 1000, 1001, 1003, 1004, 900, 900} {
		x := &traffic.Exchange{Session: 1, Seq: uint64(i), Start: start, FirstByte: 5, Latency: 7}
		x.Request = traffic.Message{Method: []byte("GET"), Target: []byte("/"), Minor: 1, Headers: []traffic.Header{{Name: []byte("Host"), Value: []byte("h")}}}
		x.Response = traffic.Message{Status: 204, Reason: []byte("No Content"), Minor: 1}
		require.NoError(t, w.Put(t.Context(), x))
		at := []int64{1000, 1001, 1002, 1003, 1004, 1005, 900, 901}[i]
		want = append(want, fmt.Sprintf("1 %016x%08x %d 0\n%s", 1, i, at, get), fmt.Sprintf("2 %016x%08x %d 2\nHTTP/1.1 204 No Content\r\n\r\n", 1, i, at+5))
	}
	require.NoError(t, w.Close())
	require.Equal(t, made(want...), b.String())
	require.Equal(t, codec.Notes{noteApart: 6}, w.Notes())
}

// Requests that nobody answers do not fill the memory: the oldest goes on alone.
func TestWaitingIsBounded(t *testing.T) {
	const n = 40
	big := strings.Repeat("x", 8<<20)
	i := 0
	r := readerFunc(func(b []byte) (int, error) {
		if i == n {
			return 0, io.EOF
		}
		rec := fmt.Sprintf("1 %024x %d\nPOST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s%s", i, i, i, len(big), big, separator)
		i++
		return copy(b, rec), nil
	})
	p := newPairs("f", newRecords(&whole{r: r}, codec.Options{Name: "f"}))
	x := new(traffic.Exchange)
	for j := range n {
		require.NoError(t, p.Next(t.Context(), x))
		require.Equal(t, fmt.Sprintf("/%d", j), string(x.Request.Target))
		require.LessOrEqual(t, p.held, maxWaiting+9<<20)
	}
	require.ErrorIs(t, p.Next(t.Context(), x), io.EOF)
}

// Nor do responses whose requests were lost, whatever comes with them: each of those finds its own.
func TestResponsesWithoutRequestsAreBounded(t *testing.T) {
	const n = 40
	big := strings.Repeat("x", 8<<20)
	i := 0
	r := readerFunc(func(b []byte) (int, error) {
		if i == n {
			return 0, io.EOF
		}
		rec := fmt.Sprintf("2 %024x %d\nHTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s%s", i, i, len(big), big, separator)
		rec += fmt.Sprintf("2 %024x %d\nHTTP/1.1 204 No Content\r\n\r\n%[3]s1 %024[1]x %[2]d\n%[4]s%[3]s", n+i, i, separator, get)
		i++
		return copy(b, rec), nil
	})
	p := newPairs("f", newRecords(&whole{r: r}, codec.Options{Name: "f"}))
	x, lost, answered := new(traffic.Exchange), 0, 0
	for {
		err := p.Next(t.Context(), x)
		if errors.Is(err, io.EOF) {
			break
		}
		require.LessOrEqual(t, p.early.held, maxEarly+9<<20)
		if no := new(recorder.Lost); errors.As(err, &no) {
			lost++
			continue
		}
		require.NoError(t, err)
		require.Equal(t, 204, x.Response.Status)
		answered++
	}
	require.Equal(t, [2]int{n, n}, [2]int{lost, answered})
	require.Empty(t, p.early.byID)
	require.Zero(t, p.early.held)
}

// A request whose end GoReplay did not see is written when nothing more of it has come for two seconds: behind
// hundreds that came later. The exchanges are in the order of time all the same, and numbered in it.
func TestARequestThatIsWrittenLate(t *testing.T) {
	ok := "HTTP/1.1 204 No Content\r\n\r\n"
	var records []string
	pair := func(id string, at time.Duration) []string {
		return []string{fmt.Sprintf("1 %s %d\n%s", id, at, get), fmt.Sprintf("2 %s %d\n%s", id, at+1, ok)}
	}
	id := func(i int) string { return fmt.Sprintf("%016x%08x", 1, i) }
	late := pair(id(0), 0)
	records = append(records, late[1])
	for i := range 400 {
		records = append(records, pair(id(i+1), time.Duration(i+1)*5*time.Millisecond)...)
	}
	records = append(records, late[0])
	for i := range 1000 {
		records = append(records, pair(id(i+401), time.Duration(i+401)*5*time.Millisecond)...)
	}
	p := newPairs("f", newRecords(strings.NewReader(made(records...)), codec.Options{Name: "f"}))
	x := new(traffic.Exchange)
	for i := range 1401 {
		require.NoError(t, p.Next(t.Context(), x))
		require.EqualValues(t, time.Duration(i)*5*time.Millisecond, x.Start)
		require.EqualValues(t, i, x.Seq)
		require.Equal(t, 204, x.Response.Status)
		require.Less(t, len(p.waiting), 800, "it does not wait for the end")
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// whole passes on in parts what r makes at once.
type whole struct {
	r    io.Reader
	buf  []byte
	rest []byte
}

func (w *whole) Read(b []byte) (int, error) {
	if len(w.rest) == 0 {
		if w.buf == nil {
			w.buf = make([]byte, 9<<20)
		}
		n, err := w.r.Read(w.buf)
		if err != nil {
			return 0, err
		}
		w.rest = w.buf[:n]
	}
	n := copy(b, w.rest)
	w.rest = w.rest[n:]
	return n, nil
}

// Files of a set are one stream, whatever the order of their names; an exchange may begin in one and end in another.
func TestSetsAreMerged(t *testing.T) {
	at := func(kind, id string, ns int, payload string) string {
		return fmt.Sprintf("%s %s %d\n%s", kind, id, ns, payload)
	}
	ok := "HTTP/1.1 204 No Content\r\n\r\n"
	files := map[string]string{
		"x_10.gor": made(at("2", id1, 3000, ok), at("1", id2, 4000, get)),
		"x_2.gor":  made(at("1", id1, 1000, get), at("1", old, 3500, get)),
		"x_3.gor":  "",
		"x_4.gor":  made("hello"),
	}
	open := 0
	src, err := merge([]string{"x_10.gor", "x_2.gor", "x_3.gor", "x_4.gor"}, func(name string) (io.ReadCloser, error) {
		open++
		return closer{strings.NewReader(files[name]), &open}, nil
	})
	require.NoError(t, err)
	require.Zero(t, open)
	require.Equal(t, []string{
		"format x_4.gor:1: a record begins with its type, an id and a time, and this line does not",
		`9c400050c0a80001.0 GET / "" 204 "" 1000+2000+2000 -`,
		fmt.Sprintf(`%x.0 GET / "" 0 "" 3500+0+0 -`, traffic.RequestID([]byte(old))),
		`9c400050c0a80001.1 GET / "" 0 "" 4000+0+0 -`,
	}, say(t, src))
	require.Zero(t, open)

	// The records themselves come by time, also where files overlap.
	src, err = merge([]string{"x_2.gor", "x_10.gor"}, func(name string) (io.ReadCloser, error) {
		open++
		return closer{strings.NewReader(files[name]), &open}, nil
	})
	require.NoError(t, err)
	var times []int64
	for {
		rec, err := src.(*pairs).in.next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		times = append(times, rec.time)
	}
	require.Equal(t, []int64{1000, 3000, 3500, 4000}, times)

	_, err = merge([]string{"x"}, func(string) (io.ReadCloser, error) { return nil, errors.New("gone") })
	require.ErrorContains(t, err, "gone")
}

type closer struct {
	io.Reader
	open *int
}

func (c closer) Close() error { *c.open--; return nil }

func FuzzReads(f *testing.F) {
	f.Add([]byte(made("1 "+id1+" 1000 7\n"+get, "2 "+id1+" 1500 40\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")))
	f.Add([]byte(made("1 "+id1+" 1000\nPOST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1c\r\n"+separator+separator+"\r\n0\r\n\r\n", "hello")))
	f.Fuzz(func(t *testing.T, in []byte) {
		p := newPairs("f", newRecords(bytes.NewReader(in), codec.Options{Name: "f"}))
		x := new(traffic.Exchange)
		for n := 0; ; n++ {
			err := p.Next(context.Background(), x)
			if errors.Is(err, io.EOF) {
				return
			}
			var lost *recorder.Lost
			require.True(t, err == nil || errors.As(err, &lost), "%v", err)
			require.LessOrEqual(t, n, len(in), "more entries than bytes")
		}
	})
}

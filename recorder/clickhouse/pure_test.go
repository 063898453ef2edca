package clickhouse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	driver "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/chance"
	"github.com/redlane/redlane/internal/chconn"
	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/recorder/template"
	"github.com/redlane/redlane/traffic"
)

func TestParseURL(t *testing.T) {
	f := func(text string, want Address, printed string) {
		t.Helper()
		a, err := ParseURL(text)
		require.NoError(t, err)
		require.Equal(t, want, a)
		require.Equal(t, printed, a.String())
	}
	f("clickhouse://h", Address{Hosts: []string{"h:9000"}, Database: "redlane", User: "default"}, "clickhouse://h:9000/redlane")
	f("clickhouse://u:p%40ss@h:1/db/?recording=my%20eve", Address{Hosts: []string{"h:1"}, Database: "db", User: "u", Password: "p@ss", Recording: "my eve"}, "clickhouse://h:1/db?recording=my+eve")
	f("clickhouse://[::1]/x", Address{Hosts: []string{"[::1]:9000"}, Database: "x", User: "default"}, "clickhouse://[::1]:9000/x")
	f("clickhouse://u:p@b,a:1,[::1]:2/?cluster=lab&recording=x&keep=30d", Address{Hosts: []string{"[::1]:2", "a:1", "b:9000"}, Database: "redlane", User: "u", Password: "p", Cluster: "lab", Recording: "x", Keep: 720 * time.Hour},
		"clickhouse://[::1]:2,a:1,b:9000/redlane?cluster=lab&recording=x")
	f("clickhouse://h,g:1/?secure=true&ca=%2Fetc%2Fca.pem", Address{Hosts: []string{"g:1", "h:9440"}, Database: "redlane", User: "default", TLS: chconn.TLS{On: true, CA: "/etc/ca.pem"}},
		"clickhouse://g:1,h:9440/redlane?secure=true")
	f("clickhouse://h/?secure=false", Address{Hosts: []string{"h:9000"}, Database: "redlane", User: "default"}, "clickhouse://h:9000/redlane")

	bad := func(text, want string) {
		t.Helper()
		_, err := ParseURL(text)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "\n")
		require.NotContains(t, err.Error(), "secret")
	}
	bad("", "not a ClickHouse URL: want clickhouse://")
	bad("tape://x", "tape://x: not a ClickHouse URL")
	bad("clickhouse:///db", "no host")
	bad("clickhouse://u:secret@h/a/b", `database "a/b": want letters, digits, _ and -`)
	bad("clickhouse://u:secret@h/`", "database")
	bad("clickhouse://u:secret@h/db?tls=1", `no setting "tls": there are recording, cluster, keep, secure and ca`)
	bad("clickhouse://u:secret@h/db?secure=1", `secure "1": want true or false`)
	bad("clickhouse://u:secret@h/db?ca=x", "ca without secure=true")
	bad("clickhouse://u:secret@h/db?secure=true&ca=", "ca: want a file")
	bad("clickhouse://u:secret@h/db?recording=", "want a name of 1 to 200 bytes")
	bad("clickhouse://u:secret@h/db?recording=a&recording=b", "recording is given twice")
	bad("clickhouse://u:secret@h/db?recording=%0a", "want a name")
	bad("clickhouse://u:secret@h/db#x", "# is not expected")
	bad("clickhouse://u:secret@h:port/db", "invalid port")
	bad("clickhouse://u:secret@h/%zz", "not a URL")
	bad("clickhouse://u:secret@h,/db", "no host")
	bad("clickhouse://u:secret@h,h:x/db", `host "h:x" is not HOST:PORT`)
	bad("clickhouse://u:secret@h,h:9000/db", "a host is named twice")
	bad("clickhouse://u:secret@"+strings.Repeat("h,", 9)+strings.Repeat("g,", 9)+"h/db", "a host is named twice")
	bad("clickhouse://a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q/db", "17 hosts: a recording has 16 shards")
	bad("clickhouse://h/db?cluster=`", "cluster \"`\": want letters")
	bad("clickhouse://h/db?keep=0s", `keep "0s": want a time such as 12h or 30d`)
	bad("clickhouse://h/db?keep=99999d", "want a time")
}

func TestWhatIsTriedAgain(t *testing.T) {
	f := func(err error, want bool) {
		t.Helper()
		require.Equal(t, want, passes(fmt.Errorf("wrapped: %w", err)), "%v", err)
	}
	f(&ch.Exception{Code: 252}, true)
	f(&driver.Exception{Code: 210}, true)
	f(&ch.Exception{Code: 516}, false)
	f(&ch.Exception{Code: 60}, false)
	f(&driver.Exception{Code: 497}, false)
	f(io.EOF, true)
	f(io.ErrUnexpectedEOF, true)
	f(chconn.ErrSilent, true)
	f(net.ErrClosed, true)
	f(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, true)
	f(&net.OpError{Op: "read", Err: syscall.ECONNRESET}, true)
	f(&net.DNSError{Name: "x"}, true)
	f(errors.New("column \"x\" has another type"), false)
	f(&fs.PathError{Op: "open", Path: "x", Err: syscall.ENOSPC}, false)
	f(&os.LinkError{Op: "rename", Err: syscall.EIO}, false)
}

func TestBackoffGrowsToFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := chconn.Backoff{Clock: clock.System, Rand: chance.Stream(1, "test", 1)}
		for i := range 12 {
			began := time.Now()
			require.NoError(t, b.Wait(t.Context()))
			whole := min(20*time.Millisecond<<i, 5*time.Second)
			took := time.Since(began)
			require.GreaterOrEqual(t, took, whole/2)
			require.LessOrEqual(t, took, whole)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, b.Wait(ctx), context.Canceled)
	})
}

func TestRoutesAreTemplates(t *testing.T) {
	c := newColumns()
	var err error
	c.routes, err = template.New(template.Config{Patterns: []string{"/packets/{id}"}})
	require.NoError(t, err)
	for i, target := range []string{"/packets/red?x=1", "/users/17/orders"} {
		x := &traffic.Exchange{Dst: "packet"}
		x.Request.Method, x.Request.Target = []byte("GET"), []byte(target)
		c.append(1, 0, never, x, &tape.Blobs{})
		require.Equal(t, []string{"/packets/{id}", "/users/*/orders"}[i], string(c.tmpl.bytes(i)))
	}
	_, err = New(Config{To: "clickhouse://h/lab", Tape: t.TempDir(), Routes: []string{"packets"}})
	require.EqualError(t, err, `store in ClickHouse: route "packets": a route begins with a slash, such as /packets/{id}`)
}

func TestAddresses(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		var a netip.AddrPort
		if in != "" {
			a = netip.MustParseAddrPort(in)
		}
		got := addressOf(addressBytes(a), a.Port())
		if want == "" {
			require.Equal(t, netip.AddrPort{}, got)
			return
		}
		require.Equal(t, want, got.String())
	}
	f("", "")
	f("10.0.0.1:80", "10.0.0.1:80")
	f("0.0.0.0:0", "0.0.0.0:0")
	f("[2001:db8::1]:80", "[2001:db8::1]:80")
	f("[::]:80", "[::]:80")
	f("[::ffff:10.0.0.1]:80", "10.0.0.1:80")
	f("[fe80::1%eth0]:80", "[fe80::1]:80")
}

func TestSessionsSpreadOverShards(t *testing.T) {
	var n [shards]int
	for s := range uint64(16_000) {
		n[shardOf(s)]++
	}
	for shard, n := range n {
		require.InDelta(t, 1000, n, 150, "shard %d", shard)
	}
}

// Rows that were handed over before a break are left out once, and others with an equal key are not.
func TestHandOverSkipsWhatWasHandedOver(t *testing.T) {
	block := func(ts ...int64) *columns {
		c := newColumns()
		for _, v := range ts {
			c.append(1, 0, never, &traffic.Exchange{Start: v}, &tape.Blobs{})
		}
		return c
	}
	st := newStream(Address{}, 0, 1)
	f := func(skip int, in *columns, want ...int64) {
		t.Helper()
		st.skip = skip
		require.NoError(t, st.handOver(t.Context(), in))
		var got []int64
		select {
		case b := <-st.full:
			for _, v := range b.ts.Data[b.first:] {
				got = append(got, int64(v))
			}
			st.spare <- b
		default:
		}
		require.Equal(t, want, got)
	}
	f(0, block(1, 2, 2), 1, 2, 2)
	require.Equal(t, 2, st.equal)
	f(2, block(2, 2, 2, 3), 2, 3)
	require.Equal(t, 1, st.equal)
	f(1, block(3))
	require.Equal(t, 0, st.skip)
	f(0, block(3, 3), 3, 3)
	require.Equal(t, 3, st.equal)
	f(3, block(3, 3))
	f(1, block(3, 4), 4)
	require.ErrorIs(t, st.handOver(t.Context(), block(1)), errOutOfOrder)
}

// A row allocates nothing, neither on its way in nor out.
func TestRowsAllocateNothing(t *testing.T) {
	xs := many(rand.New(rand.NewPCG(1, 1)), 500, usual)
	blobs := make([]tape.Blobs, len(xs))
	for i := range xs {
		blobs[i] = tape.Blobs{RequestHeaders: tape.AppendHeaders(nil, xs[i].Request.Headers), ResponseHeaders: tape.AppendHeaders(nil, xs[i].Response.Headers)}
	}
	fr := newColumns()
	add := func() {
		for i := range xs {
			fr.append(1, 0, never, &xs[i], &blobs[i])
		}
	}
	add()
	in := fr.all()
	require.Zero(t, testing.AllocsPerRun(20, func() {
		for _, c := range in {
			c.data.Reset()
		}
		add()
	}))
	for _, c := range in {
		if d, ok := c.data.(*dict); ok {
			d.intern() // as after reading
		}
	}
	var x traffic.Exchange
	require.NoError(t, fr.fill(0, &x))
	require.Zero(t, testing.AllocsPerRun(20, func() {
		for i := range xs {
			_ = fr.fill(i, &x)
		}
	}))
}

// A column of words comes back from its bytes on the wire, over several blocks.
func TestDictRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	var in, out dict
	for _, distinct := range []int{1, 200, 300, 70_000, 3, 256, 257, 65_536, 65_537} {
		in.Reset()
		out.Reset()
		var want []string
		for i := range distinct + 100 {
			w := fmt.Sprint(i % distinct * 7)
			if r.IntN(50) == 0 {
				w = ""
			}
			want = append(want, w)
			appendDict(&in, w)
		}
		requireDict(t, &in, &out, want)
	}
}

func requireDict(t *testing.T, in, out *dict, want []string) {
	var b proto.Buffer
	in.EncodeState(&b)
	in.EncodeColumn(&b)
	reader := proto.NewReader(bytes.NewReader(b.Buf))
	require.NoError(t, out.DecodeState(reader))
	require.NoError(t, out.DecodeColumn(reader, len(want)))
	require.Equal(t, len(want), out.Rows())
	for i, w := range want {
		if w != out.name(i) || w != string(out.bytes(i)) {
			require.Equal(t, w, out.name(i))
			require.Equal(t, w, string(out.bytes(i)))
		}
	}
	// ch-go's own column must agree.
	theirs := new(proto.ColStr).LowCardinality()
	reader = proto.NewReader(bytes.NewReader(b.Buf))
	require.NoError(t, theirs.DecodeState(reader))
	require.NoError(t, theirs.DecodeColumn(reader, len(want)))
	for i, w := range want {
		if w != theirs.Row(i) {
			require.Equal(t, w, theirs.Row(i))
		}
	}
}

func FuzzDict(f *testing.F) {
	f.Add("a,b,a,,c", "c,a,a")
	f.Fuzz(func(t *testing.T, first, second string) {
		var in, out dict
		for _, text := range []string{first, second} {
			in.Reset()
			out.Reset()
			words := strings.Split(text, ",")
			for _, w := range words {
				appendDict(&in, []byte(w))
			}
			requireDict(t, &in, &out, words)
		}
	})
}

func FuzzParseURL(f *testing.F) {
	f.Add("clickhouse://u:p@h:9000/db?recording=x")
	f.Add("clickhouse://[::1%25eth0]/")
	f.Add("clickhouse://a,b/?secure=true&ca=x.pem")
	f.Add("clickhouse://b,a:1,[::1]:2/?cluster=lab&keep=3d")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseURL(text)
		if err != nil {
			require.NotContains(t, err.Error(), "\n")
			return
		}
		b, err := ParseURL(a.String())
		require.NoError(t, err)
		require.Equal(t, a.public(), b.public())
	})
}

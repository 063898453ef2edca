package replayer

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/traffic"
)

func TestRoutesAreBounded(t *testing.T) {
	r, err := newRoutes([]string{"/packets/{id}"}, 3)
	require.NoError(t, err)
	f := func(method, target, want string) {
		t.Helper()
		require.Equal(t, want, r.name(r.of([]byte(method), []byte(target))))
	}
	f("GET", "/packets/red?x=1", "GET /packets/{id}")
	f("POST", "/packets/17", "POST /packets/{id}")
	f("GET", "/users/17/orders", "GET /users/*/orders")
	f("GET", "/users/18/orders", "GET /users/*/orders")
	f("GET", "/users/18/more", "other")
	f("PUT", "/packets/17", "other")
	f("GET", "/packets/blue", "GET /packets/{id}")

	// Names that became one later have numbers too, and count.
	r, err = newRoutes(nil, 4)
	require.NoError(t, err)
	for i, want := range []string{"GET /u/ada", "GET /u/bob", "GET /u/*", "GET /v/ada", "other"} {
		f("GET", []string{"/u/ada", "/u/bob", "/u/cy", "/v/ada", "/v/bob"}[i], want)
	}

	_, err = newRoutes([]string{"packets"}, 3)
	require.ErrorContains(t, err, `route "packets"`)
}

// Cells tell routes and statuses apart; classes are what they roll up to.
func TestCellsByRouteAndStatus(t *testing.T) {
	t.Parallel()
	tt := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/late" {
			w.WriteHeader(http.StatusTeapot)
		}
	})
	var list []traffic.Exchange
	for i := range 30 {
		x := exchange(uint64(i%3)+1, uint64(i/3), time.Duration(i)*time.Millisecond)
		x.Request.Target = []byte([]string{fmt.Sprintf("/packets/%d", i), "/late", "/shake"}[i%3])
		list = append(list, x)
	}
	res := replay(t, Config{To: tt.to(), Routes: []string{"/packets/{id}"}}, list)
	require.Equal(t, 1, res.Step)
	require.Len(t, res.Cells, 3)
	for i, want := range []struct {
		route  string
		status int
	}{{"GET /late", 418}, {"GET /packets/{id}", 200}, {"GET /shake", 200}} {
		c := &res.Cells[i]
		require.Equal(t, want.route, c.Route)
		require.Equal(t, want.status, c.Status)
		require.Equal(t, want.status/100, c.Class)
		require.EqualValues(t, 10, c.Count)
		require.EqualValues(t, 10, c.Lag.Count())
	}

	_, err := Run(t.Context(), Config{To: tt.to(), Lane: "red", UnsafeTarget: true, Routes: []string{"/{"}}, &memorySource{})
	require.ErrorContains(t, err, `replay: route "/{"`)
}

// What a request costs in the book, once its second has begun.
func TestBookDoesNotAllocate(t *testing.T) {
	b := newBook("red", nil)
	items := bookItems()
	for range 2 {
		for i := range items {
			bookOne(b, &items[i], i)
		}
	}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		for i := range items {
			bookOne(b, &items[i], i)
		}
	}))
}

func bookItems() []item {
	items := make([]item, 64)
	for i := range items {
		items[i] = item{wire: []byte("GET /packets/17?n=1 HTTP/1.1\r\n\r\n"), route: uint16(i % 8), status: 200, due: time.Duration(i) * time.Microsecond}
	}
	return items
}

func bookOne(b *book, it *item, i int) {
	it.ready, it.sent = it.due, it.due+30*time.Microsecond
	b.send(it)
	b.answer(it, 200+i%2, it.sent+time.Duration(100+i)*time.Microsecond)
}

// Without a stream, half of it is four histograms; see hdr.BenchmarkRecord.
func BenchmarkBook(b *testing.B) {
	f := func(name string, stream Stream) {
		b.Run(name, func(b *testing.B) {
			names, err := newRoutes(nil, 100)
			require.NoError(b, err)
			for i := range 8 {
				names.of([]byte("GET"), fmt.Appendf(nil, "/%c", 'a'+i))
			}
			book, items := newBook("red", names), bookItems()
			if book.stream = stream; stream != nil {
				book.page = NewBatch()
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				bookOne(book, &items[i%64], i)
				i++
			}
		})
	}
	f("cells", nil)
	f("stream", forgetful{})
}

type forgetful struct{}

func (forgetful) Hand(b *Batch) *Batch {
	b.Reset()
	return b
}

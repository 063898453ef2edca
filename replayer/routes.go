package replayer

import (
	"sync/atomic"

	"github.com/redlane/redlane/recorder/template"
)

// otherRoute is the number of the route of requests that found no room for one of their own.
const otherRoute = 0

// A routes gives requests numbers by what they ask for: method and template of the path. One goroutine asks
// for numbers; names may be looked up by any.
type routes struct {
	table  *template.Table
	limit  int
	known  map[routeKey]uint16
	last   routeKey                 // looked up last: it often comes again at once
	number uint16                   // of last
	byName atomic.Pointer[[]string] // copied when one is added: there are few
}

type routeKey struct{ method, template string }

// newRoutes finds mistakes in patterns. limit is how many routes there may be beside other.
func newRoutes(patterns []string, limit int) (*routes, error) {
	table, err := template.New(template.Config{Patterns: patterns, Limit: limit, Children: max(limit/4, 2)})
	if err != nil {
		return nil, err
	}
	r := &routes{table: table, limit: limit, known: make(map[routeKey]uint16)}
	r.byName.Store(&[]string{otherRoute: template.Other})
	return r, nil
}

// of is the number of a request's route. A route that becomes part of another later keeps its number.
func (r *routes) of(method, target []byte) uint16 {
	text := r.table.Route("", method, target)
	if text == r.last.template && string(method) == r.last.method {
		return r.number
	}
	if n, ok := r.known[routeKey{string(method), text}]; ok {
		r.last, r.number = routeKey{r.name(n)[:len(method)], text}, n
		return n
	}
	if text == template.Other || len(r.known) >= r.limit {
		return otherRoute
	}
	names := *r.byName.Load()
	n := uint16(len(names))
	r.known[routeKey{string(method), text}] = n
	names = append(names[:n:n], string(method)+" "+text)
	r.byName.Store(&names)
	return n
}

func (r *routes) name(n uint16) string { return (*r.byName.Load())[n] }

package testkit

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"html"
	mrand "math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// Items is a service that can only be used by a client that keeps what it was given: everything it hands
// out is random or counted, and everything but a login needs it back.
//
//	POST /login             {user, password} ─► access_token, csrf, cookie sid
//	GET  /form              a page with the csrf token in a hidden field
//	POST /items             Idempotency-Key ─► 201, Location, id, ETag
//	GET  /items             those of the user, in any order
//	GET, PUT, DELETE /items/ID      PUT and DELETE want If-Match
//	POST /items/ID/notes    a form with csrf and item_id ─► note.id, counted
//	GET  /items/ID/notes/N
//	POST /logout
//
// A wrong token is 401, a wrong csrf token 403, a wrong id 404, a wrong ETag 412.
type Items struct {
	mu       sync.Mutex
	sessions map[string]*itemsSession // by access token
	items    map[string]*item
	notes    int
	used     map[string]string // identities, keys and ids: by whom
	clashes  []string
}

type itemsSession struct{ user, csrf, cookie string }

type item struct {
	owner *itemsSession
	name  string
	tag   string
	notes map[int]string
}

// NewItems returns a service without items.
func NewItems() *Items {
	return &Items{sessions: make(map[string]*itemsSession), items: make(map[string]*item), used: make(map[string]string)}
}

// Collisions lists what more than one connection has used: users, idempotency keys, tokens, ids. Each
// session has to come over a connection of its own for that to mean anything.
func (s *Items) Collisions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.clashes...)
}

// claim notes that conn uses a thing.
func (s *Items) claim(kind, value, conn string) {
	switch by := s.used[kind+" "+value]; by {
	case "":
		s.used[kind+" "+value] = conn
	case conn:
	default:
		s.clashes = append(s.clashes, fmt.Sprintf("%s %s: used by %s and %s", kind, value, by, conn))
	}
}

func (s *Items) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.URL.Path == "/login" && r.Method == http.MethodPost {
		s.login(w, r)
		return
	}
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	in := s.sessions[token]
	if cookie, err := r.Cookie("sid"); in == nil || err != nil || cookie.Value != in.cookie {
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	s.claim("token", token, r.RemoteAddr)
	part := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case r.URL.Path == "/form":
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><meta name="csrf-token" content="%s"><form><input name="csrf" type="hidden" value='%[1]s'></form>`, html.EscapeString(in.csrf))
	case r.URL.Path == "/logout":
		delete(s.sessions, token)
		w.WriteHeader(http.StatusNoContent)
	case r.URL.Path == "/items" && r.Method == http.MethodGet:
		s.list(w, in)
	case r.URL.Path == "/items":
		s.create(w, r, in)
	case part[0] == "items" && len(part) > 1:
		s.one(w, r, in, part[1:])
	default:
		http.NotFound(w, r)
	}
}

func (s *Items) login(w http.ResponseWriter, r *http.Request) {
	var body struct{ User, Password string }
	if json.NewDecoder(r.Body).Decode(&body) != nil || body.User == "" || body.Password == "" {
		http.Error(w, "no user", http.StatusBadRequest)
		return
	}
	s.claim("user", body.User, r.RemoteAddr)
	in, token := &itemsSession{user: body.User, csrf: rand.Text(), cookie: rand.Text()}, rand.Text()
	s.sessions[token] = in
	http.SetCookie(w, &http.Cookie{Name: "sid", Value: in.cookie, Path: "/", HttpOnly: true})
	answerJSON(w, http.StatusOK, map[string]any{"access_token": token, "csrf": in.csrf, "user": map[string]any{"name": body.User}, "status": "active"})
}

func (s *Items) list(w http.ResponseWriter, in *itemsSession) {
	var list []map[string]any
	for id, it := range s.items { // in any order
		if it.owner == in {
			list = append(list, map[string]any{"id": id, "name": it.name, "etag": it.tag})
		}
	}
	mrand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	answerJSON(w, http.StatusOK, map[string]any{"items": list, "count": len(list)})
}

func (s *Items) create(w http.ResponseWriter, r *http.Request, in *itemsSession) {
	var body struct{ Name string }
	switch key := r.Header.Get("Idempotency-Key"); {
	case r.Header.Get("X-CSRF-Token") != in.csrf:
		http.Error(w, "csrf", http.StatusForbidden)
		return
	case key == "" || json.NewDecoder(r.Body).Decode(&body) != nil:
		http.Error(w, "no idempotency key, or no item", http.StatusBadRequest)
		return
	default:
		s.claim("idempotency key", key, r.RemoteAddr)
	}
	id := strings.ToLower(rand.Text()[:12])
	it := &item{owner: in, name: body.Name, tag: rand.Text()[:10], notes: make(map[int]string)}
	s.items[id] = it
	s.claim("item", id, r.RemoteAddr)
	w.Header().Set("Location", "/items/"+id)
	w.Header().Set("ETag", `"`+it.tag+`"`)
	answerJSON(w, http.StatusCreated, map[string]any{"id": id, "name": it.name})
}

// one serves /items/ID and below.
func (s *Items) one(w http.ResponseWriter, r *http.Request, in *itemsSession, part []string) {
	id := part[0]
	it := s.items[id]
	if it == nil || it.owner != in {
		http.NotFound(w, r)
		return
	}
	s.claim("item", id, r.RemoteAddr)
	switch {
	case len(part) > 1:
		s.note(w, r, in, id, part[1:])
	case r.Method == http.MethodGet:
		w.Header().Set("ETag", `W/"`+it.tag+`"`)
		answerJSON(w, http.StatusOK, map[string]any{"id": id, "name": it.name})
	case strings.Trim(strings.TrimPrefix(r.Header.Get("If-Match"), "W/"), `"`) != it.tag:
		http.Error(w, "it has changed", http.StatusPreconditionFailed)
	case r.Method == http.MethodDelete:
		delete(s.items, id)
		w.WriteHeader(http.StatusNoContent)
	default:
		var body struct{ ID, Name string }
		if json.NewDecoder(r.Body).Decode(&body) != nil || body.ID != id {
			http.Error(w, "another item", http.StatusConflict)
			return
		}
		it.name, it.tag = body.Name, rand.Text()[:10]
		w.Header().Set("ETag", `"`+it.tag+`"`)
		answerJSON(w, http.StatusOK, map[string]any{"id": id, "name": it.name})
	}
}

func (s *Items) note(w http.ResponseWriter, r *http.Request, in *itemsSession, id string, part []string) {
	it := s.items[id]
	switch {
	case part[0] != "notes":
		http.NotFound(w, r)
	case len(part) == 2:
		n, err := strconv.Atoi(part[1])
		if text, ok := it.notes[n]; err == nil && ok {
			answerJSON(w, http.StatusOK, map[string]any{"note": map[string]any{"id": n, "text": text}})
			return
		}
		http.NotFound(w, r)
	case r.FormValue("csrf") != in.csrf:
		http.Error(w, "csrf", http.StatusForbidden)
	case r.FormValue("item_id") != id:
		http.Error(w, "another item", http.StatusConflict)
	default:
		s.notes++
		it.notes[s.notes] = r.FormValue("text")
		answerJSON(w, http.StatusCreated, map[string]any{"note": map[string]any{"id": s.notes, "text": r.FormValue("text")}})
	}
}

func answerJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that has left needs no answer
}

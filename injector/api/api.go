// Package api is the form that all HTTP APIs of fault injection share: JSON both ways, and an error is
// {"error": "..."}, one line.
package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// MaxBody is how large a request may be.
const MaxBody = 64 << 10

// Methods routes by method, as http.ServeMux does, with errors in our form.
type Methods map[string]http.HandlerFunc

func (m Methods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if serve, ok := m[r.Method]; ok {
		serve(w, r)
		return
	}
	Fail(w, http.StatusMethodNotAllowed, errors.New("no such method here"))
}

// NotFound answers what no pattern takes.
func NotFound(w http.ResponseWriter, _ *http.Request) {
	Fail(w, http.StatusNotFound, errors.New("no such path"))
}

// Body reads the request.
func Body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	return io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
}

// BadCode is the code of a request that could not be read or understood.
func BadCode(err error) int {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest
}

// Answer writes body.
func Answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)                 // an edge has an arrow
	if err := enc.Encode(body); err != nil { // the client is gone
		return
	}
}

// Fail writes an error.
func Fail(w http.ResponseWriter, code int, err error) {
	Answer(w, code, map[string]string{"error": strings.ReplaceAll(err.Error(), "\n", " ")})
}

// An Error is what a server answered in place of what was asked for.
type Error struct {
	Code int
	Text string // one line
}

func (e *Error) Error() string { return e.Text }

// Code is the status that a server refused with, or 0 where it was not reached or err is nil.
func Code(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// errorOf reads what came with a code of 300 or more.
func errorOf(code int, status string, data []byte) *Error {
	var said struct{ Error string }
	if json.Unmarshal(data, &said) != nil || said.Error == "" {
		said.Error = status
	}
	return &Error{code, fmt.Sprintf("%.400s", strings.ReplaceAll(said.Error, "\n", " "))}
}

package toxiproxy

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// An apiError is a refusal in the form that client libraries read. The messages are Toxiproxy's where it has one:
// libraries look for some of them.
type apiError struct {
	Message string `json:"error"`
	Status  int    `json:"status"`
}

func (e *apiError) Error() string { return e.Message }

var (
	errProxyNotFound = &apiError{"proxy not found", http.StatusNotFound}
	errProxyExists   = &apiError{"proxy already exists", http.StatusConflict}
	errInvalidStream = &apiError{"stream was invalid, can be either upstream or downstream", http.StatusBadRequest}
	errInvalidType   = &apiError{"invalid toxic type", http.StatusBadRequest}
	errToxicExists   = &apiError{"toxic already exists", http.StatusConflict}
	errToxicNotFound = &apiError{"toxic not found", http.StatusNotFound}
)

func badBody(err error) error {
	return &apiError{"bad request body: " + oneLine(err), http.StatusBadRequest}
}

func missing(field string) error {
	return &apiError{"missing required field: " + field, http.StatusBadRequest}
}

func tooMany(what string, most int) error {
	return &apiError{fmt.Sprintf("too many %s: at most %d", what, most), http.StatusTooManyRequests}
}

// carryFailed is what a Carrier could not do, such as to listen on an address that is taken.
func carryFailed(err error) error {
	return &apiError{oneLine(err), http.StatusInternalServerError}
}

// asAPI is err in the API's form.
func asAPI(err error) *apiError {
	var e *apiError
	if errors.As(err, &e) {
		return e
	}
	return &apiError{oneLine(err), http.StatusInternalServerError}
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", " ") }

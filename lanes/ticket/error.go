package ticket

import "fmt"

// A Check is one of the things that must hold for a ticket to be good.
type Check string

// The checks, in the order they are made.
const (
	Malformed     Check = "malformed"
	UnknownKey    Check = "unknown key"
	BadSignature  Check = "signature"
	WrongNonce    Check = "nonce"
	WrongLane     Check = "lane"
	WrongService  Check = "service"
	NotYetValid   Check = "not yet valid"
	Expired       Check = "expired"
	CanLeaveALane Check = "fallback"
)

// An Error says which check failed, and in Cause, on one line, what was found.
type Error struct {
	Failed Check
	Cause  string
}

func (e *Error) Error() string { return e.Cause }

func failed(c Check, format string, args ...any) error {
	return &Error{c, fmt.Sprintf(format, args...)}
}

func malformed(at int, format string, args ...any) error {
	return failed(Malformed, "ticket malformed at byte %d: %s", at, fmt.Sprintf(format, args...))
}

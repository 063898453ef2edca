package injector

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/redlane/redlane/internal/conf"
)

// A GRPCCode is how a gRPC call failed: 1 to 16, written as its number or its name. 0 is none.
type GRPCCode uint8

// grpcCodes are the names by number (google.rpc.Code).
var grpcCodes = []string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
	"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
	"UNAUTHENTICATED",
}

// UnmarshalText parses a number or a name.
func (c *GRPCCode) UnmarshalText(text []byte) error {
	n, err := strconv.Atoi(string(text))
	if err != nil {
		n = slices.Index(grpcCodes, string(text))
	}
	if n < 1 || n >= len(grpcCodes) {
		return fmt.Errorf("want a gRPC status such as 14 or UNAVAILABLE, found %q%s", text, conf.DidYouMean(string(text), grpcCodes[1:]))
	}
	*c = GRPCCode(n)
	return nil
}

// String is the name.
func (c GRPCCode) String() string {
	if int(c) < len(grpcCodes) {
		return grpcCodes[c]
	}
	return strconv.Itoa(int(c))
}

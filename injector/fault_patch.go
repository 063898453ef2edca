package injector

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/textproto"
	"slices"
	"strings"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/traffic"
)

var _ = register("patch", func() Fault { return new(Patch) })

// Patch changes an answer on its way back.
//
//	{fault: patch, status: 500}
//	{fault: patch, headers: {cache-control: no-store, etag: ""}}    an empty value removes the header
//	{fault: patch, body: {total: 0, items: null}}                   JSON merge patch, RFC 7396
//	{fault: patch, lie: -10}                                        a length that is 10 bytes too short
//
// A body that is not JSON, is coded (gzip) or larger than traffic.PatchMax passes as it is, and the exchange counts
// as undone where nothing else was to be changed about it.
type Patch struct {
	Status  int               `yaml:"status"`  // 200 to 599; 0 keeps the service's
	Headers map[string]string `yaml:"headers"` // replace those of the same name
	Body    conf.JSON         `yaml:"body"`    // a merge patch; empty changes nothing
	Lie     int64             `yaml:"lie"`     // bytes added to the length that is declared
}

// Decide implements Fault.
func (p *Patch) Decide(Op, *rand.Rand) traffic.Action {
	patch := &traffic.Patch{Status: p.Status, Lie: p.Lie}
	for _, name := range slices.Sorted(maps.Keys(p.Headers)) {
		h := traffic.Header{Name: []byte(name)}
		if v := p.Headers[name]; v != "" {
			h.Value = []byte(v)
		}
		patch.Headers = append(patch.Headers, h)
	}
	if p.Body != "" {
		patch.Whole = func(b []byte) []byte {
			merged, err := mergePatch(b, []byte(p.Body))
			if err != nil {
				return nil
			}
			return merged
		}
	}
	return traffic.Action{Harm: &traffic.Harm{Patch: patch}}
}

func (p *Patch) check() error {
	switch {
	case p.Status == 0 && len(p.Headers) == 0 && p.Body == "" && p.Lie == 0:
		return errors.New("patch: say what changes: status, headers, body or lie")
	case p.Status != 0 && (p.Status < 200 || p.Status > 599):
		return fmt.Errorf("status: want 200 to 599, found %d", p.Status)
	case p.Lie > traffic.PatchMax || p.Lie < -traffic.PatchMax:
		return fmt.Errorf("lie: want %d bytes more or less at most, found %d", traffic.PatchMax, p.Lie)
	}
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(p.Headers)) {
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		switch {
		case !isToken(name):
			return fmt.Errorf("headers: not a header: %q", name)
		case framing(name):
			return fmt.Errorf("headers: %s belongs to the framing; use lie for a wrong length", name)
		case seen[canonical]:
			return fmt.Errorf("headers: %s is given twice", canonical)
		}
		seen[canonical] = true
		if err := checkHeaderValue("headers: "+name, p.Headers[name]); err != nil {
			return err
		}
	}
	return nil
}

func checkHeaderValue(key, v string) error {
	if strings.ContainsAny(v, "\r\n\x00") {
		return fmt.Errorf("%s: one line of text, found %q", key, v)
	}
	return nil
}

// String is the strength in words.
func (p *Patch) String() string {
	var parts []string
	if p.Status != 0 {
		parts = append(parts, fmt.Sprintf("status %d", p.Status))
	}
	for _, name := range slices.Sorted(maps.Keys(p.Headers)) {
		parts = append(parts, "header "+name)
	}
	if p.Body != "" {
		parts = append(parts, "body")
	}
	if p.Lie != 0 {
		parts = append(parts, fmt.Sprintf("length %+d", p.Lie))
	}
	return strings.Join(parts, ", ")
}

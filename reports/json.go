package reports

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
)

// document is report.json: the verdict first, for people and for jq, then the Run it follows from.
type document struct {
	Verdict Verdict `json:"verdict"`
	*Run
}

// appendJSON appends report.json for a tidy run.
func appendJSON(dst []byte, r *Run, v Verdict) ([]byte, error) {
	b := bytes.NewBuffer(dst)
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(document{v, r}); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Read reads a report.json, so that a report can be made again: Read and Write give the same files.
// Fields it does not know are passed over; the verdict is not read but follows from the rest.
func Read(path string) (*Run, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read report: %w", err)
	}
	r, err := parseJSON(b)
	if err != nil {
		return nil, fmt.Errorf("read report %q: %w", path, err)
	}
	return r, nil
}

func parseJSON(b []byte) (*Run, error) {
	r := new(Run)
	if err := json.Unmarshal(b, &document{Run: r}); err != nil {
		return nil, err
	}
	if r.Schema < 1 || r.Schema > Schema {
		return nil, fmt.Errorf("schema %d is not known, this redlane reads 1 to %d", r.Schema, Schema)
	}
	return tidy(r), nil
}

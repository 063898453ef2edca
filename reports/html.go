package reports

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
)

//go:embed page.css
var pageCSS string

//go:embed page.html
var pageHTML string

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// appendHTML appends index.html for a tidy run.
func appendHTML(dst []byte, r *Run, v Verdict, checks []Check) ([]byte, error) {
	b := bytes.NewBuffer(dst)
	if err := pageTemplate.Execute(b, newPage(r, v, checks)); err != nil {
		return nil, fmt.Errorf("fill page: %w", err)
	}
	return b.Bytes(), nil
}

package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/recorder"
)

// redactFlags say what a verb that records takes out before anything is stored.
type redactFlags struct {
	headers, query, json []string
	file                 string
}

func (r *redactFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringSliceVar(&r.headers, "redact-header", nil, "header to redact")
	f.StringSliceVar(&r.query, "redact-query", nil, "query key to redact")
	f.StringSliceVar(&r.json, "redact-json", nil, "JSON key, or dotted path, to redact in bodies")
	f.StringVar(&r.file, "redact-rules", "", "file of redaction rules (docs/redaction.md)")
}

// rules reads the rule file, if one is named, and adds the other flags to it.
func (r *redactFlags) rules() (c recorder.Redaction, err error) {
	if r.file != "" {
		if c, err = recorder.LoadRules(r.file, os.Getenv); err != nil {
			return c, usageError("%w", err)
		}
	}
	c.Headers, c.Query, c.JSON = r.headers, r.query, r.json
	return c, nil
}

package main

import (
	"os"

	"github.com/redlane/redlane/internal/wire/tlsrecord"
)

// readKeyLog reads the TLS secrets of --keylog, nil for none.
func readKeyLog(name string) (*tlsrecord.KeyLog, error) {
	if name == "" {
		return nil, nil
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, usageError("--keylog: %w", err)
	}
	keys := new(tlsrecord.KeyLog)
	if keys.Add(b) == 0 {
		return nil, usageError("--keylog %s: it has no secrets of TLS 1.2 or 1.3 (want lines such as CLIENT_RANDOM and CLIENT_TRAFFIC_SECRET_0)", name)
	}
	return keys, nil
}

#!/usr/bin/env bash
# Runs every fuzz target of the module, one after the other, each for the time given.
set -euo pipefail
time=${1:-60s}
go list -f '{{.Dir}} {{.ImportPath}}' ./... | while read -r dir pkg; do
	{ grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go 2>/dev/null || true; } | sed 's/^func //' | while read -r target; do
		echo "$pkg $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$pkg" </dev/null
	done
done

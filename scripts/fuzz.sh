#!/usr/bin/env bash
# Runs every fuzz target of the module, one after the other, each for the time given. Inputs that are only
# interesting are hardly made smaller: where coverage depends on the scheduler, that is what all the time
# would go into.
set -euo pipefail
time=${1:-60s}
go list -f '{{.Dir}} {{.ImportPath}}' ./... | while read -r dir pkg; do
	{ grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go 2>/dev/null || true; } | sed 's/^func //' | while read -r target; do
		echo "$pkg $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 20x "$pkg" </dev/null
	done
done

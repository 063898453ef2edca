#!/usr/bin/env bash
# Puts libchdb, the library that `redlane clickhouse` runs, under .lab/chdb: 180 MB to fetch, 540 MB on
# disk. What is there and whole already costs nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

version=26.7.3-stable.1
package=@chdb/lib-linux-x64-gnu
sum=36ad4e999882821ef13cf2d0f52c93f48e6ee1b4498b35a201c23ce4b8d15bf5
library=.lab/chdb/node_modules/$package/libchdb.so
stamp=.lab/chdb/verified # the checksum takes two seconds: remember for which file it was right

identity() { stat -c '%i %s %Y' "$library"; }

if [ -f "$library" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$sum $(identity)" ]; then
	exit 0
fi
if [ "$(uname -sm)" != "Linux x86_64" ]; then
	echo "libchdb is installed for Linux on x86-64 only, this is $(uname -sm): use a ClickHouse server of your own" >&2
	exit 1
fi
for command in node npm; do
	if ! command -v "$command" >/dev/null; then
		echo "$command is missing: install it (Debian: apt-get install --no-install-recommends npm) and try again" >&2
		exit 1
	fi
done
if ! { [ -f "$library" ] && echo "$sum  $library" | sha256sum --check --status; }; then
	echo "installing $package@$version under .lab/chdb (180 MB)"
	mkdir -p .lab/chdb
	log=.lab/chdb/install.log
	# No scripts: the package's own would link the library into system folders.
	if ! npm install --prefix .lab/chdb --no-audit --no-fund --ignore-scripts "$package@$version" >"$log" 2>&1; then
		tail -n 5 "$log" >&2
		echo "npm could not install $package@$version, see $log" >&2
		exit 1
	fi
fi
if ! echo "$sum  $library" | sha256sum --check --status; then
	echo "$library is not the file that was tested (sha256 differs): remove .lab/chdb and try again" >&2
	exit 1
fi
echo "$sum $(identity)" >"$stamp"

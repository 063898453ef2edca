#!/usr/bin/env bash
# Installs the Debian packages that hold the commands named as arguments. As root it installs; otherwise
# it names what is missing and stops. What is there already costs nothing.
#
#	scripts/deps.sh nginx wrk curl
set -euo pipefail

package_of() {
	case $1 in
	nginx) echo nginx-light ;;
	ab) echo apache2-utils ;;
	npm) echo npm ;;
	redis-cli) echo redis-tools ;;
	gcc) echo gcc libc6-dev ;;
	*) echo "$1" ;;
	esac
}

packages=()
for command in "$@"; do
	# nginx lives in /usr/sbin, which is not on everybody's PATH.
	# shellcheck disable=SC2207 # one command may need several packages
	PATH=$PATH:/usr/sbin command -v "$command" >/dev/null || packages+=($(package_of "$command"))
done
[ ${#packages[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
	echo "missing: ${packages[*]} (Debian package names): install them with your package manager and try again" >&2
	exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "missing: ${packages[*]}: needs root: sudo apt-get install --no-install-recommends ${packages[*]}" >&2
	exit 1
fi
echo "installing ${packages[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
policy=
trap 'rm -f "$log" $policy' EXIT
# The tests start their own nginx: Debian must not start one on port 80.
if [ ! -e /usr/sbin/policy-rc.d ]; then
	policy=/usr/sbin/policy-rc.d
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod +x $policy
fi
if ! { apt-get update && apt-get install -y --no-install-recommends "${packages[@]}"; } >"$log" 2>&1; then
	tail -n 20 "$log" >&2
	echo "apt-get could not install ${packages[*]}" >&2
	exit 1
fi

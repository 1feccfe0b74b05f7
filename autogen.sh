#!/bin/sh
# autogen.sh - make ./configure from configure.ac, in a fresh clone.
set -e
cd "$(dirname "$0")"
for tool in autoreconf automake libtoolize pkg-config; do
	if ! command -v "$tool" >/dev/null; then
		echo "autogen.sh: $tool is missing; tests/packages lists what to install" >&2
		exit 1
	fi
done
exec autoreconf --install --warnings=all

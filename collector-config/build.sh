#!/bin/sh
# Builds the Collector of builder-config.yaml and prints the path of the binary.
#
# The binary is cached under .cache/otelcol-zdr/<hash of the manifest>, so a second run is instant and a
# changed manifest builds anew. Where Go is missing it says so in one line and prints no path; with CI set
# that is a failure.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
manifest=$here/builder-config.yaml
cache=${OTELCOL_ZDR_CACHE:-$(dirname "$here")/.cache/otelcol-zdr}
version=$(sed -n 's/^  version: *//p' "$manifest")
key=$( (sha256sum "$manifest" 2>/dev/null || shasum -a 256 "$manifest") | cut -c1-16)
binary=$cache/$key/otelcol-zdr

if [ -x "$binary" ]; then
    echo "$binary"
    exit 0
fi

go=$(command -v go || true)
[ -n "$go" ] || { [ -x /usr/local/go/bin/go ] && go=/usr/local/go/bin/go; } || true
if [ -z "$go" ]; then
    echo "otelcol-zdr: Go is not installed, so the Collector is not built and its tests are left out" >&2
    [ "${CI:-}" = "" ] || [ "${CI:-}" = "false" ] || exit 1
    exit 0
fi
PATH=$(dirname "$go"):$PATH
export PATH

mkdir -p "$cache"
work=$(mktemp -d "$cache/build.XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM
echo "otelcol-zdr: building $version with $("$go" version | cut -d' ' -f3), some minutes" >&2
if ! { GOBIN="$work/bin" "$go" install "go.opentelemetry.io/collector/cmd/builder@v$version" &&
    sed "s|^  output_path: .*|  output_path: $work/src|" "$manifest" >"$work/builder.yaml" &&
    CGO_ENABLED=0 "$work/bin/builder" --config "$work/builder.yaml"; } >"$work/log" 2>&1; then
    tail -n 20 "$work/log" >&2
    echo "otelcol-zdr: the build failed" >&2
    exit 1
fi
mkdir -p "$cache/$key"
# Renamed at the end: an interrupted or concurrent build never leaves half a binary under the name.
mv "$work/src/otelcol-zdr" "$binary.$$"
mv "$binary.$$" "$binary"
echo "$binary"

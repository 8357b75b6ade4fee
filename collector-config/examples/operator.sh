#!/bin/sh
# Prints an OpenTelemetryCollector resource for the operator (v1beta1) with gateway.yaml in it.
#   examples/operator.sh | kubectl create -f -        (later: kubectl replace -f -)
# `create` and `replace`, not `apply`: the file does not fit into the annotation that `apply` writes.
set -eu
config=${1:-$(dirname "$0")/../gateway.yaml}
sed '/^  config:$/q' "$(dirname "$0")/operator.yaml"
sed -e '/^#/d' -e '/^$/d' -e 's/^/    /' "$config"

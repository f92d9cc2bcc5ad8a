# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What fetch and image share: the cache folder, and an apt state of our own in it, so that packages
# of other suites can be had without the machine's own lists being touched.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${CICD_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cicd-sensor-vm}
suites=(bullseye bookworm bookworm-backports trixie sid)

die() {
  echo "vm: $1" >&2
  exit "${2:-1}"
}

# The lines of a list without comments.
entries() { sed -E 's/#.*//; /^[[:space:]]*$/d' "$1"; }

# Whoever comes second waits for the first and then finds what it made.
lock_cache() {
  mkdir -p "$cache"
  exec 9>"$cache/lock"
  flock 9 || die "cannot lock $cache"
}

# Where this machine gets Debian from; CICD_VM_ARCHIVE (an archive's URI) stands in for it, as when
# the mirror has dropped an old suite.
archive() {
  if [ -n "${CICD_VM_ARCHIVE:-}" ]; then
    echo "$CICD_VM_ARCHIVE"
    return
  fi
  # shellcheck disable=SC2016 # the $(...) are apt's
  apt-get indextargets --format '$(COMPONENT) $(CREATED_BY) $(ORIGIN) $(REPO_URI)' |
    awk '$1 == "main" && $2 == "Packages" && $3 == "Debian" && $4 !~ /security/ { print $4; exit }'
}

suite_options() {
  printf '%s\n' -q=2 -o "Dir::Etc::sourcelist=$cache/apt/sources.list" -o Dir::Etc::sourceparts=- \
    -o "Dir::State::lists=$cache/apt/lists" -o "Dir::Cache=$cache/apt/cache" \
    -o Acquire::Languages=none -o APT::Sandbox::User=root
}

# Lists of the suites, at most a day old. One that cannot be had is a warning: the kernels of the
# others can still be fetched, and the one that is missing is an error of its own.
update_suites() {
  mapfile -t suite_apt < <(suite_options)
  if [ -n "$(find "$cache/apt/updated" -mmin -1440 2>/dev/null)" ]; then return; fi
  local uri suite
  uri=$(archive)
  [ -n "$uri" ] ||
    die "apt knows no Debian archive here; run: apt-get update, or set CICD_VM_ARCHIVE to its URI"
  mkdir -p "$cache"/apt/{lists,cache/archives}/partial
  for suite in "${suites[@]}"; do
    echo "deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $suite main"
  done >"$cache/apt/sources.list"
  apt-get "${suite_apt[@]}" update || echo "vm: not all suites could be read" >&2
  touch "$cache/apt/updated"
}

# download FOLDER PACKAGE[/SUITE]...
download() {
  local folder=$1
  shift
  mkdir -p "$folder"
  (cd "$folder" && apt-get "${suite_apt[@]}" download "$@") || die "apt-get cannot download: $*"
}

# unpack_into FOLDER DEB...: without running anything of the package.
unpack_into() {
  local folder=$1 deb
  shift
  mkdir -p "$folder"
  for deb in "$@"; do
    dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$folder" --keep-directory-symlink ||
      die "cannot unpack $deb"
  done
}

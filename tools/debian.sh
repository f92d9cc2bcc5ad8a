# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Debian packages that are unpacked and never installed (tests/vm, tools/sysroot): the cache folder,
# and an apt state of our own in it, so that packages of other suites and architectures can be had
# without the machine's own lists being touched.

cache=${CICD_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cicd-sensor-vm}
suites=(bullseye bookworm bookworm-backports trixie sid)
arch=amd64 # of the packages that are fetched; use_arch changes it
apt_state=$cache/apt

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

# use_arch amd64|arm64: what follows is about packages of that architecture. Each has an apt state of
# its own; the machine's dpkg hears of neither.
use_arch() {
  arch=$1
  apt_state=$cache/apt
  [ "$arch" = amd64 ] || apt_state=$cache/apt-$arch
}

# The folder of what guests of an architecture share.
share_of() { if [ "$1" = amd64 ]; then echo "$cache"; else echo "$cache/$1"; fi; }

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
  printf '%s\n' -q=2 -o "Dir::Etc::sourcelist=$apt_state/sources.list" -o Dir::Etc::sourceparts=- \
    -o "Dir::State::lists=$apt_state/lists" -o "Dir::Cache=$apt_state/cache" \
    -o "APT::Architecture=$arch" -o "APT::Architectures::=$arch" -o Acquire::Languages=none \
    -o APT::Sandbox::User=root
}

# Lists of the suites, at most a day old. One that cannot be had is a warning: the kernels of the
# others can still be fetched, and the one that is missing is an error of its own.
update_suites() {
  mapfile -t suite_apt < <(suite_options)
  if [ -n "$(find "$apt_state/updated" -mmin -1440 2>/dev/null)" ]; then return; fi
  local uri suite
  uri=$(archive)
  [ -n "$uri" ] ||
    die "apt knows no Debian archive here; run: apt-get update, or set CICD_VM_ARCHIVE to its URI"
  mkdir -p "$apt_state"/{lists,cache/archives}/partial
  for suite in "${suites[@]}"; do
    echo "deb [arch=$arch signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $suite main"
  done >"$apt_state/sources.list"
  apt-get "${suite_apt[@]}" update || echo "vm: not all suites could be read" >&2
  touch "$apt_state/updated"
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

# download_all FOLDER RELEASE PACKAGE...: with all they depend on, as if nothing were installed.
download_all() {
  local folder=$1 release=$2
  shift 2
  mkdir -p "$folder/partial"
  : >"$apt_state/no-status"
  apt-get "${suite_apt[@]}" -y -o "Dir::State::status=$apt_state/no-status" \
    -o "APT::Default-Release=$release" -o APT::Install-Recommends=false \
    -o "Dir::Cache::archives=$folder" --download-only install "$@" >/dev/null ||
    die "apt-get cannot download: $*"
}

# merged_usr FOLDER: the links that unpacked packages of a system with a merged /usr expect.
merged_usr() {
  local name
  mkdir -p "$1"/usr/{bin,sbin,lib,lib64,lib32}
  for name in bin sbin lib lib64 lib32; do ln -sfn "usr/$name" "$1/$name"; done
}

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The work of docker_build.py, in mounts and a network of its own: FOLDER holds rootfs.tar and
# context/. Starts a dockerd, makes the image, builds, ends it. Usage: docker_build.sh FOLDER
set -euo pipefail
folder=$1
state=$(mktemp -d /tmp/cicd-cost-docker-XXXXXX)
export DOCKER_CONFIG=$state DOCKER_BUILDKIT=1 DOCKER_HOST=unix://$state/docker.sock
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
while umount -l /sys/fs/cgroup 2>/dev/null; do :; done
mount -t cgroup2 none /sys/fs/cgroup
# Containers go below our own cgroup, into one that only we know.
above=$(sed -n 's/^0:://p' /proc/self/cgroup)
containers=${above%/}/${state##*/}
mkdir "/sys/fs/cgroup$containers"

dockerd --data-root "$state/data" --exec-root "$state/exec" --pidfile "$state/pid" \
  --host "$DOCKER_HOST" --bridge=none --iptables=false --ip-forward=false --ip-masq=false \
  --userland-proxy=false --cgroup-parent "$containers" >"$state/log" 2>&1 &
daemon=$!
finish() {
  kill "$daemon" 2>/dev/null || true
  wait "$daemon" || true
  find "/sys/fs/cgroup$containers" -depth -type d -exec rmdir {} \; 2>/dev/null || true
  rm -rf "$state"
}
trap finish EXIT
for _ in $(seq 400); do
  docker version >/dev/null 2>&1 && break
  sleep 0.05
done
docker import "$folder/rootfs.tar" base >/dev/null
docker build --no-cache --network none --quiet "$folder/context" >/dev/null || {
  tail -n 5 "$state/log" >&2
  exit 1
}

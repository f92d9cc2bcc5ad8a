// SPDX-License-Identifier: Apache-2.0
// Tells a container from the path of a cgroup. Pure. Engines name the cgroup after the container's
// id; how is their convention and not a promise, and whoever may make cgroups may choose such a
// name: what comes of it is a description, nothing to decide by.
//
//   docker-<id>.scope, <id> in docker/          Docker, with systemd and without
//   <id> in buildkit/, <slice>:docker:<id>      a build step of BuildKit, without systemd and with
//   cri-containerd-<id>.scope                   containerd behind Kubernetes
//   nerdctl-<id>.scope                          containerd
//   /<namespace>/<id>                           containerd; only its usual namespaces
//   crio-<id>.scope                             CRI-O
//   libpod-<id>.scope                           Podman
//   lxc.payload.<name>                          LXC
//   <64 hex digits>                             somebody's: the runtime stays empty
// With systemd or not, ".scope" may be missing. Of containers inside each other the innermost
// counts.
#pragma once

#include <string_view>

namespace cicd {

struct ContainerName {
  std::string_view id;  // empty: no container
  std::string_view runtime;
};

// `path`: of the cgroup, below the root of the v2 hierarchy. The id is part of `path`.
ContainerName container_of_cgroup(std::string_view path);

}  // namespace cicd

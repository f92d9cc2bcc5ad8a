// SPDX-License-Identifier: Apache-2.0
// The container an event happened in, told from its cgroup. Made once a cgroup on the pipeline
// thread, immutable, shared by the records of that cgroup.
#pragma once

#include <memory>
#include <string>

namespace cicd {

struct Container {
  std::string id;       // as its engine names it; 64 hex digits with nearly all of them
  std::string runtime;  // docker, containerd, podman, cri-o, buildkit, lxc; empty: not told
};
using ContainerRef = std::shared_ptr<const Container>;

}  // namespace cicd

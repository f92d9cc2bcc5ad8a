// SPDX-License-Identifier: Apache-2.0
// What the kernel says of Docker's networks: where Docker's resolver listens in a container, and
// which addresses are of containers. Nothing that a job can set up in a namespace of its own is
// believed: the resolver is known by the cgroup of whoever made its socket, and a container's
// address by the route to it in the machine's own namespace.
//
// Threads: any; a function that takes a namespace enters it (network_namespace.h). Nothing is kept.
#pragma once

#include <cstdint>
#include <optional>

#include "base/function_ref.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "rule/ip_prefix.h"

namespace cicd {

// The TCP port that Docker's resolver (127.0.0.11) listens on in this namespace; 0: there is none,
// or only one that a process of a job has made. `is_of_a_job`: by the id of a cgroup.
Result<std::uint16_t> docker_resolver_port(int netns_fd,
                                           FunctionRef<bool(std::uint64_t)> is_of_a_job);

// A connection to it that is being made; it does not block.
Result<UniqueFd> connect_to_docker_resolver(int netns_fd, std::uint16_t port);

// The bridge of a network that a user of Docker made, in the caller's namespace, behind which this
// address is (index of the interface); 0: it is another address, or the machine's own. The kernel
// answers in constant time.
unsigned bridge_to_container(const IpBytes& ip);

// The address that packets from this namespace to `ip` have; nullopt: there is no way there.
std::optional<IpBytes> source_address(int netns_fd, const IpBytes& ip);

}  // namespace cicd

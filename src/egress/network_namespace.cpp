// SPDX-License-Identifier: Apache-2.0
#include "egress/network_namespace.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <sched.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstdlib>

namespace cicd {

Result<> within_netns(int netns_fd, FunctionRef<Result<>()> work) {
  const UniqueFd own(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!own) return fail_errno(errno, "open our network namespace");
  if (::setns(netns_fd, CLONE_NEWNET) != 0) {
    return fail_errno(errno, "enter the job's network namespace");
  }
  Result<> result = work();
  // With the right that has just served.
  if (::setns(own.get(), CLONE_NEWNET) != 0) std::abort();
  return result;
}

Result<UniqueFd> netns_of_socket(int socket) {
  UniqueFd out(::ioctl(socket, SIOCGSKNS));
  if (!out) return fail_errno(errno, "ask for the network namespace of a socket");
  return out;
}

}  // namespace cicd

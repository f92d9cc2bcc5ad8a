// SPDX-License-Identifier: Apache-2.0
// Work in another network namespace than the process's own: sockets that are made there stay there.
// Threads: any; the caller's enters and comes back. Where it cannot come back the process ends, as
// a thread that stayed would use a job's network. Needs CAP_SYS_ADMIN and CAP_NET_ADMIN.
#pragma once

#include "base/function_ref.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace cicd {

// The result is that of `work`, or why the namespace could not be entered.
Result<> within_netns(int netns_fd, FunctionRef<Result<>()> work);

// The namespace that a socket was made in.
Result<UniqueFd> netns_of_socket(int socket);

}  // namespace cicd

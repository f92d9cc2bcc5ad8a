// SPDX-License-Identifier: Apache-2.0
// Connects to a Unix socket without ever waiting. Any thread.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace cicd {

// kTimeout: its queue of connections is full, try again later. kUsage: no path of a socket.
Result<UniqueFd> connect_unix(const std::string& path);
// Makes the socket with the mode that the umask leaves. Replaces what a dead program left there;
// kResource: somebody listens there.
Result<UniqueFd> listen_unix(const std::string& path);

}  // namespace cicd

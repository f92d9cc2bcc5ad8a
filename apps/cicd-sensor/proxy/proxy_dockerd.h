// SPDX-License-Identifier: Apache-2.0
// `cicd-sensor proxy dockerd`: the proxy before dockerd's socket, until SIGTERM or SIGINT.
// Thread: the main one, before any other.
#pragma once

#include "base/result.h"
#include "config/parse.h"

namespace cicd {

Result<void> run_proxy_dockerd(const CommandLine& line);

}  // namespace cicd

// SPDX-License-Identifier: Apache-2.0
// The routes of an agent's socket: which there are for a provider, and how each becomes a call of
// AgentApi. Thread: that of the HttpServer. Lifetime: `api` outlives the server.
#pragma once

#include <string_view>
#include <vector>

#include "listener/agent_api.h"
#include "listener/http_server.h"

namespace cicd {

inline constexpr std::string_view kStatusRoute = "/v1/status";

// "/v1/github/host/start" of ("github", "host/start"); every provider but github and gitlab has its
// routes below "/v1/job/": "host/start" is "/v1/job/start" there.
std::string job_route(std::string_view provider, std::string_view what);

std::vector<HttpRoute> agent_routes(std::string_view provider, AgentApi& api);

}  // namespace cicd

// SPDX-License-Identifier: Apache-2.0
// Member "egress" of a summary or a result document (evidence/egress_json.h) read back. A document
// is hostile: what is missing or of another type keeps its zero value, unknown words are left out.
// Pure; any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "job/summary.h"

namespace cicd {

// nullopt: `root` has no such object.
std::optional<EgressSummary> read_egress(const nlohmann::json& root);
// Of an item of "destinations".
TrafficCounts read_traffic(const nlohmann::json& item);

}  // namespace cicd

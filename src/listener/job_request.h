// SPDX-License-Identifier: Apache-2.0
// Body of a request about a job: exactly one JSON object of strings, the members of JobIdentity
// and, where the route takes it, an object `metadata` of the members of JobMetadata. Everything
// else is refused: unknown and repeated members, other types, bytes that are no UTF-8, what follows
// the object. Pure; any thread. It is bounded by the size of the body.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "listener/agent_api.h"

namespace cicd {

enum class MetadataUse : std::uint8_t { kTaken, kRefused };

// kInvalidInput, one line that names the member. The identity is valid (job/identity.h).
Result<JobCall> read_job_request(std::string_view body, MetadataUse metadata);

// {"basename": TEXT, "peer_pid": NUMBER, "container": "new" or "missed"}; for GitLab, whose
// containers may name their job, also
// {"job_identity": {...}, "metadata": {...}}. Nothing else.
Result<StagingCall> read_staging_request(std::string_view body, std::string_view provider);

// {"builds": [{"id": TEXT, "peer_pid": NUMBER}, ...]}: the builds that a Docker proxy has open.
Result<std::vector<Build>> read_builds_request(std::string_view body);

// The body of a request about a job. `metadata` null: without.
std::string write_job_request(const JobIdentity& identity, const JobMetadata* metadata);

}  // namespace cicd

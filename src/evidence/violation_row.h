// SPDX-License-Identifier: Apache-2.0
// Parts of rows that the row of a violation shares with others. Threads: pure.
#pragma once

#include "base/json_writer.h"
#include "event/step.h"
#include "job/identity.h"

namespace cicd {

// Member "step".
void append_step(JsonWriter& json, const Step& step);
// Members "job_link" and "github" or "gitlab", of those that are known; maybe none.
void append_provider(JsonWriter& json, const JobIdentity& identity, const JobMetadata& metadata);

}  // namespace cicd

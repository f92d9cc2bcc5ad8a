// SPDX-License-Identifier: Apache-2.0
// What a job's hooks and people say to a running agent: `host start|end`, `project start|result`,
// `job start|end|health|result`, `status`. Each is one request; the exit code is 0 when the agent
// did what was asked, 1 when it refused or is not there, 2 when the command line is wrong.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "config/parse.h"
#include "job/ci_platform.h"
#include "job/identity.h"

namespace cicd {

bool is_job_command(std::string_view name);
int run_job_command(const CommandLine& line);
int run_status(const CommandLine& line);

struct NamedJob {
  JobIdentity identity;
  JobMetadata metadata;
};
// From flags, and for what they leave out the variables of the provider's CI platform. kUsage when
// the identity is not whole.
Result<NamedJob> name_job(const CommandLine& line, const Environment& environment);

}  // namespace cicd

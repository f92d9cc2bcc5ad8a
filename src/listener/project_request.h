// SPDX-License-Identifier: Apache-2.0
// Body of a request that begins a project scope: identity and metadata as in job_request.h, the
// settings of the project and its rules. Pure; any thread. Bounded by the size of the body.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "listener/agent_api.h"

namespace cicd {

// `rule_sources` is a list of objects with the members RuleSets and RuleModifiers (or rule_sets and
// rule_modifiers, in any case): lists of what stands below these names in a rule file.
// kInvalidInput, one line: the member, or the first mistake in the rules.
Result<ProjectStartCall> read_project_request(std::string_view body);

// The body of such a request. `rule_file`: the text of a rule file, or empty. kInvalidInput when it
// is no YAML.
Result<std::string> write_project_request(const JobIdentity& identity, const JobMetadata& metadata,
                                          const ProjectSettings& settings,
                                          std::string_view rule_file);

// A project's settings: a YAML map of default_max_alerts_per_rule, disable_baseline_rules and
// monitor_mode. Unknown members are refused.
Result<ProjectSettings> read_project_settings(const std::string& text);

}  // namespace cicd

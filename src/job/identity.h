// SPDX-License-Identifier: Apache-2.0
// JobIdentity and JobMetadata: which job this is. Names of members are those of the log rows
// (proto3 JSON, empty ones omitted), which name exactly one provider's own members.
// Pure data; any thread.
#pragma once

#include <string>

namespace cicd {

struct JobIdentity {
  std::string provider;       // "generic", "github", "gitlab", ...
  std::string provider_host;  // "local" for `run`
  std::string project_path;   // --name for `run`
  std::string job_key;        // generic: free text that tells runs of a project apart
  std::string github_run_id, github_job, github_run_attempt, github_runner_tracking_id;
  std::string gitlab_job_id;
};

struct JobMetadata {
  std::string commit_sha;
  std::string ref_name;
  std::string job_link;  // page of the job, where the provider has one
  std::string trigger, actor_id, actor_name;
  std::string github_workflow_ref, github_workflow_sha, github_workflow;
  std::string gitlab_job_name, gitlab_config_ref_uri;
};

}  // namespace cicd

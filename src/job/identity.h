// SPDX-License-Identifier: Apache-2.0
// JobIdentity and JobMetadata: which job this is. Names of members are those of the log rows and of
// the requests to the agent (proto3 JSON, empty ones omitted), which name exactly one provider's
// own members. Pure data; any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace cicd {

struct JobIdentity {
  std::string provider;       // "generic", "github", "gitlab", ...
  std::string provider_host;  // "local" for `run` outside of a CI platform
  std::string project_path;
  std::string job_key;  // all but github and gitlab, and `run`: tells the runs of a project apart
  std::string github_run_id, github_job, github_run_attempt, github_runner_tracking_id;
  std::string gitlab_job_id;

  bool operator==(const JobIdentity&) const = default;
};

// Most bytes of a member of the metadata; those of the identity have limits of their own.
inline constexpr std::size_t kMostMetadataBytes = 8192;

struct JobMetadata {
  std::string commit_sha;
  std::string ref_name;
  std::string job_link;  // page of the job, where the provider has one
  std::string trigger, actor_id, actor_name;
  std::string github_workflow_ref, github_workflow_sha, github_workflow;
  std::string gitlab_job_name, gitlab_config_ref_uri, gitlab_pipeline_id;
};

// A job that something else names, as the labels of a container do.
struct JobDescription {
  JobIdentity identity;
  JobMetadata metadata;
};

// Providers whose jobs an agent can watch, in the order of the documentation.
std::span<const std::string_view> job_providers();

struct IdentityField {
  std::string_view name;
  std::string JobIdentity::* member;
  std::string_view provider;  // whose jobs have it: "", all; "other", all but github and gitlab
  bool is_number = false;     // decimal, above 0, at most 64 bits
  std::size_t most_bytes = 2048;
};
std::span<const IdentityField> identity_fields();

struct MetadataField {
  std::string_view name;
  std::string JobMetadata::* member;
};
std::span<const MetadataField> metadata_fields();

// kInvalidInput, naming the member: one that is missing, too long, no number where one must be, or
// of another provider; bytes that are control characters.
Result<void> validate(const JobIdentity& identity);

// The name that a platform has for the job: what its definition calls it.
std::string_view job_name(const JobIdentity& identity, const JobMetadata& metadata);

// A name for files and objects of this job, of letters, digits and "._-", at most some 400 bytes:
// what a person recognises, and a hash that tells jobs apart that look the same.
std::string identity_key(const JobIdentity& identity);

}  // namespace cicd

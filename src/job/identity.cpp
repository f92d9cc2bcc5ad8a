// SPDX-License-Identifier: Apache-2.0
#include "job/identity.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

#include "rule/sha256.h"

namespace cicd {

namespace {

constexpr std::string_view kProviders[] = {"github", "gitlab",    "jenkins", "circleci",
                                           "azure",  "bitbucket", "tekton",  "buildkite",
                                           "drone",  "generic"};
constexpr std::string_view kOther = "other";

constexpr IdentityField kFields[] = {
    {"provider", &JobIdentity::provider, ""},
    {"provider_host", &JobIdentity::provider_host, ""},
    {"project_path", &JobIdentity::project_path, ""},
    {"github_run_id", &JobIdentity::github_run_id, "github", true},
    {"github_job", &JobIdentity::github_job, "github"},
    {"github_run_attempt", &JobIdentity::github_run_attempt, "github", true},
    {"github_runner_tracking_id", &JobIdentity::github_runner_tracking_id, "github", false, 128},
    {"gitlab_job_id", &JobIdentity::gitlab_job_id, "gitlab", true},
    {"job_key", &JobIdentity::job_key, kOther},
};

constexpr MetadataField kMetadata[] = {
    {"commit_sha", &JobMetadata::commit_sha},
    {"ref_name", &JobMetadata::ref_name},
    {"job_link", &JobMetadata::job_link},
    {"trigger", &JobMetadata::trigger},
    {"actor_id", &JobMetadata::actor_id},
    {"actor_name", &JobMetadata::actor_name},
    {"github_workflow_ref", &JobMetadata::github_workflow_ref},
    {"github_workflow_sha", &JobMetadata::github_workflow_sha},
    {"github_workflow", &JobMetadata::github_workflow},
    {"gitlab_job_name", &JobMetadata::gitlab_job_name},
    {"gitlab_config_ref_uri", &JobMetadata::gitlab_config_ref_uri},
    {"gitlab_pipeline_id", &JobMetadata::gitlab_pipeline_id},
};

bool belongs_to(const IdentityField& field, std::string_view provider) {
  if (field.provider.empty()) return true;
  if (field.provider == kOther) return provider != "github" && provider != "gitlab";
  return field.provider == provider;
}

bool is_positive_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && number > 0;
}

bool has_control(std::string_view text) {
  return std::ranges::any_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

std::unexpected<Error> bad(const IdentityField& field, std::string_view what) {
  return fail(ErrorCode::kInvalidInput, std::string(field.name) + " " + std::string(what));
}

Result<void> validate_field(const IdentityField& field, const std::string& value,
                            std::string_view provider) {
  if (!belongs_to(field, provider)) {
    if (value.empty()) return {};
    return bad(field, "does not belong to a job of the provider " + std::string(provider));
  }
  if (value.empty()) return bad(field, "is required");
  if (value.size() > field.most_bytes) {
    return bad(field, "has more than " + std::to_string(field.most_bytes) + " bytes");
  }
  if (has_control(value)) return bad(field, "contains control characters");
  if (field.is_number && !is_positive_number(value)) {
    return bad(field, "must be a decimal number above 0");
  }
  return {};
}

constexpr std::size_t kMostSegmentBytes = 64;

std::string segment_of(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
    out.push_back(is_plain ? c : '-');
  }
  if (out.size() <= kMostSegmentBytes) return out;
  return out.substr(0, kMostSegmentBytes) + "-" + sha256_hex(text).substr(0, 8);
}

// What tells the jobs of a project apart.
std::string reference_of(const JobIdentity& identity) {
  if (identity.provider == "github") {
    return identity.github_run_id + "_" + identity.github_job + "_" + identity.github_run_attempt +
           "_" + sha256_hex(identity.github_runner_tracking_id).substr(0, 8);
  }
  return identity.provider == "gitlab" ? identity.gitlab_job_id : identity.job_key;
}

}  // namespace

std::string_view job_name(const JobIdentity& identity, const JobMetadata& metadata) {
  if (!identity.github_job.empty()) return identity.github_job;
  return metadata.gitlab_job_name.empty() ? identity.job_key : metadata.gitlab_job_name;
}

std::span<const std::string_view> job_providers() { return kProviders; }
std::span<const IdentityField> identity_fields() { return kFields; }
std::span<const MetadataField> metadata_fields() { return kMetadata; }

Result<void> validate(const JobIdentity& identity) {
  if (std::ranges::find(kProviders, identity.provider) == std::end(kProviders)) {
    std::string known;
    for (const std::string_view name : kProviders)
      known += (known.empty() ? "" : ", ") + std::string(name);
    return fail(ErrorCode::kInvalidInput,
                identity.provider.empty() ? "provider is required" : "provider is not known",
                "one of: " + known);
  }
  for (const IdentityField& field : kFields) {
    CICD_TRY(validate_field(field, identity.*field.member, identity.provider));
  }
  return {};
}

std::string identity_key(const JobIdentity& identity) {
  const std::string parts[] = {identity.provider, identity.provider_host, identity.project_path,
                               reference_of(identity)};
  std::string key, raw;
  for (const std::string& part : parts) {
    if (!key.empty()) {
      key.push_back('-');
      raw.push_back('\0');
    }
    key += segment_of(part);
    raw += part;
  }
  return key + "-" + sha256_hex(raw).substr(0, 16);
}

}  // namespace cicd

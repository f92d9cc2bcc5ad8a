// SPDX-License-Identifier: Apache-2.0
#include "job/ci_platform.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <vector>

namespace cicd {

namespace {

using Name = std::string_view;

// Woodpecker is Drone's descendant: it sets CI_* as GitLab does and can set DRONE_* too.
constexpr CiField kWoodpecker[] = {
    {"provider_host", "CI_SYSTEM_HOST"},
    {"project_path", "CI_REPO"},
    {"job_key", "CI_PIPELINE_NUMBER", "CI_WORKFLOW_NUMBER", "."},
    {"commit_sha", "CI_COMMIT_SHA"},
    {"ref_name", "CI_COMMIT_BRANCH"},
    {"ref_name", "CI_COMMIT_TAG"},
    {"job_link", "CI_PIPELINE_URL"},
    {"trigger", "CI_PIPELINE_EVENT"},
    {"actor_name", "CI_COMMIT_AUTHOR"},
};
constexpr Name kWoodpeckerId[] = {"CI_STEP_NUMBER"};
constexpr Name kWoodpeckerName[] = {"CI_STEP_NAME"};

constexpr CiField kDrone[] = {
    {"provider_host", "DRONE_SYSTEM_HOST"},
    {"project_path", "DRONE_REPO"},
    {"job_key", "DRONE_BUILD_NUMBER", "DRONE_STAGE_NUMBER", "."},
    {"commit_sha", "DRONE_COMMIT_SHA"},
    {"ref_name", "DRONE_BRANCH"},
    {"ref_name", "DRONE_TAG"},
    {"job_link", "DRONE_BUILD_LINK"},
    {"trigger", "DRONE_BUILD_EVENT"},
    {"actor_name", "DRONE_BUILD_TRIGGER"},
};
constexpr Name kDroneId[] = {"DRONE_STEP_NUMBER"};
constexpr Name kDroneName[] = {"DRONE_STEP_NAME"};

// Forgejo's and Gitea's runners set the variables of GitHub's.
constexpr CiField kGithub[] = {
    {"provider_host", "GITHUB_SERVER_URL"},
    {"project_path", "GITHUB_REPOSITORY"},
    {"github_run_id", "GITHUB_RUN_ID"},
    {"github_job", "GITHUB_JOB"},
    {"github_run_attempt", "GITHUB_RUN_ATTEMPT"},
    {"github_runner_tracking_id", "RUNNER_TRACKING_ID"},
    {"commit_sha", "GITHUB_SHA"},
    {"ref_name", "GITHUB_REF_NAME"},
    {"job_link", "GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "/", "GITHUB_RUN_ID", "/actions/runs/"},
    {"trigger", "GITHUB_EVENT_NAME"},
    {"actor_id", "GITHUB_ACTOR_ID"},
    {"actor_name", "GITHUB_ACTOR"},
    {"github_workflow_ref", "GITHUB_WORKFLOW_REF"},
    {"github_workflow_sha", "GITHUB_WORKFLOW_SHA"},
    {"github_workflow", "GITHUB_WORKFLOW"},
};
constexpr Name kGithubId[] = {"GITHUB_ACTION"};
// Of steps that run an action; the title that a workflow gives a step is in no variable.
constexpr Name kGithubName[] = {"GITHUB_ACTION_REPOSITORY"};

constexpr CiField kGitlab[] = {
    {"provider_host", "CI_SERVER_HOST"},
    {"project_path", "CI_PROJECT_PATH"},
    {"gitlab_job_id", "CI_JOB_ID"},
    {"gitlab_job_name", "CI_JOB_NAME"},
    {"commit_sha", "CI_COMMIT_SHA"},
    {"ref_name", "CI_COMMIT_REF_NAME"},
    {"job_link", "CI_JOB_URL"},
    {"trigger", "CI_PIPELINE_SOURCE"},
    {"actor_id", "GITLAB_USER_ID"},
    {"actor_name", "GITLAB_USER_LOGIN"},
    {"gitlab_pipeline_id", "CI_PIPELINE_ID"},
};
// GitLab tells nothing smaller than the job.
constexpr Name kGitlabId[] = {"CI_JOB_ID"};
constexpr Name kGitlabName[] = {"CI_JOB_NAME"};

constexpr CiField kBuildkite[] = {
    {"project_path", "BUILDKITE_ORGANIZATION_SLUG", "BUILDKITE_PIPELINE_SLUG", "/"},
    {"job_key", "BUILDKITE_JOB_ID"},
    {"commit_sha", "BUILDKITE_COMMIT"},
    {"ref_name", "BUILDKITE_BRANCH"},
    {"ref_name", "BUILDKITE_TAG"},
    {"job_link", "BUILDKITE_BUILD_URL", "BUILDKITE_JOB_ID", "#"},
    {"trigger", "BUILDKITE_SOURCE"},
    {"actor_name", "BUILDKITE_BUILD_CREATOR"},
};
constexpr Name kBuildkiteId[] = {"BUILDKITE_STEP_ID"};
constexpr Name kBuildkiteName[] = {"BUILDKITE_LABEL", "BUILDKITE_STEP_KEY"};

constexpr CiField kCircleci[] = {
    {"project_path", "CIRCLE_PROJECT_USERNAME", "CIRCLE_PROJECT_REPONAME", "/"},
    {"job_key", "CIRCLE_WORKFLOW_JOB_ID"},
    {"job_key", "CIRCLE_BUILD_NUM"},
    {"commit_sha", "CIRCLE_SHA1"},
    {"ref_name", "CIRCLE_BRANCH"},
    {"ref_name", "CIRCLE_TAG"},
    {"job_link", "CIRCLE_BUILD_URL"},
    {"actor_name", "CIRCLE_USERNAME"},
};
// CircleCI tells nothing smaller than the job.
constexpr Name kCircleciId[] = {"CIRCLE_WORKFLOW_JOB_ID", "CIRCLE_BUILD_NUM"};
constexpr Name kCircleciName[] = {"CIRCLE_JOB"};

// A job has the same id in every run.
constexpr CiField kAzure[] = {
    {"provider_host", "SYSTEM_COLLECTIONURI"},
    {"project_path", "SYSTEM_TEAMPROJECT", "BUILD_REPOSITORY_NAME", "/"},
    {"job_key", "BUILD_BUILDID", "SYSTEM_JOBID", "."},
    {"commit_sha", "BUILD_SOURCEVERSION"},
    {"ref_name", "BUILD_SOURCEBRANCHNAME"},
    {"trigger", "BUILD_REASON"},
    {"actor_id", "BUILD_REQUESTEDFORID"},
    {"actor_name", "BUILD_REQUESTEDFOR"},
};
constexpr Name kAzureId[] = {"SYSTEM_TASKINSTANCEID"};
constexpr Name kAzureName[] = {"SYSTEM_TASKDISPLAYNAME"};

constexpr CiField kBitbucket[] = {
    {"project_path", "BITBUCKET_REPO_FULL_NAME"},
    {"job_key", "BITBUCKET_PIPELINE_UUID", "BITBUCKET_STEP_UUID", "."},
    {"commit_sha", "BITBUCKET_COMMIT"},
    {"ref_name", "BITBUCKET_BRANCH"},
    {"ref_name", "BITBUCKET_TAG"},
    {"actor_id", "BITBUCKET_STEP_TRIGGERER_UUID"},
};
constexpr Name kBitbucketId[] = {"BITBUCKET_STEP_UUID"};

constexpr CiField kJenkins[] = {
    {"provider_host", "JENKINS_URL"}, {"project_path", "JOB_NAME"},    {"job_key", "BUILD_TAG"},
    {"commit_sha", "GIT_COMMIT"},     {"ref_name", "BRANCH_NAME"},     {"ref_name", "GIT_BRANCH"},
    {"job_link", "BUILD_URL"},        {"actor_name", "CHANGE_AUTHOR"},
};
// A stage of a pipeline; other jobs have none, and steps within a stage no names.
constexpr Name kJenkinsName[] = {"STAGE_NAME"};

// The name of the pod is all there is; steps are told by arguments (step_of_tekton).
constexpr CiField kTekton[] = {{"job_key", "HOSTNAME"}};

// Systems that set the variables of others as well come first. Jenkins stands behind the others
// because what it sets is named so generally; last the variable that all of them set.
constexpr CiPlatform kPlatforms[] = {
    {"Woodpecker",
     "generic",
     {"CI", "woodpecker"},
     "local",
     kWoodpecker,
     kWoodpeckerId,
     kWoodpeckerName},
    {"Drone", "drone", {"DRONE", "true"}, "local", kDrone, kDroneId, kDroneName},
    {"GitHub Actions",
     "github",
     {"GITHUB_ACTIONS", "true"},
     "github.com",
     kGithub,
     kGithubId,
     kGithubName},
    {"GitLab CI", "gitlab", {"GITLAB_CI", "true"}, "gitlab.com", kGitlab, kGitlabId, kGitlabName},
    {"Buildkite",
     "buildkite",
     {"BUILDKITE", "true"},
     "buildkite.com",
     kBuildkite,
     kBuildkiteId,
     kBuildkiteName},
    {"CircleCI",
     "circleci",
     {"CIRCLECI", "true"},
     "circleci.com",
     kCircleci,
     kCircleciId,
     kCircleciName},
    {"Azure Pipelines",
     "azure",
     {"TF_BUILD", "true"},
     "dev.azure.com",
     kAzure,
     kAzureId,
     kAzureName},
    {"Bitbucket Pipelines",
     "bitbucket",
     {"BITBUCKET_BUILD_NUMBER", "*"},
     "bitbucket.org",
     kBitbucket,
     kBitbucketId,
     {}},
    {"Jenkins", "jenkins", {"BUILD_TAG", "jenkins-*"}, "local", kJenkins, {}, kJenkinsName},
    {"Tekton", "tekton", {}, "local", kTekton, {}, {}},
    {"another system", "generic", {"CI", "true"}, "local", {}, {}, {}},
};

constexpr std::uint32_t kMostMarkBytes = 16;
constexpr std::uint32_t kMostStepBytes = 255;

bool is_same_letter(char a, char b) {
  return std::tolower(static_cast<unsigned char>(a)) == std::tolower(static_cast<unsigned char>(b));
}

bool matches(std::string_view text, std::string_view wanted) {
  if (!wanted.ends_with('*')) return std::ranges::equal(text, wanted, is_same_letter);
  wanted.remove_suffix(1);
  return !text.empty() && std::ranges::equal(text.substr(0, wanted.size()), wanted, is_same_letter);
}

// "https://GitHub.example:8443/x" -> "github.example"
std::string host_of(std::string_view url) {
  if (const std::size_t scheme = url.find("://"); scheme != std::string_view::npos) {
    url.remove_prefix(scheme + 3);
  }
  std::string host(url.substr(0, url.find_first_of(":/?#")));
  std::ranges::transform(host, host.begin(), [](unsigned char c) { return std::tolower(c); });
  return host;
}

// Calls `look_up` with each name until it gives a text that is not empty.
template <typename LookUp>
std::string first_of(std::span<const std::string_view> names, LookUp look_up) {
  for (const std::string_view name : names) {
    if (std::string value(look_up(name)); !value.empty()) return value;
  }
  return {};
}

template <typename LookUp>
const CiPlatform* detect(LookUp look_up) {
  for (const CiPlatform& platform : kPlatforms) {
    if (platform.mark.variable.empty()) continue;
    if (matches(look_up(platform.mark.variable), platform.mark.value)) return &platform;
  }
  return nullptr;
}

std::string_view value_in(std::string_view environment, std::string_view name) {
  while (!environment.empty()) {
    const std::string_view entry = environment.substr(0, environment.find('\0'));
    environment.remove_prefix(std::min(environment.size(), entry.size() + 1));
    if (entry.size() > name.size() && entry[name.size()] == '=' && entry.starts_with(name)) {
      return entry.substr(name.size() + 1);
    }
  }
  return {};
}

// "/tekton/run/3/status" and, before there were those, "/tekton/steps/step-build" and a link "3".
std::string_view part_of_path(std::string_view path, std::string_view prefix) {
  if (!path.starts_with(prefix)) return {};
  path.remove_prefix(prefix.size());
  return path.substr(0, path.find('/'));
}

// Every step of Tekton begins as its `entrypoint`, which is told where to note what becomes of it.
std::optional<Step> step_of_tekton(std::span<const std::string> argv) {
  if (argv.empty() || !argv.front().ends_with("/entrypoint")) return std::nullopt;
  Step step;
  for (std::size_t i = 1; i + 1 < argv.size() && argv[i] != "--"; ++i) {
    if (argv[i] == "-step_metadata_dir") {
      step.id = part_of_path(argv[i + 1], "/tekton/run/");
      step.name = part_of_path(argv[i + 1], "/tekton/steps/step-");
    } else if (argv[i] == "-step_metadata_dir_link") {
      step.id = part_of_path(argv[i + 1], "/tekton/steps/");
    }
  }
  if (step.id.empty() && step.name.empty()) return std::nullopt;
  return step;
}

std::vector<StepVariable> make_step_variables() {
  std::vector<StepVariable> out;
  const auto add = [&](std::string_view name, std::uint32_t most, bool is_id) {
    const auto known = std::ranges::find(out, name, &StepVariable::name);
    if (known == out.end()) {
      out.push_back({name, most, is_id});
    } else {
      known->most_value_bytes = std::max(known->most_value_bytes, most);
      known->is_id |= is_id;
    }
  };
  for (const CiPlatform& platform : kPlatforms) {
    if (!platform.mark.variable.empty()) add(platform.mark.variable, kMostMarkBytes, false);
    for (const std::string_view name : platform.step_id) add(name, kMostStepBytes, true);
    const bool goes_by_name = platform.step_id.empty();
    for (const std::string_view name : platform.step_name) add(name, kMostStepBytes, goes_by_name);
  }
  return out;
}

}  // namespace

std::span<const CiPlatform> ci_platforms() { return kPlatforms; }

const CiPlatform* detect_platform(const Environment& environment) {
  return detect([&](std::string_view name) { return environment(std::string(name).c_str()); });
}

const CiPlatform* platform_of(std::string_view provider) {
  if (provider == "generic") return nullptr;
  const auto found = std::ranges::find(kPlatforms, provider, &CiPlatform::provider);
  return found == std::end(kPlatforms) ? nullptr : found;
}

std::string platform_value(const CiPlatform& platform, std::string_view member,
                           const Environment& environment) {
  for (const CiField& field : platform.fields) {
    if (field.member != member) continue;
    std::string value = environment(std::string(field.variable).c_str());
    if (value.empty()) continue;
    if (member == "provider_host") return host_of(value);
    bool is_whole = true;
    for (const auto& [join, name] :
         {std::pair(field.join, field.second), std::pair(field.join_third, field.third)}) {
      if (name.empty()) continue;
      const std::string part = environment(std::string(name).c_str());
      is_whole = is_whole && !part.empty();
      value.append(join).append(part);
    }
    if (is_whole) return value;
  }
  return member == "provider_host" ? std::string(platform.host) : std::string();
}

std::string own_environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

std::optional<JobDescription> job_of_environment(const Environment& environment) {
  const CiPlatform* platform = detect_platform(environment);
  if (platform == nullptr) return std::nullopt;
  JobDescription job;
  for (const IdentityField& field : identity_fields()) {
    job.identity.*field.member = platform_value(*platform, field.name, environment);
  }
  job.identity.provider = platform->provider;
  for (const MetadataField& field : metadata_fields()) {
    std::string value = platform_value(*platform, field.name, environment);
    if (value.size() <= kMostMetadataBytes) job.metadata.*field.member = std::move(value);
  }
  return validate(job.identity) ? std::optional(std::move(job)) : std::nullopt;
}

std::span<const StepVariable> step_variables() {
  static const std::vector<StepVariable> variables = make_step_variables();
  return variables;
}

std::optional<Step> step_of_start(std::string_view environment, std::span<const std::string> argv) {
  if (std::optional<Step> step = step_of_tekton(argv)) {
    if (step->name.empty()) step->name = step->id;
    return step;
  }
  if (environment.empty()) return std::nullopt;
  const auto look_up = [&](std::string_view name) { return value_in(environment, name); };
  const CiPlatform* platform = detect(look_up);
  if (platform == nullptr) return std::nullopt;
  Step step{first_of(platform->step_id, look_up), first_of(platform->step_name, look_up)};
  if (step.id.empty() && step.name.empty()) return std::nullopt;
  if (step.name.empty()) step.name = step.id;
  return step;
}

}  // namespace cicd

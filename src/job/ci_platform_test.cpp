// SPDX-License-Identifier: Apache-2.0
#include "job/ci_platform.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <vector>

#include "job/identity.h"
#include "wire/shared.h"

namespace cicd {
namespace {

using std::string_literals::operator""s;
using Variables = std::map<std::string, std::string>;

Environment environment_of(const Variables& variables) {
  return [&variables](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? std::string() : found->second;
  };
}

std::string block_of(const Variables& variables) {
  std::string out;
  for (const auto& [name, value] : variables) out.append(name + "=" + value).push_back('\0');
  return out;
}

// A job of each platform with the variables that it sets, and what they are to tell.
struct Sample {
  const char* title;
  Variables variables;
  std::vector<std::string> argv;
  std::string step_id, step_name;
  JobIdentity identity;  // without provider, which the table says
  std::string commit, ref;
};

const std::vector<Sample> kSamples = {
    {"GitHub Actions",
     {{"CI", "true"},
      {"GITHUB_ACTIONS", "true"},
      {"GITHUB_ACTION", "__run_2"},
      {"GITHUB_ACTION_REPOSITORY", ""},
      {"GITHUB_SERVER_URL", "https://github.example"},
      {"GITHUB_REPOSITORY", "o/r"},
      {"GITHUB_RUN_ID", "12"},
      {"GITHUB_JOB", "build"},
      {"GITHUB_RUN_ATTEMPT", "1"},
      {"RUNNER_TRACKING_ID", "t"},
      {"GITHUB_SHA", "abc"},
      {"GITHUB_REF_NAME", "main"}},
     {},
     "__run_2",
     "__run_2",
     {.provider_host = "github.example",
      .project_path = "o/r",
      .github_run_id = "12",
      .github_job = "build",
      .github_run_attempt = "1",
      .github_runner_tracking_id = "t"},
     "abc",
     "main"},
    {"GitLab CI",
     {{"CI", "true"},
      {"GITLAB_CI", "true"},
      {"CI_JOB_ID", "99"},
      {"CI_JOB_NAME", "unit tests"},
      {"CI_SERVER_HOST", "gitlab.example"},
      {"CI_PROJECT_PATH", "g/p"},
      {"CI_COMMIT_SHA", "abc"},
      {"CI_COMMIT_REF_NAME", "main"}},
     {},
     "99",
     "unit tests",
     {.provider_host = "gitlab.example", .project_path = "g/p", .gitlab_job_id = "99"},
     "abc",
     "main"},
    {"Jenkins",
     {{"BUILD_TAG", "jenkins-folder-app-7"},
      {"JOB_NAME", "folder/app"},
      {"STAGE_NAME", "Test"},
      {"JENKINS_URL", "https://jenkins.example/"},
      {"GIT_COMMIT", "abc"},
      {"GIT_BRANCH", "origin/main"}},
     {},
     "",
     "Test",
     {.provider_host = "jenkins.example",
      .project_path = "folder/app",
      .job_key = "jenkins-folder-app-7"},
     "abc",
     "origin/main"},
    {"CircleCI",
     {{"CI", "true"},
      {"CIRCLECI", "true"},
      {"CIRCLE_JOB", "build"},
      {"CIRCLE_WORKFLOW_JOB_ID", "3f2f"},
      {"CIRCLE_PROJECT_USERNAME", "o"},
      {"CIRCLE_PROJECT_REPONAME", "r"},
      {"CIRCLE_SHA1", "abc"},
      {"CIRCLE_TAG", "v1"}},
     {},
     "3f2f",
     "build",
     {.provider_host = "circleci.com", .project_path = "o/r", .job_key = "3f2f"},
     "abc",
     "v1"},
    {"Azure Pipelines",
     {{"TF_BUILD", "True"},
      {"SYSTEM_TASKINSTANCEID", "e80b"},
      {"SYSTEM_TASKDISPLAYNAME", "Run the tests"},
      {"SYSTEM_COLLECTIONURI", "https://dev.azure.com/org/"},
      {"SYSTEM_TEAMPROJECT", "team"},
      {"BUILD_REPOSITORY_NAME", "r"},
      {"BUILD_BUILDID", "5"},
      {"SYSTEM_JOBID", "12f1"},
      {"BUILD_SOURCEVERSION", "abc"},
      {"BUILD_SOURCEBRANCHNAME", "main"}},
     {},
     "e80b",
     "Run the tests",
     {.provider_host = "dev.azure.com", .project_path = "team/r", .job_key = "5.12f1"},
     "abc",
     "main"},
    {"Bitbucket Pipelines",
     {{"CI", "true"},
      {"BITBUCKET_BUILD_NUMBER", "52"},
      {"BITBUCKET_STEP_UUID", "{19fb}"},
      {"BITBUCKET_PIPELINE_UUID", "{d32e}"},
      {"BITBUCKET_REPO_FULL_NAME", "w/r"},
      {"BITBUCKET_COMMIT", "abc"},
      {"BITBUCKET_BRANCH", "main"}},
     {},
     "{19fb}",
     "{19fb}",
     {.provider_host = "bitbucket.org", .project_path = "w/r", .job_key = "{d32e}.{19fb}"},
     "abc",
     "main"},
    {"Tekton",
     {{"HOSTNAME", "build-pod"}},
     {"/tekton/bin/entrypoint", "-wait_file", "/tekton/run/1/out", "-step_metadata_dir",
      "/tekton/run/2/status", "-entrypoint", "/tekton/scripts/script-2", "--"},
     "2",
     "2",
     {.provider_host = "local", .job_key = "build-pod"},
     "",
     ""},
    {"Buildkite",
     {{"CI", "true"},
      {"BUILDKITE", "true"},
      {"BUILDKITE_STEP_ID", "0187"},
      {"BUILDKITE_LABEL", ":package: Build"},
      {"BUILDKITE_STEP_KEY", "build"},
      {"BUILDKITE_JOB_ID", "j1"},
      {"BUILDKITE_ORGANIZATION_SLUG", "o"},
      {"BUILDKITE_PIPELINE_SLUG", "p"},
      {"BUILDKITE_COMMIT", "abc"},
      {"BUILDKITE_BRANCH", "main"}},
     {},
     "0187",
     ":package: Build",
     {.provider_host = "buildkite.com", .project_path = "o/p", .job_key = "j1"},
     "abc",
     "main"},
    {"Drone",
     {{"CI", "true"},
      {"DRONE", "true"},
      {"DRONE_STEP_NAME", "publish"},
      {"DRONE_STEP_NUMBER", "3"},
      {"DRONE_REPO", "o/r"},
      {"DRONE_BUILD_NUMBER", "8"},
      {"DRONE_STAGE_NUMBER", "1"},
      {"DRONE_SYSTEM_HOST", "drone.example"},
      {"DRONE_COMMIT_SHA", "abc"},
      {"DRONE_BRANCH", "main"}},
     {},
     "3",
     "publish",
     {.provider_host = "drone.example", .project_path = "o/r", .job_key = "8.1"},
     "abc",
     "main"},
    {"Woodpecker",
     {{"CI", "woodpecker"},
      {"CI_STEP_NAME", "lint"},
      {"CI_STEP_NUMBER", "2"},
      {"DRONE", "true"},
      {"DRONE_STEP_NUMBER", "9"},
      {"CI_REPO", "o/r"},
      {"CI_PIPELINE_NUMBER", "4"},
      {"CI_WORKFLOW_NUMBER", "1"},
      {"CI_SYSTEM_HOST", "ci.example"},
      {"CI_COMMIT_SHA", "abc"},
      {"CI_COMMIT_BRANCH", "main"}},
     {},
     "2",
     "lint",
     {.provider_host = "ci.example", .project_path = "o/r", .job_key = "4.1"},
     "abc",
     "main"},
};

const CiPlatform* platform_called(std::string_view title) {
  for (const CiPlatform& platform : ci_platforms()) {
    if (platform.title == title) return &platform;
  }
  return nullptr;
}

TEST(CiPlatform, EachIsFoundByItsVariables) {
  for (const Sample& sample : kSamples) {
    SCOPED_TRACE(sample.title);
    const CiPlatform* platform = detect_platform(environment_of(sample.variables));
    if (platform_called(sample.title)->mark.variable.empty()) {
      EXPECT_EQ(platform, nullptr);
    } else {
      ASSERT_NE(platform, nullptr);
      EXPECT_EQ(platform->title, sample.title);
    }
  }
  // Every platform of the table stands there.
  EXPECT_EQ(kSamples.size() + 1, ci_platforms().size());
}

TEST(CiPlatform, EachTellsItsStep) {
  for (const Sample& sample : kSamples) {
    SCOPED_TRACE(sample.title);
    const auto step = step_of_start(block_of(sample.variables), sample.argv);
    ASSERT_TRUE(step);
    EXPECT_EQ(step->id, sample.step_id);
    EXPECT_EQ(step->name, sample.step_name);
    // The kernel side and /proc give step variables alone: they suffice.
    Variables read;
    for (const StepVariable& variable : step_variables()) {
      const auto found = sample.variables.find(std::string(variable.name));
      if (found == sample.variables.end()) continue;
      read[found->first] = found->second.substr(0, variable.most_value_bytes);
    }
    const auto same = step_of_start(block_of(read), sample.argv);
    ASSERT_TRUE(same);
    EXPECT_EQ(same->id, sample.step_id);
    EXPECT_EQ(same->name, sample.step_name);
  }
}

TEST(CiPlatform, EachTellsItsJob) {
  for (const Sample& sample : kSamples) {
    SCOPED_TRACE(sample.title);
    const CiPlatform& platform = *platform_called(sample.title);
    const Environment environment = environment_of(sample.variables);
    JobIdentity identity;
    for (const IdentityField& field : identity_fields()) {
      identity.*field.member = platform_value(platform, field.name, environment);
    }
    EXPECT_EQ(identity, sample.identity);
    EXPECT_EQ(platform_value(platform, "commit_sha", environment), sample.commit);
    EXPECT_EQ(platform_value(platform, "ref_name", environment), sample.ref);
    identity.provider = platform.provider;
    if (identity.project_path.empty()) identity.project_path = "p";  // of Tekton by a flag
    EXPECT_TRUE(validate(identity));
  }
}

TEST(CiPlatform, AJobIsTakenFromTheEnvironmentWhenEnoughIsTold) {
  Variables variables = {{"GITLAB_CI", "true"},
                         {"CI_SERVER_HOST", "gitlab.example"},
                         {"CI_PROJECT_PATH", "a/b"},
                         {"CI_JOB_ID", "7"},
                         {"CI_COMMIT_REF_NAME", std::string(kMostMetadataBytes + 1, 'x')},
                         {"CI_JOB_URL", "https://gitlab.example/a/b/-/jobs/7"}};
  const auto job = job_of_environment(environment_of(variables));
  ASSERT_TRUE(job);
  EXPECT_EQ(job->identity.provider, "gitlab");
  EXPECT_EQ(job->identity.gitlab_job_id, "7");
  EXPECT_EQ(job->metadata.job_link, "https://gitlab.example/a/b/-/jobs/7");
  EXPECT_EQ(job->metadata.ref_name, "") << "too long to be one";
  variables["CI_JOB_ID"] = "seven";
  EXPECT_FALSE(job_of_environment(environment_of(variables)));
  EXPECT_FALSE(job_of_environment(environment_of({{"CI", "true"}}))) << "no platform that is known";
}

TEST(CiPlatform, TheLinkOfGithubNeedsAllItsParts) {
  Variables variables = {{"GITHUB_SERVER_URL", "https://github.com"}, {"GITHUB_REPOSITORY", "o/a"}};
  const CiPlatform& github = *platform_of("github");
  EXPECT_EQ(platform_value(github, "job_link", environment_of(variables)), "");
  variables["GITHUB_RUN_ID"] = "5";
  EXPECT_EQ(platform_value(github, "job_link", environment_of(variables)),
            "https://github.com/o/a/actions/runs/5");
}

// A member that is spelt wrong would never be read.
TEST(CiPlatform, MembersAreThoseOfJobs) {
  std::set<std::string_view> members;
  for (const IdentityField& field : identity_fields()) members.insert(field.name);
  for (const MetadataField& field : metadata_fields()) members.insert(field.name);
  for (const CiPlatform& platform : ci_platforms()) {
    EXPECT_THAT(job_providers(), testing::Contains(platform.provider)) << platform.title;
    for (const CiField& field : platform.fields) {
      EXPECT_TRUE(members.contains(field.member)) << platform.title << " " << field.member;
    }
  }
}

TEST(CiPlatform, EveryProviderHasVariables) {
  for (const std::string_view provider : job_providers()) {
    EXPECT_EQ(platform_of(provider) == nullptr, provider == "generic") << provider;
  }
}

TEST(CiPlatform, NamesFitTheKernelSide) {
  std::set<std::string_view> names;
  for (const StepVariable& variable : step_variables()) {
    EXPECT_LT(variable.name.size(), std::size_t{CICD_VARIABLE_MAX});
    EXPECT_GT(variable.most_value_bytes, 0u);
    EXPECT_TRUE(names.insert(variable.name).second) << variable.name << " stands there twice";
  }
  // Names of jobs and secrets are none of its business.
  EXPECT_FALSE(names.contains("GITHUB_REPOSITORY"));
  EXPECT_FALSE(names.contains("GITHUB_TOKEN"));
}

TEST(CiPlatform, ThoseThatSetOthersVariablesComeFirst) {
  const auto found = [](const Variables& variables) -> std::string_view {
    const CiPlatform* platform = detect_platform(environment_of(variables));
    return platform == nullptr ? "none" : platform->title;
  };
  EXPECT_EQ(found({}), "none");
  EXPECT_EQ(found({{"CI", "1"}}), "none");
  EXPECT_EQ(found({{"CI", "TRUE"}}), "another system");
  EXPECT_EQ(found({{"CI", "true"}, {"GITLAB_CI", "true"}}), "GitLab CI");
  EXPECT_EQ(found({{"CI", "woodpecker"}, {"DRONE", "true"}, {"GITLAB_CI", "true"}}), "Woodpecker");
  EXPECT_EQ(found({{"CI", "drone"}, {"DRONE", "true"}}), "Drone");
  // A Jenkins that another system's job starts, and what only looks like one.
  EXPECT_EQ(found({{"BUILD_TAG", "jenkins-a-1"}, {"GITHUB_ACTIONS", "true"}}), "GitHub Actions");
  EXPECT_EQ(found({{"BUILD_TAG", "v1.2"}, {"JENKINS_URL", "https://j"}}), "none");
  EXPECT_EQ(found({{"BUILD_TAG", "jenkins"}}), "none");
  EXPECT_EQ(found({{"BITBUCKET_BUILD_NUMBER", ""}}), "none");
  EXPECT_EQ(found({{"GITHUB_ACTIONS", "truest"}}), "none");
}

TEST(CiPlatform, WithoutAPlatformOrItsVariablesThereIsNoStep) {
  EXPECT_FALSE(step_of_start("", {}));
  EXPECT_FALSE(step_of_start("GITHUB_ACTION=__run\0"s, {}));
  EXPECT_FALSE(step_of_start("GITHUB_ACTIONS=true\0"s, {}));
  EXPECT_FALSE(step_of_start("GITHUB_ACTIONS=true\0GITHUB_ACTION=\0"s, {}));
  // Variables of another platform do not count.
  EXPECT_FALSE(step_of_start("GITHUB_ACTIONS=true\0CI_JOB_NAME=x\0"s, {}));
}

TEST(CiPlatform, ActionsAreNamedByTheirRepository) {
  const auto step = step_of_start(
      "GITHUB_ACTION=__actions_checkout\0GITHUB_ACTION_REPOSITORY=actions/checkout\0"
      "GITHUB_ACTIONS=true\0"s,
      {});
  ASSERT_TRUE(step);
  EXPECT_EQ(step->id, "__actions_checkout");
  EXPECT_EQ(step->name, "actions/checkout");
}

TEST(CiPlatform, MalformedBlocksAreReadAsFarAsTheyGo) {
  EXPECT_FALSE(step_of_start("\0\0=\0GITHUB_ACTIONS\0"s, {}));
  // Nothing ends the last one.
  EXPECT_EQ(step_of_start("GITHUB_ACTIONS=true\0GITHUB_ACTION=a=b"s, {})->id, "a=b");
  // Of several with one name the first, which is what getenv() gives a program.
  EXPECT_EQ(step_of_start("GITHUB_ACTIONS=true\0GITHUB_ACTION=a\0GITHUB_ACTION=b\0"s, {})->id, "a");
}

TEST(CiPlatform, StepsOfTekton) {
  const auto id_of = [](const std::vector<std::string>& argv) {
    const auto step = step_of_start("", argv);
    return step ? step->id + "/" + step->name : "none";
  };
  EXPECT_EQ(id_of({"/tekton/bin/entrypoint", "-step_metadata_dir", "/tekton/run/0/status", "--"}),
            "0/0");
  EXPECT_EQ(id_of({"/tekton/tools/entrypoint", "-step_metadata_dir", "/tekton/steps/step-build",
                   "-step_metadata_dir_link", "/tekton/steps/1"}),
            "1/build");
  EXPECT_EQ(id_of({"/tekton/bin/entrypoint", "-step_metadata_dir"}), "none");
  EXPECT_EQ(id_of({"/tekton/bin/entrypoint", "-step_metadata_dir", "/elsewhere"}), "none");
  // Arguments of the step's own program.
  EXPECT_EQ(id_of({"/tekton/bin/entrypoint", "--", "-step_metadata_dir", "/tekton/run/0/status"}),
            "none");
  EXPECT_EQ(id_of({"/bin/sh", "-step_metadata_dir", "/tekton/run/0/status"}), "none");
}

}  // namespace
}  // namespace cicd

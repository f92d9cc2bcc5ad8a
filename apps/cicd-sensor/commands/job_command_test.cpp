// SPDX-License-Identifier: Apache-2.0
#include "commands/job_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace cicd {
namespace {

using testing::HasSubstr;

// As the runner of GitHub sets them.
const std::map<std::string, std::string> kGithub = {
    {"GITHUB_SERVER_URL", "https://GitHub.Example:8443/x"},
    {"GITHUB_REPOSITORY", "octo/app"},
    {"GITHUB_RUN_ID", "12"},
    {"GITHUB_JOB", "build"},
    {"GITHUB_RUN_ATTEMPT", "2"},
    {"RUNNER_TRACKING_ID", "github_1"},
    {"GITHUB_SHA", "abc"},
    {"GITHUB_REF_NAME", "main"},
    {"GITHUB_WORKFLOW", "CI"}};

Result<NamedJob> name(const std::vector<std::string>& words,
                      const std::map<std::string, std::string>& variables) {
  const auto line = parse_command_line(sensor_table(), words);
  if (!line) return std::unexpected(line.error());
  return name_job(*line, [&](const char* wanted) {
    const auto found = variables.find(wanted);
    return found == variables.end() ? std::string() : found->second;
  });
}

TEST(NameJob, GithubsVariablesNameTheJob) {
  const auto job = name({"host", "start"}, kGithub);
  ASSERT_TRUE(job) << job.error().text;
  EXPECT_EQ(job->identity.provider, "github");
  EXPECT_EQ(job->identity.provider_host, "github.example");
  EXPECT_EQ(job->identity.project_path, "octo/app");
  EXPECT_EQ(job->identity.github_run_id, "12");
  EXPECT_EQ(job->identity.github_job, "build");
  EXPECT_EQ(job->identity.github_run_attempt, "2");
  EXPECT_EQ(job->identity.github_runner_tracking_id, "github_1");
  EXPECT_EQ(job->metadata.commit_sha, "abc");
  EXPECT_EQ(job->metadata.ref_name, "main");
  EXPECT_EQ(job->metadata.github_workflow, "CI");
  EXPECT_EQ(name({"job", "health"}, kGithub)->identity.provider, "github");
}

TEST(NameJob, ARunIdIsOfGithub) {
  const auto job =
      name({"project", "result", "--project-path", "o/r", "--github-run-id", "7", "--github-job",
            "build", "--github-run-attempt", "1", "--github-runner-tracking-id", "t"},
           {});
  ASSERT_TRUE(job) << job.error().text;
  EXPECT_EQ(job->identity.provider, "github");
  EXPECT_EQ(job->identity.provider_host, "github.com");
  EXPECT_EQ(name({"project", "result"}, {}).error().code, ErrorCode::kUsage);
}

TEST(NameJob, FlagsWin) {
  const auto job = name(
      {"host", "start", "--github-run-id", "99", "-ref-name=dev", "--provider-host", "h"}, kGithub);
  ASSERT_TRUE(job) << job.error().text;
  EXPECT_EQ(job->identity.github_run_id, "99");
  EXPECT_EQ(job->identity.provider_host, "h");
  EXPECT_EQ(job->metadata.ref_name, "dev");
}

TEST(NameJob, OtherProvidersAreNamedByFlagsAlone) {
  const auto job = name(
      {"job", "start", "--provider", "jenkins", "--project-path", "p", "--job-key", "7"}, kGithub);
  ASSERT_TRUE(job) << job.error().text;
  EXPECT_EQ(job->identity.provider_host, "local");
  EXPECT_EQ(job->identity.github_run_id, "");
  EXPECT_EQ(job->metadata.commit_sha, "");
  EXPECT_EQ(name({"job", "start", "--project-path", "p", "--job-key", "7"}, {})->identity.provider,
            "generic");
}

TEST(NameJob, VariablesOfOtherPlatformsNameTheirJobs) {
  const std::map<std::string, std::string> jenkins = {{"BUILD_TAG", "jenkins-app-7"},
                                                      {"JOB_NAME", "app"},
                                                      {"JENKINS_URL", "http://j.example:8080/"},
                                                      {"GIT_COMMIT", "abc"},
                                                      {"BUILD_URL", "http://j.example:8080/7"}};
  auto job = name({"job", "start"}, jenkins);
  ASSERT_TRUE(job) << job.error().text;
  EXPECT_EQ(job->identity.provider, "jenkins");
  EXPECT_EQ(job->identity.provider_host, "j.example");
  EXPECT_EQ(job->identity.project_path, "app");
  EXPECT_EQ(job->identity.job_key, "jenkins-app-7");
  EXPECT_EQ(job->metadata.commit_sha, "abc");
  EXPECT_EQ(job->metadata.job_link, "http://j.example:8080/7");
  // A flag says another platform: the variables of this one are not read.
  job = name({"job", "start", "--provider", "drone", "--project-path", "p", "--job-key", "1"},
             jenkins);
  ASSERT_TRUE(job) << job.error().text;
  EXPECT_EQ(job->metadata.commit_sha, "");
  EXPECT_EQ(job->identity.provider_host, "local");
  // A system that is none of the providers, but sets enough.
  job = name({"job", "start"}, {{"CI", "woodpecker"},
                                {"CI_REPO", "o/r"},
                                {"CI_PIPELINE_NUMBER", "4"},
                                {"CI_WORKFLOW_NUMBER", "1"}});
  ASSERT_TRUE(job) << job.error().text;
  EXPECT_EQ(job->identity.provider, "generic");
  EXPECT_EQ(job->identity.job_key, "4.1");
}

TEST(NameJob, WhatIsMissingIsNamed) {
  const auto none = name({"host", "end"}, {});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kUsage);
  EXPECT_EQ(none.error().text, "project_path is required");
  EXPECT_THAT(none.error().hint, HasSubstr("host end --help"));
  auto variables = kGithub;
  variables["GITHUB_RUN_ID"] = "x";
  EXPECT_THAT(name({"host", "end"}, variables).error().text, HasSubstr("must be a decimal number"));
  variables = kGithub;
  variables.erase("GITHUB_SERVER_URL");
  EXPECT_EQ(name({"host", "end"}, variables)->identity.provider_host, "github.com");
}

}  // namespace
}  // namespace cicd

// SPDX-License-Identifier: Apache-2.0
#include "job/identity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cicd {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

JobIdentity github() {
  JobIdentity identity;
  identity.provider = "github";
  identity.provider_host = "github.com";
  identity.project_path = "octo/repo";
  identity.github_run_id = "123";
  identity.github_job = "build";
  identity.github_run_attempt = "1";
  identity.github_runner_tracking_id = "github_0f";
  return identity;
}

std::string complaint(const JobIdentity& identity) {
  const Result<void> valid = validate(identity);
  return valid ? "" : valid.error().text;
}

TEST(Identity, EachProviderHasItsOwnMembers) {
  EXPECT_EQ(complaint(github()), "");
  JobIdentity gitlab{
      .provider = "gitlab", .provider_host = "gitlab.example", .project_path = "g/p"};
  EXPECT_EQ(complaint(gitlab), "gitlab_job_id is required");
  gitlab.gitlab_job_id = "77";
  EXPECT_EQ(complaint(gitlab), "");
  JobIdentity jenkins{
      .provider = "jenkins", .provider_host = "ci", .project_path = "p", .job_key = "9"};
  EXPECT_EQ(complaint(jenkins), "");
  jenkins.gitlab_job_id = "77";
  EXPECT_EQ(complaint(jenkins), "gitlab_job_id does not belong to a job of the provider jenkins");
}

TEST(Identity, EveryRequiredMemberIsMissed) {
  for (const IdentityField& field : identity_fields()) {
    if (!field.provider.empty() && field.provider != "github") continue;
    JobIdentity identity = github();
    (identity.*field.member).clear();
    EXPECT_THAT(complaint(identity), HasSubstr(std::string(field.name) + " is required"));
  }
}

TEST(Identity, WhatIsNoNumberIsRefused) {
  for (const char* text : {"0", "-1", "+1", "1x", " 1", "18446744073709551616", "0x10", "1.0"}) {
    JobIdentity identity = github();
    identity.github_run_id = text;
    EXPECT_THAT(complaint(identity), StartsWith("github_run_id must be")) << text;
  }
  JobIdentity identity = github();
  identity.github_run_id = "18446744073709551615";
  EXPECT_EQ(complaint(identity), "");
}

TEST(Identity, LengthsAndControlsAreBounded) {
  JobIdentity identity = github();
  identity.github_runner_tracking_id.assign(128, 'x');
  identity.project_path.assign(2048, 'x');
  EXPECT_EQ(complaint(identity), "");
  identity.github_runner_tracking_id.push_back('x');
  EXPECT_THAT(complaint(identity), HasSubstr("more than 128 bytes"));
  identity = github();
  identity.project_path.assign(2049, 'x');
  EXPECT_THAT(complaint(identity), HasSubstr("more than 2048 bytes"));
  identity.project_path = "a\nb";
  EXPECT_THAT(complaint(identity), HasSubstr("control characters"));
  identity = github();
  identity.provider = "travis";
  EXPECT_EQ(complaint(identity), "provider is not known");
  EXPECT_THAT(validate(identity).error().hint, HasSubstr("buildkite"));
}

TEST(Identity, KeyIsAFileNameThatTellsJobsApart) {
  const std::string key = identity_key(github());
  EXPECT_THAT(key, StartsWith("github-github.com-octo-repo-123_build_1_"));
  EXPECT_EQ(key.find('/'), std::string::npos);
  JobIdentity other = github();
  other.project_path = "octo-repo";  // looks the same once it is a name
  EXPECT_NE(identity_key(other), key);
  other = github();
  other.github_runner_tracking_id = "github_10";
  EXPECT_NE(identity_key(other), key);
  other.project_path.assign(2048, '/');
  EXPECT_LT(identity_key(other).size(), 255u);
  // ".." as a segment is never a whole name: the hash follows.
  const JobIdentity dots{
      .provider = "generic", .provider_host = "..", .project_path = "..", .job_key = ".."};
  EXPECT_THAT(identity_key(dots), StartsWith("generic-..-..-..-"));
}

}  // namespace
}  // namespace cicd

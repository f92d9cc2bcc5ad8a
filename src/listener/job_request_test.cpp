// SPDX-License-Identifier: Apache-2.0
#include "listener/job_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cicd {
namespace {

using testing::HasSubstr;

constexpr std::string_view kIdentity =
    R"("provider":"github","provider_host":"github.com","project_path":"o/r","github_run_id":"1",)"
    R"("github_job":"b","github_run_attempt":"2","github_runner_tracking_id":"t")";

std::string body(std::string_view more) {
  return "{" + std::string(kIdentity) + std::string(more) + "}";
}

std::string complaint(std::string_view text, MetadataUse metadata = MetadataUse::kTaken) {
  const Result<JobCall> call = read_job_request(text, metadata);
  return call ? "" : call.error().text;
}

TEST(JobRequest, ReadsWhatItWrites) {
  JobIdentity identity{.provider = "github", .provider_host = "github.com", .project_path = "o/r"};
  identity.github_run_id = "18446744073709551615";
  identity.github_job = "b \"quoted\" \\ ä";
  identity.github_run_attempt = "2";
  identity.github_runner_tracking_id = "t";
  const JobMetadata metadata{.commit_sha = "abc", .ref_name = "main", .github_workflow = "CI"};
  const auto call = read_job_request(write_job_request(identity, &metadata), MetadataUse::kTaken);
  ASSERT_TRUE(call) << call.error().text;
  EXPECT_EQ(call->identity, identity);
  EXPECT_EQ(call->metadata.commit_sha, "abc");
  EXPECT_EQ(call->metadata.github_workflow, "CI");
  EXPECT_TRUE(read_job_request(write_job_request(identity, nullptr), MetadataUse::kRefused));
}

TEST(JobRequest, WhatIsNotMeantIsRefused) {
  EXPECT_EQ(complaint(body("")), "");
  EXPECT_EQ(complaint(body(R"(,"metadata":{})")), "");
  EXPECT_EQ(complaint(body(R"(,"x":"1")")), R"(unknown member "x")");
  EXPECT_EQ(complaint(body(R"(,"metadata":{"x":"1"})")), R"(unknown member "x")");
  EXPECT_EQ(complaint(body(R"(,"metadata":{"provider":"1"})")), R"(unknown member "provider")");
  EXPECT_EQ(complaint(body(R"(,"commit_sha":"1")")), R"(unknown member "commit_sha")");
  EXPECT_EQ(complaint(body(R"(,"metadata":{})"), MetadataUse::kRefused),
            R"(unknown member "metadata")");
  EXPECT_EQ(complaint(body(R"(,"github_job":"c")")), R"(the member "github_job" is there twice)");
  EXPECT_EQ(complaint(body(R"(,"metadata":{},"metadata":{})")),
            R"(the member "metadata" is there twice)");
  EXPECT_EQ(complaint(body(R"(,"metadata":{"ref_name":"a","ref_name":"b"})")),
            R"(the member "ref_name" is there twice)");
  EXPECT_EQ(complaint(body(R"(,"metadata":"x")")), R"("metadata" must be an object)");
  EXPECT_EQ(complaint(body(R"(,"metadata":{"ref_name":{}})")), R"("ref_name" must be a string)");
  EXPECT_EQ(complaint(R"({"provider":1})"), R"("provider" must be a string)");
  EXPECT_EQ(complaint(R"({"provider":["github"]})"), R"("provider" must be a string)");
  EXPECT_EQ(complaint(R"({"provider":null})"), R"("provider" must be a string)");
  EXPECT_EQ(complaint(R"({"provider":"github"})"), "provider_host is required");
  EXPECT_EQ(complaint("{}"), "provider is required");
}

TEST(JobRequest, WhatIsNoObjectIsRefused) {
  for (const char* text : {"[]", "1", "\"x\"", "null", "true"}) {
    EXPECT_EQ(complaint(text), "the body must be one JSON object") << text;
  }
  for (const std::string& text :
       {std::string(), std::string("{"), body("") + body(""), body("") + "x",
        std::string("{\"provider\":\"\xff\"}"), std::string(100'000, '[')}) {
    EXPECT_FALSE(complaint(text).empty());
  }
  EXPECT_THAT(complaint("{\"provider\":\"\xff\"}"), HasSubstr("not one JSON object"));
  EXPECT_THAT(complaint(body("") + "x"), HasSubstr("not one JSON object"));
}

TEST(JobRequest, MembersAreBounded) {
  EXPECT_EQ(complaint(body(R"(,"metadata":{"ref_name":")" + std::string(8192, 'x') + "\"}")), "");
  EXPECT_EQ(complaint(body(R"(,"metadata":{"ref_name":")" + std::string(8193, 'x') + "\"}")),
            R"("ref_name" has more than 8192 bytes)");
  const std::string name(100'000, 'n');
  EXPECT_LT(complaint(body(",\"" + name + "\":\"1\"")).size(), 100u);
}

}  // namespace
}  // namespace cicd

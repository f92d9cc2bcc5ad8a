// SPDX-License-Identifier: Apache-2.0
#include "docker/docker_request.h"

#include <gtest/gtest.h>

namespace cicd {

namespace {

const std::string kId(64, 'a');

TEST(DockerRequest, FindsCreate) {
  for (const std::string target :
       {"/containers/create", "/v1.43/containers/create", "/v1.43/containers/create?name=web",
        "/v1.4.3/containers/create", "/%63ontainers/create", "/v1.43%2Fcontainers/cre%61te",
        "http://docker/containers/create", "http://h/v1.43/containers/create?x"}) {
    EXPECT_EQ(read_docker_request("POST", target).act, DockerAct::kCreate) << target;
  }
  EXPECT_EQ(read_docker_request("POST", "/containers/create?platform=&name=a%2bb").name, "a+b");
}

TEST(DockerRequest, OthersAreOthers) {
  for (const std::string target : {"/containers/create/",
                                   "/containers/creates",
                                   "/x/containers/create",
                                   "/v/containers/create",
                                   "//containers/create",
                                   "/vx/containers/create",
                                   "containers/create",
                                   "",
                                   "*",
                                   "/",
                                   "/containers/",
                                   "/containers//start",
                                   "/containers/start",
                                   "http:/containers/create",
                                   "/builder/prune",
                                   "/build/prune",
                                   "/session",
                                   "/containers/a/stop",
                                   "/containers/create#x",
                                   "/v1",
                                   "/%",
                                   "/%6",
                                   "/containers/cre%6",
                                   "http://containers"}) {
    EXPECT_EQ(read_docker_request("POST", target).act, DockerAct::kOther) << target;
  }
  EXPECT_EQ(read_docker_request("GET", "/containers/create").act, DockerAct::kOther);
  EXPECT_EQ(read_docker_request("post", "/containers/create").act, DockerAct::kOther);
}

TEST(DockerRequest, TellsTheBuildersApart) {
  const auto act = [](const char* target) { return read_docker_request("POST", target).act; };
  EXPECT_EQ(act("/build?remote=/containers/create"), DockerAct::kBuild);
  EXPECT_EQ(act("/v1.43/build?version=1&t=a"), DockerAct::kBuild);
  EXPECT_EQ(act("/v1.43/build?t=a&version=2"), DockerAct::kBuildKit);
  EXPECT_EQ(act("/v1.43/build?v%65rsion=%32"), DockerAct::kBuildKit);
  EXPECT_EQ(act("/build?version=9"), DockerAct::kBuildKit) << "dockerd says that there is none";
  EXPECT_EQ(act("/grpc"), DockerAct::kBuildKit);
  EXPECT_TRUE(read_docker_request("POST", "/build?q=1").is_quiet);
  EXPECT_FALSE(read_docker_request("POST", "/build?q=0").is_quiet);
}

TEST(DockerRequest, ReadsTheContainerThatABuildIsAboutToStart) {
  const std::string id(64, 'a');
  const std::string item = R"({"Id":")" + id + R"(","State":"created"})";
  EXPECT_EQ(read_unstarted_id("[" + item + "]", "aaaaaaaaaaaa"), id);
  for (const std::string& answer :
       {std::string("[]"), std::string(), item, "[" + item + "," + item + "]",
        R"([{"Id":")" + id + R"(","State":"running"}])",
        R"([{"Id":"aaaaaaaaaaaa","State":"created"}])" + std::string(), std::string("[1]")}) {
    EXPECT_EQ(read_unstarted_id(answer, "aaaaaaaaaaaa"), std::nullopt) << answer;
  }
  EXPECT_EQ(read_unstarted_id("[" + item + "]", "bbbbbbbbbbbb"), std::nullopt);
}

TEST(DockerRequest, FindsStartWithItsName) {
  const auto start = read_docker_request("POST", "/v1.43/containers/my%20web/start?detachKeys=a");
  EXPECT_EQ(start.act, DockerAct::kStart);
  EXPECT_EQ(start.name, "my web");
  EXPECT_EQ(read_docker_request("POST", "/containers/a/b/start").name, "a/b");
  EXPECT_EQ(read_docker_request("POST", "/containers/create/start").name, "create");
  EXPECT_EQ(read_docker_request("POST", "/containers/a/restart?t=1").act, DockerAct::kStart);
  EXPECT_EQ(read_docker_request("POST", "/containers/a/rename?name=b").act, DockerAct::kRename);
}

TEST(DockerRequest, ReadsTheId) {
  EXPECT_EQ(read_container_id("{\"Id\":\"" + kId + "\",\"Warnings\":[]}"), kId);
  EXPECT_EQ(read_container_id("{\"id\":\"" + kId + "\"}"), kId);
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[]"), std::string("null"),
        std::string("{\"Id\":7}"), std::string("{\"Id\":\"abc\"}"),
        "{\"Id\":\"" + std::string(64, 'A') + "\"}", "{\"Id\":\"" + kId + "a\"}",
        "{\"Id\":\"../" + std::string(61, 'a') + "\"}"}) {
    EXPECT_FALSE(read_container_id(text)) << text;
  }
}

std::string labels(const std::string& url, const std::string& id = "77") {
  return R"({"Image":"x","Labels":{"com.gitlab.gitlab-runner.job.id":")" + id +
         R"(","com.gitlab.gitlab-runner.job.url":")" + url +
         R"(","com.gitlab.gitlab-runner.job.sha":"beef","com.gitlab.gitlab-runner.job.ref":"main"},)" +
         R"("HostConfig":{"CgroupParent":"/ci"}})";
}

TEST(GitlabLabels, NameTheJob) {
  const auto job = read_gitlab_labels(labels("https://GitLab.Example.com:8443/a/b/c/-/jobs/77"));
  ASSERT_TRUE(job) << job.error().text;
  EXPECT_EQ(job->identity.provider, "gitlab");
  EXPECT_EQ(job->identity.provider_host, "gitlab.example.com");
  EXPECT_EQ(job->identity.project_path, "a/b/c");
  EXPECT_EQ(job->identity.gitlab_job_id, "77");
  EXPECT_EQ(job->metadata.commit_sha, "beef");
  EXPECT_EQ(job->metadata.ref_name, "main");
}

TEST(GitlabLabels, OfInspectAreBelowConfig) {
  const auto job = read_gitlab_labels("{\"Config\":" + labels("https://h/a/b/-/jobs/77") + "}");
  ASSERT_TRUE(job) << job.error().text;
  EXPECT_EQ(job->identity.project_path, "a/b");
}

TEST(GitlabLabels, NoneIsNotFound) {
  for (const std::string body :
       {"{}", R"({"Labels":null})", R"({"Labels":{}})", R"({"Labels":[1]})",
        R"({"Labels":{"com.gitlab.gitlab-runner.job.id":7}})"}) {
    const auto job = read_gitlab_labels(body);
    ASSERT_FALSE(job) << body;
    EXPECT_EQ(job.error().code, ErrorCode::kNotFound) << body;
  }
}

TEST(GitlabLabels, MistakesAreInvalid) {
  for (const std::string& body :
       {std::string(), std::string("["), std::string("[]"), labels("no url"), labels("https://h"),
        labels("https://h/a/b"), labels("https:///a/-/jobs/7"), labels("https://h/-/jobs/7"),
        labels("https://h/a/b/-/jobs/7", "seven"), labels("https://h/a/b/-/jobs/7", "0"),
        labels("https://h/" + std::string(3000, 'a') + "/-/jobs/7")}) {
    const auto job = read_gitlab_labels(body);
    ASSERT_FALSE(job) << body;
    EXPECT_EQ(job.error().code, ErrorCode::kInvalidInput) << body;
  }
}

TEST(Staging, BodiesAreThoseOfTheInterface) {
  EXPECT_EQ(cgroup_basenames("ab"), (std::array<std::string, 2>{"docker-ab.scope", "ab"}));
  EXPECT_EQ(staging_body("ab", 12, "", nullptr), R"({"basename":"ab","peer_pid":12})");
  EXPECT_EQ(staging_body("ab", 0, "", nullptr), R"({"basename":"ab"})");
  const auto job = read_gitlab_labels(labels("https://h/a/b/-/jobs/77"));
  ASSERT_TRUE(job);
  EXPECT_EQ(
      staging_body("ab", 12, "new", &*job),
      R"({"basename":"ab","peer_pid":12,"container":"new","job_identity":{"provider":"gitlab",)"
      R"("provider_host":"h","project_path":"a/b","gitlab_job_id":"77"},)"
      R"("metadata":{"commit_sha":"beef","ref_name":"main"}})");
}

}  // namespace

}  // namespace cicd

// SPDX-License-Identifier: Apache-2.0
#include "listener/agent_routes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <thread>

#include "listener/http_client.h"
#include "listener/job_request.h"

namespace cicd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

// Behind the seam: keeps what it was asked, answers as a test says.
class KeepingApi final : public AgentApi {
 public:
  void host_start(JobCall call, Answer<NoContent> answer) override {
    calls.push_back("host_start " + call.identity.project_path + " " + call.metadata.ref_name);
    answer(refusal ? std::unexpected(*refusal) : std::expected<NoContent, ApiError>());
  }
  void host_register(JobCall call, Answer<NoContent> answer) override {
    calls.push_back("host_register " + call.identity.gitlab_job_id + " " + call.metadata.ref_name);
    answer({});
  }
  void host_end(JobCall call, Answer<NoContent> answer) override {
    calls.push_back("host_end " + call.identity.project_path);
    answer({});
  }
  void job_health(JobCall call, Answer<JobHealth> answer) override {
    calls.push_back("job_health " + std::to_string(call.peer.pid));
    answer(JobHealth{.has_host_scope = true, .has_project_scope = false});
  }
  void job_result(JobCall call, ResultOf which, Answer<std::string> answer) override {
    calls.push_back("job_result " + call.identity.project_path +
                    (which == ResultOf::kProject ? " project" : " or host"));
    if (refusal) return answer(std::unexpected(*refusal));
    answer(std::string("{\n  \"hits\": []\n}"));
  }
  void project_start(ProjectStartCall call, Answer<NoContent> answer) override {
    calls.push_back("project_start " + call.identity.project_path + " " +
                    std::to_string(call.rules.rule_sets.size()));
    answer({});
  }
  void stage_container(StagingCall call, Answer<StagingAnswer> answer) override {
    calls.push_back(
        (call.container == StagedContainer::kMissed ? "missed " : "stage ") + call.basename +
        (call.container == StagedContainer::kNew ? " new " : " ") +
        std::to_string(call.client_pid) +
        (call.job ? " " + call.job->identity.gitlab_job_id + " " + call.job->metadata.commit_sha
                  : ""));
    answer(call.client_pid == 7 ? StagingAnswer::kStaged : StagingAnswer::kIgnored);
  }
  void put_builds(BuildsCall call, Answer<NoContent> answer) override {
    std::string text = "builds";
    for (const Build& build : call.builds) {
      text += " " + build.id + "=" + std::to_string(build.client_pid);
    }
    calls.push_back(text + (call.peer.pid == ::getpid() ? "" : " of a stranger"));
    answer({});
  }
  void status(Answer<std::string> answer) override { answer("{\"jobs\":[]}"); }

  std::vector<std::string> calls;
  std::optional<ApiError> refusal;
};

std::vector<std::string> paths(std::string_view provider) {
  KeepingApi api;
  std::vector<std::string> out;
  for (const HttpRoute& route : agent_routes(provider, api)) out.push_back(route.path);
  return out;
}

TEST(AgentRoutes, EachProviderHasItsOwn) {
  EXPECT_THAT(paths("github"),
              UnorderedElementsAre("/v1/github/host/start", "/v1/github/host/end",
                                   "/v1/github/project/start", "/v1/github/project/result",
                                   "/v1/github/job/health", "/v1/github/staging/put",
                                   "/v1/github/builds/put", "/v1/status"));
  EXPECT_THAT(paths("gitlab"), ElementsAre("/v1/gitlab/host/start", "/v1/gitlab/staging/put",
                                           "/v1/gitlab/builds/put", "/v1/status"));
  EXPECT_THAT(paths("generic"),
              UnorderedElementsAre("/v1/job/start", "/v1/job/end", "/v1/job/project/start",
                                   "/v1/job/project/result", "/v1/job/result", "/v1/job/health",
                                   "/v1/job/staging/put", "/v1/job/builds/put", "/v1/status"));
}

class ServedRoutes : public testing::Test {
 protected:
  ServedRoutes() {
    char folder[] = "/tmp/cicd-routes-XXXXXX";
    folder_ = ::mkdtemp(folder);
    path_ = folder_ + "/agent.sock";
  }
  ~ServedRoutes() override {
    if (server_) server_->stop();
    if (thread_.joinable()) thread_.join();
    std::filesystem::remove_all(folder_);
  }
  void serve(std::string_view provider) {
    auto server = HttpServer::listen(path_, agent_routes(provider, api_));
    ASSERT_TRUE(server) << server.error().text;
    server_ = std::move(*server);
    thread_ = std::thread([this] { server_->run(); });
  }
  // "STATUS BODY"
  std::string post(const std::string& route, const std::string& body) {
    const auto answer = http_post(path_, route, body);
    return answer ? std::to_string(answer->status) + " " + answer->body : answer.error().text;
  }

  KeepingApi api_;
  std::string folder_, path_;
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
};

JobIdentity job_of(const std::string& provider) {
  JobIdentity identity{.provider = provider, .provider_host = "h", .project_path = "o/r"};
  identity.job_key = "k";
  return identity;
}

TEST_F(ServedRoutes, AnswersHaveTheirShapes) {
  serve("generic");
  const JobIdentity identity = job_of("jenkins");
  const JobMetadata metadata{.commit_sha = {}, .ref_name = "main"};
  const std::string shown =
      R"({"provider":"jenkins","provider_host":"h","project_path":"o/r","job_key":"k"})";
  EXPECT_EQ(post("/v1/job/start", write_job_request(identity, &metadata)),
            R"(200 {"job_identity":)" + shown + R"(,"status":"ok"})");
  EXPECT_EQ(post("/v1/job/health", write_job_request(identity, nullptr)),
            R"(200 {"host":{"status":"active"},"job_identity":)" + shown +
                R"(,"project":{"status":"missing"},"status":"ok"})");
  EXPECT_EQ(post("/v1/status", "{}"), R"(200 {"jobs":[]})");
  api_.refusal = ApiError{409, "job already registered"};
  EXPECT_EQ(post("/v1/job/start", write_job_request(identity, nullptr)),
            R"(409 {"error":"job already registered"})");
  EXPECT_THAT(api_.calls,
              ElementsAre("host_start o/r main", "job_health " + std::to_string(::getpid()),
                          "host_start o/r "));
}

TEST_F(ServedRoutes, ABadBodyReachesNobody) {
  serve("generic");
  EXPECT_EQ(post("/v1/job/start", "{}"), R"(400 {"error":"provider is required"})");
  EXPECT_THAT(post("/v1/job/start", ""), HasSubstr("400 {\"error\":\"the body is not one JSON"));
  const JobMetadata metadata;
  EXPECT_THAT(post("/v1/job/end", write_job_request(job_of("jenkins"), &metadata)),
              HasSubstr("unknown member"));
  JobIdentity gitlab = job_of("gitlab");
  gitlab.job_key.clear();
  gitlab.gitlab_job_id = "1";
  EXPECT_EQ(post("/v1/job/start", write_job_request(gitlab, nullptr)),
            R"(400 {"error":"provider must be one that this agent was started for"})");
  EXPECT_THAT(post("/v1/github/host/start", "{}"), HasSubstr("404"));
  EXPECT_TRUE(api_.calls.empty());
}

TEST_F(ServedRoutes, AResultIsTheDocumentAsItIs) {
  serve("generic");
  const std::string body = write_job_request(job_of("jenkins"), nullptr);
  EXPECT_EQ(post("/v1/job/project/result", body), "200 {\n  \"hits\": []\n}");
  EXPECT_EQ(post("/v1/job/result", body), "200 {\n  \"hits\": []\n}");
  api_.refusal = ApiError{409, "job has no project scope"};
  EXPECT_EQ(post("/v1/job/project/result", body), R"(409 {"error":"job has no project scope"})");
  EXPECT_THAT(api_.calls, ElementsAre("job_result o/r project", "job_result o/r or host",
                                      "job_result o/r project"));
  const JobMetadata metadata;
  EXPECT_THAT(post("/v1/job/result", write_job_request(job_of("jenkins"), &metadata)),
              HasSubstr("unknown member"));
}

TEST_F(ServedRoutes, ContainersAreStaged) {
  serve("github");
  const std::string route = "/v1/github/staging/put";
  EXPECT_EQ(post(route, R"({"basename":"docker-1.scope","peer_pid":7})"),
            R"(200 {"status":"staged"})");
  EXPECT_EQ(post(route, R"({"peer_pid":8,"basename":"x"})"), R"(200 {"status":"ignored"})");
  post(route, R"({"basename":"x","peer_pid":8,"container":"new"})");
  post(route, R"({"basename":"x","peer_pid":8,"container":"missed"})");
  EXPECT_THAT(api_.calls,
              ElementsAre("stage docker-1.scope 7", "stage x 8", "stage x new 8", "missed x 8"));
  EXPECT_EQ(post(route, R"({"peer_pid":8})"), R"(400 {"error":"basename is required"})");
  for (const char* body :
       {R"({"basename":1})", R"({"basename":"x","peer_pid":-1})", "[]", "",
        R"({"basename":"x","job_identity":{}})", R"({"basename":"x","peer_pid":4294967296})",
        R"({"basename":"x","y":1})", R"({"basename":"x","container":true})",
        R"({"basename":"x","container":"old"})", R"({"basename":"x","basename":"y"})",
        R"({"basename":"x"} x)"}) {
    EXPECT_THAT(post(route, body), HasSubstr("400 {\"error\":")) << body;
  }
  EXPECT_EQ(api_.calls.size(), 4u);
}

constexpr std::string_view kGitlabJob =
    R"({"provider":"gitlab","provider_host":"h","project_path":"o/r","gitlab_job_id":"77"})";

TEST_F(ServedRoutes, JobsOfGitlabAreKnownByTheirContainers) {
  serve("gitlab");
  const std::string job(kGitlabJob);
  const std::string open = job.substr(0, job.size() - 1);
  EXPECT_EQ(post("/v1/gitlab/host/start", open + R"(,"metadata":{"ref_name":"main"}})"),
            R"(200 {"job_identity":)" + job + R"(,"status":"ok"})");
  const std::string route = "/v1/gitlab/staging/put";
  const std::string staged = R"(200 {"status":"staged"})";
  EXPECT_EQ(post(route, R"({"basename":"c","peer_pid":7,"job_identity":)" + job +
                            R"(,"metadata":{"commit_sha":"abc"}})"),
            staged);
  EXPECT_EQ(post(route, R"({"basename":"c","job_identity":)" + job + "}"),
            R"(200 {"status":"ignored"})");
  EXPECT_EQ(post(route, R"({"basename":"c","peer_pid":7})"), staged);
  EXPECT_THAT(api_.calls, ElementsAre("host_register 77 main", "stage c 7 77 abc", "stage c 0 77 ",
                                      "stage c 7"));
  const std::string deep = std::string(20'000, '[') + std::string(20'000, ']');
  for (const std::string& body :
       {R"({"basename":"c","job_identity":1})" + std::string(),
        R"({"basename":"c","job_identity":)" + deep + "}",
        R"({"basename":"c","job_identity":{"provider":)" + deep + "}}",
        R"({"basename":"c","metadata":{}})" + std::string(),
        R"({"basename":"c","job_identity":)" + job + R"(,"metadata":[]})",
        R"({"basename":"c","job_identity":)" + job + R"(,"metadata":{"x":"y"}})",
        R"({"basename":"c","job_identity":)" + open + R"(,"metadata":{}}})",
        R"({"basename":"c","job_identity":)" + open + R"(,"job_key":"k"}})",
        R"({"basename":"c","job_identity":)" + open + R"(,"gitlab_job_id":"78"}})",
        R"({"basename":"c","job_identity":{"provider":"generic","provider_host":"h",)"
        R"("project_path":"p","job_key":"k"}})" +
            std::string(),
        R"({"basename":"c","peer_pid":7,"job":{}})" + std::string(),
        R"({"basename":")" + std::string(70'000, 'x') + "\"}"}) {
    EXPECT_THAT(post(route, body), HasSubstr("400 {\"error\":")) << body.substr(0, 100);
  }
  EXPECT_EQ(api_.calls.size(), 4u);
}

TEST_F(ServedRoutes, BuildsAreTold) {
  serve("github");
  const std::string route = "/v1/github/builds/put";
  EXPECT_EQ(post(route, R"({"builds":[{"id":"1","peer_pid":7},{"peer_pid":8,"id":"2"}]})"),
            R"(200 {"status":"ok"})");
  EXPECT_EQ(post(route, R"({"builds":[]})"), R"(200 {"status":"ok"})");
  EXPECT_THAT(api_.calls, ElementsAre("builds 1=7 2=8", "builds"));
  for (const std::string& body :
       {std::string("[]"), std::string(), std::string("{}"), std::string(R"({"builds":{}})"),
        std::string(R"({"builds":[],"x":1})"), std::string(R"({"builds":[1]})"),
        std::string(R"({"builds":[{"id":"1"}]})"),
        std::string(R"({"builds":[{"id":1,"peer_pid":7}]})"),
        std::string(R"({"builds":[{"id":"","peer_pid":7}]})"),
        std::string(R"({"builds":[{"id":"1","peer_pid":-7}]})"),
        std::string(R"({"builds":[{"id":"1","peer_pid":7,"x":1}]})"),
        R"({"builds":)" + std::string(90'000, '[') + std::string(90'000, ']') + "}"}) {
    EXPECT_THAT(post(route, body), HasSubstr("400 {\"error\":")) << body.substr(0, 100);
  }
  EXPECT_EQ(api_.calls.size(), 2u);
}

TEST_F(ServedRoutes, TheClientSaysWhatIsWrong) {
  EXPECT_THAT(post("/v1/status", ""), HasSubstr("no agent listens at " + path_));
  const auto too_long = http_post(std::string(200, 'x'), "/", "");
  ASSERT_FALSE(too_long);
  EXPECT_EQ(too_long.error().code, ErrorCode::kUsage);

  // Somebody else's socket: accepts and says nothing; then says what is no HTTP.
  const UniqueFd other(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path_.copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(::bind(other.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(::listen(other.get(), 4), 0);
  const auto silent = http_post(path_, "/", "", {.timeout = std::chrono::milliseconds(50)});
  ASSERT_FALSE(silent);
  EXPECT_EQ(silent.error().code, ErrorCode::kTimeout);
  const UniqueFd first(::accept(other.get(), nullptr, nullptr));
  std::thread talker([&] {
    const UniqueFd peer(::accept(other.get(), nullptr, nullptr));
    EXPECT_EQ(::write(peer.get(), "SSH-2.0-x\r\n", 11), 11);
  });
  EXPECT_EQ(post("/", ""), "what answered is no agent");
  talker.join();
  std::thread dying([&] {
    const UniqueFd peer(::accept(other.get(), nullptr, nullptr));
    constexpr std::string_view kCut = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"sta";
    EXPECT_EQ(::write(peer.get(), kCut.data(), kCut.size()), static_cast<ssize_t>(kCut.size()));
  });
  EXPECT_EQ(post("/", ""), "the agent's answer is cut short");
  dying.join();
}

}  // namespace
}  // namespace cicd

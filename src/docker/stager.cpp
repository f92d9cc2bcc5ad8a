// SPDX-License-Identifier: Apache-2.0
#include "docker/stager.h"

#include <algorithm>
#include <utility>

#include "docker/docker_request.h"
#include "docker/http_call.h"
#include "docker/unix_connect.h"

namespace cicd {

namespace {

constexpr std::chrono::milliseconds kInspectPatience{2'000};
constexpr std::chrono::milliseconds kRemovePatience{30'000};
constexpr unsigned kOk = 200;
constexpr unsigned kNotFoundStatus = 404;

// A name as one member of a path.
std::string escaped(std::string_view name) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    const bool is_plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                          (c >= 'A' && c <= 'Z') || c == '.' || c == '_' || c == '-';
    if (is_plain) {
      out.push_back(c);
    } else {
      out += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return out;
}

}  // namespace

// Of the requests that stage one container.
struct Stager::Outcome {
  std::size_t open = 0;
  std::string problem;  // of one that failed
  std::string name;
  int peer_pid = 0;
};

bool Stager::may_create() {
  if (!is_refusing()) return true;
  const auto agent = connect_unix(options_.agent_socket);
  if (agent || agent.error().code == ErrorCode::kTimeout) return true;
  ++stats_.refused;
  log_.error("agent_down", {{"policy", "refuse"}, {"reason", agent.error().text}});
  return false;
}

std::shared_ptr<const JobDescription> Stager::labels(const std::string& id, std::string_view body) {
  if (!options_.is_gitlab || body.empty()) return nullptr;
  auto job = read_gitlab_labels(body);
  if (job) return std::make_shared<JobDescription>(std::move(*job));
  if (job.error().code != ErrorCode::kNotFound) {
    log_.warn("labels_not_read", {{"container_id", id}, {"reason", job.error().text}});
  }
  return nullptr;
}

void Stager::created(const std::string& id, const std::string& name, std::string_view request,
                     int peer_pid, Done done) {
  ++stats_.creates;
  stage({.id = id, .name = name, .job = labels(id, request), .is_new = true}, peer_pid,
        [this, id, done = std::move(done)](bool is_staged) {
          const bool goes_on = is_staged || !is_refusing();
          if (!goes_on) remove(id);
          done(goes_on);
        });
}

HttpCall Stager::staging_call(const std::string& body) const {
  const char* route = options_.is_gitlab ? "/v1/gitlab/staging/put" : "/v1/github/staging/put";
  HttpCall call;
  call.socket_path = options_.agent_socket;
  call.timeout = agent_patience(options_.is_gitlab);
  call.request = http_request("POST", route, body);
  return call;
}

void Stager::stage(const Container& container, int peer_pid, Done done) {
  const std::string& id = container.id;
  book_.begin(id, container.name, container.job);
  book_.wait(id, std::move(done));
  const auto outcome = std::make_shared<Outcome>();
  const auto names = cgroup_basenames(id);
  outcome->open = names.size();
  outcome->name = container.name;
  outcome->peer_pid = peer_pid;
  for (const std::string& basename : names) {
    const std::string body =
        staging_body(basename, peer_pid, container.is_new ? "new" : "", container.job.get());
    start_call(loop_, staging_call(body), [this, id, outcome](Result<HttpCallAnswer> answer) {
      if (!answer) {
        outcome->problem = answer.error().text;
      } else if (answer->status != kOk) {
        outcome->problem = "status " + std::to_string(answer->status) + ": " + answer->body;
      }
      if (--outcome->open == 0) staged(id, *outcome);
    });
  }
}

void Stager::staged(const std::string& id, const Outcome& outcome) {
  const std::string pid = std::to_string(outcome.peer_pid);
  if (outcome.problem.empty()) {
    ++stats_.staged;
    log_.info("container_staged",
              {{"container_id", id}, {"container_name", outcome.name}, {"peer_pid", pid}});
  } else {
    ++stats_.unstaged;
    if (is_refusing()) ++stats_.refused;
    log_.error(
        "agent_down",
        {{"policy", is_refusing() ? "refuse" : "pass"},
         {"container_id", id},
         {"peer_pid", pid},
         {"reason", outcome.problem},
         {"unstaged", std::to_string(stats_.unstaged)},
         {"hint", is_refusing() ? "the request was answered with 503; start cicd-sensor-agent"
                                : "this container is NOT watched; start cicd-sensor-agent, or use "
                                  "--on-agent-down refuse"}});
  }
  book_.finish(id, outcome.problem.empty());
}

void Stager::starts(const std::string& name, int peer_pid, Done done) {
  if (!may_create()) return done(false);
  const std::string id = book_.find(name);
  // Only once: a second start makes a cgroup that the agent has to hear of again.
  const auto use = [this, id, done = std::move(done)](bool is_staged) {
    if (is_staged) book_.use(id);
    done(is_staged || !is_refusing());
  };
  switch (book_.staging(id)) {
    case Staging::kUnknown:
      return inspect(name, peer_pid, use);
    case Staging::kStaged:
      return use(true);
    case Staging::kPending:
      return book_.wait(id, use);
    case Staging::kUsed:
    case Staging::kFailed:
      break;
  }
  stage({.id = id, .name = {}, .job = book_.job(id)}, peer_pid, use);
}

void Stager::build_step(const std::string& head, int peer_pid) {
  // One that was made through us is not a step's, whatever the output says.
  if (!book_.find(head).empty()) return;
  HttpCall call;
  call.socket_path = options_.upstream_socket;
  call.timeout = kInspectPatience;
  // Inspecting it would wait until it has been started; a list does not.
  call.request = http_request(
      "GET", R"(/containers/json?all=1&filters=%7B%22id%22%3A%5B%22)" + head + "%22%5D%7D", {});
  start_call(loop_, std::move(call), [this, head, peer_pid](Result<HttpCallAnswer> answer) {
    const auto id =
        answer && answer->status == kOk ? read_unstarted_id(answer->body, head) : std::nullopt;
    if (!id) {
      log_.error("build_step_missed",
                 {{"container_id", head}, {"hint", "this step of a build is NOT watched"}});
      return start_call(loop_, staging_call(staging_body(head, peer_pid, "missed", nullptr)),
                        [](const Result<HttpCallAnswer>&) {});
    }
    stage({.id = *id, .name = {}, .job = {}, .is_new = true}, peer_pid,
          [this, id = *id](bool is_staged) {
            if (is_staged) book_.use(id);
          });
  });
}

// A container that was made without us.
void Stager::inspect(const std::string& name, int peer_pid, const Done& done) {
  HttpCall call;
  call.socket_path = options_.upstream_socket;
  call.timeout = kInspectPatience;
  call.request = http_request("GET", "/containers/" + escaped(name) + "/json", {});
  start_call(loop_, std::move(call), [this, name, peer_pid, done](Result<HttpCallAnswer> answer) {
    // Of one that is not there dockerd tells the client itself.
    if (answer && answer->status == kNotFoundStatus) return done(true);
    const auto id =
        answer && answer->status == kOk ? read_container_id(answer->body) : std::nullopt;
    if (!id) {
      const std::string reason =
          answer ? "status " + std::to_string(answer->status) : answer.error().text;
      log_.warn("container_not_found", {{"container_name", name}, {"reason", reason}});
      return done(false);
    }
    const Container container{.id = *id, .name = {}, .job = labels(*id, answer->body)};
    stage(container, peer_pid, [this, id = *id, done](bool is_staged) {
      if (is_staged) book_.use(id);
      done(is_staged);
    });
  });
}

void Stager::remove(const std::string& id) {
  HttpCall call;
  call.socket_path = options_.upstream_socket;
  call.timeout = kRemovePatience;
  call.request = http_request("DELETE", "/containers/" + id + "?v=1", {});
  start_call(loop_, std::move(call), [this, id](Result<HttpCallAnswer> answer) {
    const std::string result = answer ? std::to_string(answer->status) : answer.error().text;
    log_.warn("container_removed",
              {{"container_id", id},
               {"reason", "the agent does not know it and the policy is to refuse"},
               {"result", result}});
  });
}

}  // namespace cicd

// SPDX-License-Identifier: Apache-2.0
#include "docker/build_teller.h"

#include <unistd.h>

#include <utility>

#include "base/json_writer.h"
#include "docker/http_call.h"

namespace cicd {

namespace {

constexpr std::chrono::seconds kAgain{2};
constexpr unsigned kOk = 200;
constexpr unsigned kNotFound = 404;

}  // namespace

std::uint64_t BuildTeller::begin(int peer_pid, Done done) {
  builds_[++last_] = peer_pid;
  const std::uint64_t build = last_;
  waiting_.push_back(std::move(done));
  tell();
  return build;
}

void BuildTeller::end(std::uint64_t build) {
  if (builds_.erase(build) > 0) tell();
}

std::string BuildTeller::body() const {
  const std::string own = std::to_string(::getpid()) + "-";
  std::string text;
  JsonWriter json(text);
  json.begin_object();
  json.key("builds");
  json.begin_array();
  for (const auto& [build, peer_pid] : builds_) {
    json.begin_object();
    json.member("id", own + std::to_string(build));
    json.member_number("peer_pid", peer_pid);
    json.end_object();
  }
  json.end_array();
  json.end_object();
  return text;
}

bool BuildTeller::has_told(unsigned status, const std::string& problem, std::size_t waits) {
  const bool was_failing = std::exchange(is_failing_, status != kOk);
  is_owed_ = status != kOk && status != kNotFound;
  if (status == kOk) return true;
  if (was_failing && waits == 0) return status == kNotFound;
  log_.error("builds_not_told",
             {{"reason", problem.empty() ? "status " + std::to_string(status) : problem},
              {"hint", "the steps of this build are NOT watched"}});
  // An agent that does not know of builds will not learn it by being waited for.
  return status == kNotFound;
}

void BuildTeller::tell() {
  if (std::exchange(is_telling_, true)) {
    has_changed_ = true;
    return;
  }
  has_changed_ = false;
  HttpCall call;
  call.socket_path = options_.agent_socket;
  call.timeout = agent_patience(options_.is_gitlab);
  call.request = http_request(
      "POST", options_.is_gitlab ? "/v1/gitlab/builds/put" : "/v1/github/builds/put", body());
  auto told = std::make_shared<std::vector<Done>>(std::exchange(waiting_, {}));
  start_call(loop_, std::move(call), [this, told](Result<HttpCallAnswer> answer) {
    const bool is_told = answer ? has_told(answer->status, {}, told->size())
                                : has_told(0, answer.error().text, told->size());
    is_telling_ = false;
    for (const Done& done : *told) done(is_told);
    if (has_changed_) return tell();
    tell_again_later();
  });
}

void BuildTeller::tell_again_later() {
  // The end of the last one, too, has to be heard.
  if ((builds_.empty() && !is_owed_) || std::exchange(has_timer_, true)) return;
  loop_.call_at(EventLoop::Clock::now() + kAgain, [this] {
    has_timer_ = false;
    if (!builds_.empty() || is_owed_) tell();
  });
}

}  // namespace cicd

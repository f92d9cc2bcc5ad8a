// SPDX-License-Identifier: Apache-2.0
// AgentApi: what a running agent can be asked over its socket, without the transport. The routes
// (agent_routes.h) read requests into these calls and write the answers; the agent implements them.
// Errors are statuses of HTTP, because hook commands tell them apart by these.
//
// Threads: calls arrive on the thread of the HttpServer and must not block; an Answer is given
// once, from any thread, and may be given before the call returns.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "job/identity.h"
#include "listener/http_server.h"
#include "rule/rule_set.h"

namespace cicd {

struct ApiError {
  unsigned status = 500;
  std::string message;
};
template <typename T>
using Answer = std::function<void(std::expected<T, ApiError>)>;

struct NoContent {};

struct JobCall {
  JobIdentity identity;
  JobMetadata metadata;  // empty on routes that take none
  HttpPeer peer;
};

struct ProjectStartCall {
  JobIdentity identity;
  JobMetadata metadata;
  HttpPeer peer;
  std::optional<int> default_max_alerts_per_rule;
  bool disable_baseline_rules = false;
  bool monitor_mode = false;
  std::vector<RuleSet> rule_sets;
  std::vector<RuleModifier> rule_modifiers;
  std::string manager_url, manager_token;
  bool debug_enabled = false;
};

// A container that is about to start: its cgroup will have this name.
struct StagingCall {
  std::string basename;
  std::optional<std::uint32_t> peer_pid;  // of the docker client: its job is meant
  std::optional<JobIdentity> identity;    // of labels: that job is meant, made when it is unknown
  JobMetadata metadata;
  HttpPeer peer;  // who asks: the proxy
};

struct JobHealth {
  bool has_host_scope = false;
  bool has_project_scope = false;
};

enum class StagingAnswer : std::uint8_t { kStaged, kIgnored };

class AgentApi {
 public:
  virtual ~AgentApi() = default;

  virtual void host_start(JobCall call, Answer<NoContent> answer) = 0;
  virtual void host_end(JobCall call, Answer<NoContent> answer) = 0;
  virtual void job_health(JobCall call, Answer<JobHealth> answer) = 0;
  virtual void project_start(ProjectStartCall call, Answer<NoContent> answer) = 0;
  // The report document, as text.
  virtual void project_result(JobCall call, Answer<std::string> answer) = 0;
  virtual void stage_container(StagingCall call, Answer<StagingAnswer> answer) = 0;
  // What `cicd-sensor status` shows: one JSON object.
  virtual void status(HttpPeer peer, Answer<std::string> answer) = 0;
};

}  // namespace cicd

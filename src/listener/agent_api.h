// SPDX-License-Identifier: Apache-2.0
// AgentApi: what a running agent can be asked over its socket, without the transport. The routes
// (agent_routes.h) read requests into these calls and write the answers; the agent implements them.
// Errors are statuses of HTTP, because hook commands tell them apart by these.
//
// Threads: calls arrive on the thread of the HttpServer and must not block; an Answer is given
// once, from any thread, and may be given before the call returns.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "job/build_watch.h"
#include "job/identity.h"
#include "job/job_registry.h"
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
  ProjectSettings settings;
  LoadedRules rules;  // without mistakes
};

// Of what is staged. kNew: it has never been started before this call was made, so that a cgroup
// that has its name already is its. kMissed: a step of a build that has been started already by
// somebody who may not be the job; it cannot be staged, but the job is to hear of it.
enum class StagedContainer : std::uint8_t { kAny, kNew, kMissed };

// A container of a job is about to be started: its cgroup will have this name.
struct StagingCall {
  std::string basename;
  StagedContainer container = StagedContainer::kAny;
  pid_t client_pid = 0;                    // who asked for the container; 0: not known
  std::optional<JobDescription> job = {};  // that its labels name
};
enum class StagingAnswer : std::uint8_t { kStaged, kIgnored };

// The builds that a Docker proxy has open: all of them, each time.
struct BuildsCall {
  std::vector<Build> builds;
  HttpPeer peer;
};

struct JobHealth {
  bool has_host_scope = false;
  bool has_project_scope = false;
};

// Whose result is asked for; the host's only where there is no project's.
enum class ResultOf : std::uint8_t { kProject, kProjectOrHost };

class AgentApi {
 public:
  virtual ~AgentApi() = default;

  // Begins to watch the job that the peer belongs to.
  virtual void host_start(JobCall call, Answer<NoContent> answer) = 0;
  // Begins to watch a job that containers will be staged for. Only the agent's own user gets here.
  virtual void host_register(JobCall call, Answer<NoContent> answer) = 0;
  virtual void host_end(JobCall call, Answer<NoContent> answer) = 0;
  // Gives the job that the peer belongs to a project scope.
  virtual void project_start(ProjectStartCall call, Answer<NoContent> answer) = 0;
  // The result document of a scope of the job that the peer belongs to.
  virtual void job_result(JobCall call, ResultOf which, Answer<std::string> answer) = 0;
  virtual void job_health(JobCall call, Answer<JobHealth> answer) = 0;
  // Only the agent's own user gets this far.
  virtual void stage_container(StagingCall call, Answer<StagingAnswer> answer) = 0;
  // Only the agent's own user gets this far.
  virtual void put_builds(BuildsCall call, Answer<NoContent> answer) = 0;
  // What `cicd-sensor status` shows: one JSON object.
  virtual void status(Answer<std::string> answer) = 0;
};

}  // namespace cicd

// SPDX-License-Identifier: Apache-2.0
// AgentService: what the routes of an agent's socket ask for. Calls are dealt with on one thread,
// the registry's, one after the other, so that two starts never meet; what takes long (a job's end,
// a result document) is done elsewhere and answered from there.
//
// Threads: the calls of AgentApi on the listener's, the others on any. Lifetime: options, log,
// pipeline and keeper outlive it; answers may come after it is gone.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/agent.h"
#include "agent/build_steps.h"
#include "agent/job_keeper.h"
#include "agent/job_store.h"
#include "agent/pipeline.h"
#include "base/bounded_queue.h"
#include "base/log.h"
#include "base/worker.h"
#include "job/build_watch.h"
#include "job/job_registry.h"
#include "listener/agent_routes.h"

namespace cicd {

class AgentService final : public AgentApi {
 public:
  AgentService(const AgentOptions& options, const Log& log, Pipeline& pipeline, JobKeeper& keeper);
  ~AgentService() override { calls_->close(); }

  void host_start(JobCall call, Answer<NoContent> answer) override;
  void host_register(JobCall call, Answer<NoContent> answer) override;
  void host_end(JobCall call, Answer<NoContent> answer) override;
  void project_start(ProjectStartCall call, Answer<NoContent> answer) override;
  void job_result(JobCall call, ResultOf which, Answer<std::string> answer) override;
  void job_health(JobCall call, Answer<JobHealth> answer) override;
  void stage_container(StagingCall call, Answer<StagingAnswer> answer) override;
  void put_builds(BuildsCall call, Answer<NoContent> answer) override;
  void status(Answer<std::string> answer) override;

  // Goes on with the jobs of an agent that was killed. Before anything else is asked.
  void restore(std::vector<std::pair<JobStore, StoredJob>> jobs);
  // Once a second.
  void look_after();
  // Ends all jobs; false when that took longer than `limit`.
  bool shut_down(std::chrono::milliseconds limit);

 private:
  struct Call {
    std::function<void()> run;
    std::size_t weight = 1;
  };
  using Calls = BoundedQueue<Call>;

  template <typename T>
  void post(const Answer<T>& answer, std::function<void()> task);
  template <typename T>
  void post_start(const JobIdentity& identity, pid_t peer, const Answer<T>& answer,
                  std::function<void()> start);
  void note_missed(const StagingCall& call);
  void answer_start(const JobIdentity& identity, const HttpPeer& peer, const char* refused,
                    const std::expected<void, Refusal>& started, const Answer<NoContent>& answer);
  std::string status_text();

  const AgentOptions& options_;
  const Log& log_;
  Pipeline& pipeline_;
  JobKeeper& keeper_;
  // Shared with ends of jobs, which may outlive us.
  const std::shared_ptr<Calls> calls_;
  // The worker's.
  JobRegistry registry_;
  bool is_stopping_ = false;

  BuildSteps build_steps_;  // the worker's; has a thread that puts calls
  BuildWatch builds_{build_steps_};
  Worker worker_;  // last: it uses all of the above
};

}  // namespace cicd

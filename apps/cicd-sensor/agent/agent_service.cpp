// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_service.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <cstdint>
#include <future>
#include <mutex>
#include <optional>

#include "base/json_writer.h"
#include "base/time_format.h"
#include "base/version.h"

namespace cicd {

namespace {

using std::chrono::milliseconds;

constexpr std::size_t kMostWaitingCalls = 4096;

const ApiError kStopping{503, "the agent is stopping"};

unsigned status_of(Refusal::Kind kind) {
  switch (kind) {
    case Refusal::Kind::kInvalid:
      return 400;
    case Refusal::Kind::kForbidden:
      return 403;
    case Refusal::Kind::kUnknown:
      return 404;
    case Refusal::Kind::kConflict:
      return 409;
    case Refusal::Kind::kTooLarge:
      return 413;
    case Refusal::Kind::kBusy:
      return 503;
    case Refusal::Kind::kFailed:
      return 500;
  }
  return 500;
}

std::unexpected<ApiError> api_error(const Refusal& refusal) {
  return std::unexpected(ApiError{status_of(refusal.kind), refusal.message});
}

// The process that connected may have gone, and its pid be another one's.
pid_t living_peer(const HttpPeer& peer) {
  if (!peer.pidfd) return peer.pid;
  return ::syscall(SYS_pidfd_send_signal, peer.pidfd->get(), 0, nullptr, 0) == 0 || errno == EPERM
             ? peer.pid
             : 0;
}

}  // namespace

AgentService::AgentService(const AgentOptions& options, const Log& log, Pipeline& pipeline,
                           JobKeeper& keeper)
    : options_(options),
      log_(log),
      pipeline_(pipeline),
      keeper_(keeper),
      calls_(std::make_shared<Calls>(kMostWaitingCalls)),
      // Without weight: there is always room to say that a slot is free.
      registry_(
          keeper,
          {.slots = options.max_jobs + 1,
           .job_ttl = options.job_ttl,
           .is_hosted = options.runner_type == "hosted"},
          [calls = calls_](std::function<void()> task) { calls->push({std::move(task), 0}, 0); }),
      build_steps_(registry_, keeper, pipeline, options.build_cgroups, log) {
  worker_.start("cicd-registry", [this] {
    while (auto call = calls_->pop()) {
      call->run();
      calls_->done(call->weight);
    }
  });
}

template <typename T>
void AgentService::post(const Answer<T>& answer, std::function<void()> task) {
  if (calls_->push({std::move(task)}, 1)) return;
  answer(std::unexpected(ApiError{503, "the agent has too much to do"}));
}

// What may start a job: behind the end of one that is in its way.
template <typename T>
void AgentService::post_start(const JobIdentity& identity, pid_t peer, const Answer<T>& answer,
                              std::function<void()> start) {
  post(answer, [this, identity, peer, answer, start = std::move(start)] {
    registry_.when_startable(identity, peer, [this, answer, start] {
      if (is_stopping_) return answer(std::unexpected(kStopping));
      start();
    });
  });
}

void AgentService::answer_start(const JobIdentity& identity, const HttpPeer& peer,
                                const char* refused, const std::expected<void, Refusal>& started,
                                const Answer<NoContent>& answer) {
  if (started) return answer(NoContent{});
  log_.warn(refused, {{"job", identity_key(identity)},
                      {"reason", started.error().message},
                      {"peer_pid", std::to_string(peer.pid)}});
  answer(api_error(started.error()));
}

void AgentService::host_start(JobCall call, Answer<NoContent> answer) {
  const JobIdentity identity = call.identity;
  const pid_t peer = call.peer.pid;
  post_start(identity, peer, answer, [this, call = std::move(call), answer] {
    const auto started =
        registry_.start({call.identity, call.metadata}, {living_peer(call.peer), call.peer.uid});
    answer_start(call.identity, call.peer, "job_refused", started, answer);
  });
}

void AgentService::host_register(JobCall call, Answer<NoContent> answer) {
  const JobIdentity identity = call.identity;
  post_start(identity, 0, answer, [this, call = std::move(call), answer] {
    const auto registered = registry_.register_job({call.identity, call.metadata});
    answer_start(call.identity, call.peer, "job_refused", registered, answer);
  });
}

void AgentService::host_end(JobCall call, Answer<NoContent> answer) {
  post(answer, [this, call = std::move(call), answer] {
    const auto ended =
        registry_.end(call.identity, living_peer(call.peer), [answer] { answer(NoContent{}); });
    if (!ended) answer(api_error(ended.error()));
  });
}

void AgentService::project_start(ProjectStartCall call, Answer<NoContent> answer) {
  const auto shared = std::make_shared<ProjectStartCall>(std::move(call));
  post_start(shared->identity, shared->peer.pid, answer, [this, call = shared, answer] {
    const auto started = registry_.start_project({call->identity, call->metadata},
                                                 {living_peer(call->peer), call->peer.uid},
                                                 call->settings, call->rules);
    answer_start(call->identity, call->peer, "project_refused", started, answer);
  });
}

void AgentService::job_result(JobCall call, ResultOf which, Answer<std::string> answer) {
  post(answer, [this, call = std::move(call), which, answer] {
    const auto asked = registry_.write_result(
        call.identity, living_peer(call.peer), which == ResultOf::kProjectOrHost,
        [answer](std::expected<std::string, Refusal> document) {
          if (document) return answer(std::move(*document));
          answer(api_error(document.error()));
        });
    if (!asked) answer(api_error(asked.error()));
  });
}

void AgentService::job_health(JobCall call, Answer<JobHealth> answer) {
  post(answer, [this, call = std::move(call), answer] {
    const auto healthy = registry_.check_health(call.identity, living_peer(call.peer));
    if (!healthy) return answer(api_error(healthy.error()));
    answer(
        JobHealth{.has_host_scope = healthy->has_host, .has_project_scope = healthy->has_project});
  });
}

void AgentService::stage_container(StagingCall call, Answer<StagingAnswer> answer) {
  const std::optional<JobDescription> named = call.job;
  auto stage = [this, call = std::move(call), answer] {
    if (is_stopping_) return answer(std::unexpected(kStopping));
    if (call.container == StagedContainer::kMissed) {
      note_missed(call);
      return answer(StagingAnswer::kIgnored);
    }
    const bool is_new = call.container == StagedContainer::kNew;
    const auto staged = registry_.stage(call.basename, call.client_pid, call.job, is_new);
    if (!staged) {
      log_.warn("container_refused",
                {{"basename", call.basename}, {"reason", staged.error().message}});
      return answer(api_error(staged.error()));
    }
    answer(*staged ? StagingAnswer::kStaged : StagingAnswer::kIgnored);
  };
  // Only a job that is named may have to be started for it.
  if (!named) return post(answer, std::move(stage));
  post_start(named->identity, 0, answer, std::move(stage));
}

void AgentService::note_missed(const StagingCall& call) {
  const std::uint32_t slot = registry_.slot_of_job(registry_.job_of(call.client_pid));
  if (slot == 0) return;
  const std::string problem =
      "the output of docker build names a step, " + call.basename +
      ", that was not watched: it had been started before, or is no container of this dockerd";
  log_.warn("container_late", {{"slot", std::to_string(slot)}, {"reason", problem}});
  keeper_.add_problem(slot, problem);
}

void AgentService::put_builds(BuildsCall call, Answer<NoContent> answer) {
  post(answer, [this, call = std::move(call), answer] {
    if (is_stopping_) return answer(std::unexpected(kStopping));
    builds_.put(call.builds,
                [peer = call.peer] { return living_peer(peer) != 0 && ::kill(peer.pid, 0) == 0; });
    answer(NoContent{});
  });
}

void AgentService::status(Answer<std::string> answer) {
  post(answer, [this, answer] { answer(status_text()); });
}

void AgentService::look_after() {
  calls_->push({[this] {
                 registry_.look_after();
                 builds_.look_after();
               }},
               1);
}

void AgentService::restore(std::vector<std::pair<JobStore, StoredJob>> jobs) {
  std::promise<void> done;
  calls_->push({[&] {
                 build_steps_.take_back();
                 for (auto& [store, stored] : jobs) {
                   const std::uint32_t slot = stored.slot;
                   const JobIdentity identity = stored.identity;
                   const bool has_processes = !stored.cgroup_dir.empty();
                   const std::chrono::nanoseconds age(realtime_now_ns() - stored.start_time_ns);
                   if (const auto restored = keeper_.restore(store, std::move(stored)); !restored) {
                     log_.error("job_not_restored", {{"job", identity_key(identity)},
                                                     {"reason", restored.error().text}});
                     continue;
                   }
                   registry_.restore(slot, identity, has_processes,
                                     std::chrono::duration_cast<milliseconds>(age));
                 }
                 done.set_value();
               }},
               1);
  done.get_future().wait();
}

std::string AgentService::status_text() {
  std::string text;
  JsonWriter json(text);
  json.begin_object();
  json.member("version", version());
  json.member("provider", options_.provider);
  json.member("runner_type", options_.runner_type);
  json.key("jobs");
  json.begin_array();
  for (const JobRegistry::JobView& job : registry_.jobs()) {
    const JobProgress progress = keeper_.progress(job.slot);
    json.begin_object();
    for (const IdentityField& field : identity_fields()) {
      json.member_if(field.name, job.identity.*field.member);
    }
    json.key("scopes");
    json.begin_array();
    for (const ScopeKind kind : {ScopeKind::kHost, ScopeKind::kProject}) {
      if (keeper_.has_scope(job.slot, kind)) {
        json.raw("\"" + std::string(name_of(kind)) + "\"");
      }
    }
    json.end_array();
    json.member_number("age_s", job.age.count());
    json.member_number("events", progress.events);
    json.member_number("detections", progress.detections);
    json.member_number("dropped", progress.dropped);
    json.member_number("lost", progress.dropped + pipeline_.lost(job.slot));
    json.end_object();
  }
  json.end_array();
  json.key("coverage");
  json.begin_array();
  for (const Coverage& coverage : pipeline_.coverage()) {
    json.begin_object();
    json.member("type", event_types()[static_cast<std::size_t>(coverage.type)].name);
    json.member("backend", coverage.backend);
    json.key("available");
    json.boolean(coverage.available);
    json.end_object();
  }
  json.end_array();
  json.end_object();
  return text;
}

bool AgentService::shut_down(milliseconds limit) {
  struct Waiting {
    std::mutex mutex;
    std::condition_variable changed;
    std::size_t left = 1;
    void one_less() {
      const std::lock_guard lock(mutex);
      --left;
      changed.notify_all();
    }
  };
  auto waiting = std::make_shared<Waiting>();
  const bool is_posted =
      calls_->push({[this, waiting] {
                     {
                       const std::lock_guard lock(waiting->mutex);
                       waiting->left += registry_.jobs().size();
                     }
                     is_stopping_ = true;  // no job may begin behind this
                     registry_.end_all("shutdown", [waiting] { waiting->one_less(); });
                     waiting->one_less();
                   }},
                   1);
  if (!is_posted) return false;
  std::unique_lock lock(waiting->mutex);
  return waiting->changed.wait_for(lock, limit, [&] { return waiting->left == 0; });
}

}  // namespace cicd

// SPDX-License-Identifier: Apache-2.0
#include "agent/agent.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <mutex>

#include "agent/job_keeper.h"
#include "agent/pipeline.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "base/priority.h"
#include "base/version.h"
#include "base/worker.h"
#include "console.h"
#include "exit_codes.h"
#include "job/ci_platform.h"
#include "job/job_registry.h"
#include "kernel/live_source.h"
#include "listener/agent_routes.h"
#include "listener/http_server.h"
#include "rule/baseline.h"
#include "wire/loss.h"

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

// Answers calls on the registry's thread: one after the other, so that two starts never meet.
class Agent final : public AgentApi {
 public:
  Agent(const AgentOptions& options, const Log& log, Pipeline& pipeline, JobKeeper& keeper)
      : options_(options),
        log_(log),
        pipeline_(pipeline),
        keeper_(keeper),
        registry_(keeper, {.slots = CICD_SLOTS_MAX, .job_ttl = options.job_ttl}) {
    worker_.start("cicd-registry", [this] {
      while (auto call = calls_.pop()) {
        (*call)();
        calls_.done(1);
      }
    });
  }
  ~Agent() override { calls_.close(); }

  void host_start(JobCall call, Answer<NoContent> answer) override {
    post(answer, [this, call = std::move(call), answer] {
      if (is_stopping_) return answer(std::unexpected(kStopping));
      const auto started =
          registry_.start(call.identity, call.metadata, {living_peer(call.peer), call.peer.uid});
      if (!started) {
        log_.warn("job_refused", {{"job", identity_key(call.identity)},
                                  {"reason", started.error().message},
                                  {"peer_pid", std::to_string(call.peer.pid)}});
        return answer(api_error(started.error()));
      }
      answer(NoContent{});
    });
  }
  void host_end(JobCall call, Answer<NoContent> answer) override {
    post(answer, [this, call = std::move(call), answer] {
      const auto ended =
          registry_.end(call.identity, living_peer(call.peer), [answer] { answer(NoContent{}); });
      if (!ended) answer(api_error(ended.error()));
    });
  }
  void project_start(ProjectStartCall call, Answer<NoContent> answer) override {
    post(answer, [this, call = std::make_shared<ProjectStartCall>(std::move(call)), answer] {
      const auto started = registry_.start_project(call->identity, living_peer(call->peer),
                                                   call->settings, call->rules);
      if (!started) return answer(api_error(started.error()));
      answer(NoContent{});
    });
  }
  void job_health(JobCall call, Answer<JobHealth> answer) override {
    post(answer, [this, call = std::move(call), answer] {
      const auto healthy = registry_.check_health(call.identity, living_peer(call.peer));
      if (!healthy) return answer(api_error(healthy.error()));
      answer(JobHealth{.has_host_scope = true, .has_project_scope = healthy->has_project});
    });
  }
  void stage_container(StagingCall call, Answer<StagingAnswer> answer) override {
    post(answer, [this, call = std::move(call), answer] {
      const auto staged = registry_.stage(call.basename, call.client_pid);
      if (!staged) return answer(api_error(staged.error()));
      answer(*staged ? StagingAnswer::kStaged : StagingAnswer::kIgnored);
    });
  }
  void status(Answer<std::string> answer) override {
    post(answer, [this, answer] { answer(status_text()); });
  }

  void look_after() {
    calls_.push([this] { registry_.look_after(); }, 1);
  }
  // Ends all jobs; false when that took longer than `limit`.
  bool shut_down(milliseconds limit);

 private:
  template <typename T>
  void post(const Answer<T>& answer, std::function<void()> task) {
    if (calls_.push(std::move(task), 1)) return;
    answer(std::unexpected(ApiError{503, "the agent has too much to do"}));
  }
  std::string status_text();

  const AgentOptions& options_;
  const Log& log_;
  Pipeline& pipeline_;
  JobKeeper& keeper_;
  // The worker's.
  JobRegistry registry_;
  bool is_stopping_ = false;

  BoundedQueue<std::function<void()>> calls_{kMostWaitingCalls};
  Worker worker_;  // last: it uses all of the above
};

std::string Agent::status_text() {
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
    json.member_number("age_s", job.age.count());
    json.member_number("events", progress.events);
    json.member_number("detections", progress.detections);
    json.member_number("dropped", progress.dropped);
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

bool Agent::shut_down(milliseconds limit) {
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
  const bool is_posted = calls_.push(
      [this, waiting] {
        {
          const std::lock_guard lock(waiting->mutex);
          waiting->left += registry_.jobs().size();
        }
        is_stopping_ = true;  // no job may begin behind this
        registry_.end_all("shutdown", [waiting] { waiting->one_less(); });
        waiting->one_less();
      },
      1);
  if (!is_posted) return false;
  std::unique_lock lock(waiting->mutex);
  return waiting->changed.wait_for(lock, limit, [&] { return waiting->left == 0; });
}

// SIGTERM and SIGINT, and a tick a second in between. Blocked in all threads, as they are started
// after this.
class Signals {
 public:
  Signals() {
    sigemptyset(&set_);
    for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) sigaddset(&set_, signal);
    ::pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
  }
  // Until a signal comes; SIGUSR1 is our own thread's word for "stop".
  int wait(const std::function<void()>& tick) const {
    for (;;) {
      const timespec second{.tv_sec = 1, .tv_nsec = 0};
      const int signal = ::sigtimedwait(&set_, nullptr, &second);
      if (signal > 0) return signal;
      tick();
    }
  }

 private:
  sigset_t set_{};
};

Result<LoadedRules> load_host_rules(const AgentOptions& options, const Log& log) {
  LoadedRules rules;
  if (options.has_baseline) rules = baseline_rules();
  if (!options.rule_paths.empty()) {
    LoadedRules own = load_rules(options.rule_paths);
    std::ranges::move(own.rule_sets, std::back_inserter(rules.rule_sets));
    std::ranges::move(own.rule_modifiers, std::back_inserter(rules.rule_modifiers));
    std::ranges::move(own.diagnostics, std::back_inserter(rules.diagnostics));
  }
  CompileOptions check;
  check.modifiers = rules.rule_modifiers;
  check.checks_only = true;
  CompileResult compiled = compile(rules.rule_sets, check);
  std::ranges::move(compiled.diagnostics, std::back_inserter(rules.diagnostics));
  std::string first;
  for (const Diagnostic& diagnostic : rules.diagnostics) {
    const std::string text = diagnostic.format();
    const bool is_error = diagnostic.severity == Diagnostic::Severity::kError;
    if (is_error && first.empty()) first = text;
    is_error ? log.error("rule_error", {{"text", text}})
             : log.warn("rule_warning", {{"text", text}});
  }
  if (!first.empty()) {
    return fail(ErrorCode::kInvalidInput, first, "cicd-sensorctl rule validate tells all there is");
  }
  return rules;
}

int failed(const Error& error, const Log& log) {
  log.error("agent_failed", {{"reason", error.text}, {"hint", error.hint}});
  return kExitFindings;
}

// With everything open: serves until a signal, then ends the jobs.
int serve(const AgentOptions& options, const Log& log, const Signals& signals, LiveSource& source,
          LoadedRules rules) {
  std::atomic<bool> has_failed = false;
  const pid_t own = ::getpid();
  auto pipeline = Pipeline::start(source, [&](const Error& error) {
    log.error("rings_unreadable", {{"reason", error.text}});
    has_failed = true;
    ::kill(own, SIGUSR1);
  });
  if (!pipeline) return failed(pipeline.error(), log);
  KeeperOptions keeping;
  keeping.jobs_dir = options.state_dir + "/jobs";
  keeping.runner_type = options.runner_type;
  keeping.rules = std::move(rules);
  keeping.is_monitor_mode = options.is_monitor_mode;
  keeping.keep_jobs = options.keep_jobs;
  JobKeeper keeper(source, **pipeline, std::move(keeping), log);
  Agent agent(options, log, **pipeline, keeper);
  auto server = HttpServer::listen(options.socket_path, agent_routes(options.provider, agent));
  if (!server) {
    if (server.error().code != ErrorCode::kResource) return failed(server.error(), log);
    log.info("agent_already_running", {{"socket", options.socket_path}});
    return 0;
  }
  Worker listener;
  listener.start("cicd-listener", [&] { (*server)->run(); });
  log.info(
      "agent_started",
      {{"socket", options.socket_path}, {"provider", options.provider}, {"version", version()}});
  const int signal = signals.wait([&] { agent.look_after(); });
  log.info("agent_stopping", {{"signal", ::strsignal(signal)}});
  const bool is_done = agent.shut_down(options.shutdown_grace);
  if (!is_done) log.warn("jobs_not_written", {{"reason", "the grace of the shutdown is over"}});
  (*server)->stop(milliseconds(500));
  listener.join();
  return has_failed || !is_done ? kExitFindings : 0;
}

}  // namespace

int run_agent(const AgentOptions& options) {
  const Signals signals;
  const Log log("agent", options.is_debug ? LogLevel::kDebug : LogLevel::kInfo);
  go_first();
  auto rules = load_host_rules(options, log);
  if (!rules) {
    print_error(rules.error());
    return kExitUsage;
  }
  std::error_code error;
  std::filesystem::create_directories(options.state_dir + "/jobs", error);
  if (error || ::chmod(options.state_dir.c_str(), 0750) != 0) {
    return failed(Error{ErrorCode::kIo, errno, "cannot use " + options.state_dir,
                        "--state-dir names a folder that the agent may write to"},
                  log);
  }
  LiveOptions live;
  live.dedup = options.dedup;
  live.backend_kind = options.backend_kind;
  live.variables = step_variables();
  auto source = LiveSource::open(live);
  if (!source) return failed(source.error(), log);
  return serve(options, log, signals, **source, std::move(*rules));
}

}  // namespace cicd

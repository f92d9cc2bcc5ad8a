// SPDX-License-Identifier: Apache-2.0
#include "agent/agent.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <future>
#include <mutex>
#include <set>

#include "agent/build_steps.h"
#include "agent/job_keeper.h"
#include "agent/pipeline.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "base/priority.h"
#include "base/time_format.h"
#include "base/version.h"
#include "base/worker.h"
#include "console.h"
#include "exit_codes.h"
#include "job/ci_platform.h"
#include "job/job_registry.h"
#include "kernel/live_source.h"
#include "kernel/pin_folder.h"
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

// Answers calls on the registry's thread: one after the other, so that two starts never meet.
class Agent final : public AgentApi {
 public:
  Agent(const AgentOptions& options, const Log& log, Pipeline& pipeline, JobKeeper& keeper)
      : options_(options),
        log_(log),
        pipeline_(pipeline),
        keeper_(keeper),
        registry_(keeper, {.slots = options.max_jobs + 1,
                           .job_ttl = options.job_ttl,
                           .is_hosted = options.runner_type == "hosted"}),
        build_steps_(registry_, keeper, pipeline, options.build_cgroup, log,
                     [this](const std::string& name) { post_step(name); }) {
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
      answer_start(
          call,
          registry_.start({call.identity, call.metadata}, {living_peer(call.peer), call.peer.uid}),
          answer);
    });
  }
  void host_register(JobCall call, Answer<NoContent> answer) override {
    post(answer, [this, call = std::move(call), answer] {
      if (is_stopping_) return answer(std::unexpected(kStopping));
      answer_start(call, registry_.register_job({call.identity, call.metadata}), answer);
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
      if (is_stopping_) return answer(std::unexpected(kStopping));
      const auto started = registry_.start_project({call->identity, call->metadata},
                                                   {living_peer(call->peer), call->peer.uid},
                                                   call->settings, call->rules);
      if (!started) {
        log_.warn("project_refused", {{"job", identity_key(call->identity)},
                                      {"reason", started.error().message},
                                      {"peer_pid", std::to_string(call->peer.pid)}});
        return answer(api_error(started.error()));
      }
      answer(NoContent{});
    });
  }
  void job_result(JobCall call, ResultOf which, Answer<std::string> answer) override {
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
  void job_health(JobCall call, Answer<JobHealth> answer) override {
    post(answer, [this, call = std::move(call), answer] {
      const auto healthy = registry_.check_health(call.identity, living_peer(call.peer));
      if (!healthy) return answer(api_error(healthy.error()));
      answer(JobHealth{.has_host_scope = healthy->has_host,
                       .has_project_scope = healthy->has_project});
    });
  }
  void stage_container(StagingCall call, Answer<StagingAnswer> answer) override {
    post(answer, [this, call = std::move(call), answer] {
      if (is_stopping_) return answer(std::unexpected(kStopping));
      const auto staged = registry_.stage(call.basename, call.client_pid, call.job);
      if (!staged) {
        log_.warn("container_refused",
                  {{"basename", call.basename}, {"reason", staged.error().message}});
        return answer(api_error(staged.error()));
      }
      answer(*staged ? StagingAnswer::kStaged : StagingAnswer::kIgnored);
    });
  }
  void put_builds(BuildsCall call, Answer<NoContent> answer) override {
    post(answer, [this, call = std::move(call), answer] {
      if (is_stopping_) return answer(std::unexpected(kStopping));
      builds_.put(call.builds, [peer = call.peer] {
        return living_peer(peer) != 0 && ::kill(peer.pid, 0) == 0;
      });
      answer(NoContent{});
    });
  }
  void status(Answer<std::string> answer) override {
    post(answer, [this, answer] { answer(status_text()); });
  }

  // Goes on with the jobs of an agent that was killed. Before anything else is asked.
  void restore(std::vector<std::pair<JobStore, StoredJob>> jobs);

  void look_after() {
    calls_.push(
        [this] {
          registry_.look_after();
          builds_.look_after();
        },
        1);
  }
  // Ends all jobs; false when that took longer than `limit`.
  bool shut_down(milliseconds limit);

 private:
  template <typename T>
  void post(const Answer<T>& answer, std::function<void()> task) {
    if (calls_.push(std::move(task), 1)) return;
    answer(std::unexpected(ApiError{503, "the agent has too much to do"}));
  }
  void answer_start(const JobCall& call, const std::expected<void, Refusal>& started,
                    const Answer<NoContent>& answer) {
    if (started) return answer(NoContent{});
    log_.warn("job_refused", {{"job", identity_key(call.identity)},
                              {"reason", started.error().message},
                              {"peer_pid", std::to_string(call.peer.pid)}});
    answer(api_error(started.error()));
  }
  void post_step(const std::string& name) {
    calls_.push(
        [this, name] { build_steps_.take_step(name, registry_.slot_of_job(builds_.owner())); }, 1);
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
  BuildSteps build_steps_;  // the worker's; has a thread that puts calls
  BuildWatch builds_{build_steps_};
  Worker worker_;  // last: it uses all of the above
};

void Agent::restore(std::vector<std::pair<JobStore, StoredJob>> jobs) {
  std::promise<void> done;
  calls_.push(
      [&] {
        build_steps_.take_back();
        for (auto& [store, stored] : jobs) {
          const std::uint32_t slot = stored.slot;
          const JobIdentity identity = stored.identity;
          const bool has_processes = !stored.cgroup_dir.empty();
          const std::chrono::nanoseconds age(realtime_now_ns() - stored.start_time_ns);
          if (const auto restored = keeper_.restore(store, std::move(stored)); !restored) {
            log_.error("job_not_restored",
                       {{"job", identity_key(identity)}, {"reason", restored.error().text}});
            continue;
          }
          registry_.restore(slot, identity, has_processes,
                            std::chrono::duration_cast<milliseconds>(age));
        }
        done.set_value();
      },
      1);
  done.get_future().wait();
}

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

// What an agent that was killed has left; of one slot only one job, so that a folder that somebody
// copied harms nobody.
std::vector<std::pair<JobStore, StoredJob>> jobs_left(const AgentOptions& options, const Log& log) {
  std::vector<std::pair<JobStore, StoredJob>> out;
  std::set<std::uint32_t> slots;
  for (JobStore& store : stored_jobs(options.state_dir + "/jobs")) {
    auto stored = store.read();
    std::string reason;
    if (!stored) {
      reason = stored.error().text;
    } else if (stored->boot_id != current_boot_id()) {
      reason = "the machine was started anew";
    } else if (stored->slot == 0 || stored->slot > options.max_jobs ||
               !slots.insert(stored->slot).second) {
      reason = "its slot cannot be had";
    } else {
      out.emplace_back(std::move(store), std::move(*stored));
      continue;
    }
    log.error("job_not_restored", {{"folder", store.folder()}, {"reason", reason}});
    store.remove();
  }
  return out;
}

int failed(const Error& error, const Log& log) {
  log.error("agent_failed", {{"reason", error.text}, {"hint", error.hint}});
  return kExitFindings;
}

// Held as long as the agent lives; no descriptor: another one holds it.
Result<UniqueFd> lock_state(const std::string& state_dir) {
  UniqueFd fd(::open((state_dir + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return fail_errno(errno, "open " + state_dir + "/lock");
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  if (errno == EWOULDBLOCK) return UniqueFd();
  return fail_errno(errno, "lock " + state_dir + "/lock");
}

// One for each folder of an agent's state.
std::string pin_dir_of(const std::string& state_dir) {
  std::error_code error;
  const std::string path = std::filesystem::canonical(state_dir, error).string();
  char name[32];
  std::snprintf(name, sizeof(name), "agent-%016zx", std::hash<std::string>()(path));
  return std::string(kPinRoot) + "/" + name;
}

// With everything open: serves until a signal, then ends the jobs.
int serve(const AgentOptions& options, const Log& log, const Signals& signals, LiveSource& source,
          KeeperOptions keeping) {
  std::vector<std::pair<JobStore, StoredJob>> jobs = jobs_left(options, log);
  std::vector<std::uint32_t> slots;
  for (const auto& [store, stored] : jobs) slots.push_back(stored.slot);
  source.keep_slots(slots);
  std::atomic<bool> has_failed = false;
  const pid_t own = ::getpid();
  auto pipeline = Pipeline::start(source, [&](const Error& error) {
    log.error("rings_unreadable", {{"reason", error.text}});
    has_failed = true;
    ::kill(own, SIGUSR1);
  });
  if (!pipeline) return failed(pipeline.error(), log);
  JobKeeper keeper(source, **pipeline, std::move(keeping), log);
  Agent agent(options, log, **pipeline, keeper);
  agent.restore(std::move(jobs));
  (*pipeline)->begin();
  auto server = HttpServer::listen(options.socket_path, agent_routes(options.provider, agent));
  if (!server) {
    if (server.error().code != ErrorCode::kResource) return failed(server.error(), log);
    log.info("agent_already_running", {{"socket", options.socket_path}});
    return 0;
  }
  Worker listener;
  listener.start("cicd-listener", [&] { (*server)->run(); });
  log.info("agent_started", {{"socket", options.socket_path},
                             {"provider", options.provider},
                             {"version", version()},
                             {"pins", pin_dir_of(options.state_dir)}});
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
  auto egress = load_host_egress(options.policy_path, options.mode);
  if (!egress) {
    print_error(egress.error());
    return kExitUsage;
  }
  std::error_code error;
  std::filesystem::create_directories(options.state_dir + "/jobs", error);
  if (error || ::chmod(options.state_dir.c_str(), 0750) != 0) {
    return failed(Error{ErrorCode::kIo, errno, "cannot use " + options.state_dir,
                        "--state-dir names a folder that the agent may write to"},
                  log);
  }
  const auto lock = lock_state(options.state_dir);
  if (!lock) return failed(lock.error(), log);
  if (!*lock) {
    log.info("agent_already_running", {{"state_dir", options.state_dir}});
    return 0;
  }
  LiveOptions live;
  live.slots = std::max<std::uint32_t>(options.max_jobs + 1, CICD_SLOTS_DEFAULT);
  live.pin_dir = pin_dir_of(options.state_dir);
  live.dedup = options.dedup;
  live.backend_kind = options.backend_kind;
  live.variables = step_variables();
  auto source = LiveSource::open(live);
  if (!source) return failed(source.error(), log);
  const PinReport pins = (*source)->pins();
  if (!pins.error.empty()) {
    log.warn("pins_unavailable",
             {{"reason", pins.error},
              {"effect", "what happens while a killed agent is not there yet again is not seen"}});
  }
  KeeperOptions keeping;
  keeping.state_dir = options.state_dir;
  keeping.jobs_dir = options.state_dir + "/jobs";
  keeping.runner_type = options.runner_type;
  keeping.rules = std::move(*rules);
  keeping.is_monitor_mode = options.is_monitor_mode;
  keeping.egress = std::move(*egress);
  keeping.keep_jobs = options.keep_jobs;
  return serve(options, log, signals, **source, std::move(keeping));
}

}  // namespace cicd

// SPDX-License-Identifier: Apache-2.0
#include "agent/agent.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>

#include "agent/agent_service.h"
#include "agent/job_keeper.h"
#include "agent/pipeline.h"
#include "base/log.h"
#include "base/priority.h"
#include "base/version.h"
#include "base/worker.h"
#include "console.h"
#include "exit_codes.h"
#include "job/ci_platform.h"
#include "kernel/live_source.h"
#include "kernel/pin_folder.h"
#include "listener/agent_routes.h"
#include "listener/http_server.h"
#include "rule/baseline.h"
#include "wire/loss.h"

namespace cicd {

namespace {

using std::chrono::milliseconds;

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
  AgentService agent(options, log, **pipeline, keeper);
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
  live.most_samples = Pipeline::kSamplesOfLook;
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

// SPDX-License-Identifier: Apache-2.0
#include "run/front.h"

#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <utility>
#include <vector>

#include "base/time_format.h"
#include "console.h"
#include "exit_codes.h"
#include "job/ci_platform.h"
#include "job/spawn.h"
#include "kernel/hook_catalogue.h"
#include "kernel/live_source.h"
#include "run/engine_process.h"
#include "run/finish_dead_run.h"
#include "run/front_signals.h"
#include "run/outputs.h"
#include "run/pace.h"

extern char** environ;

namespace cicd {

namespace {

constexpr int kMaxRestarts = 3;
// How long an engine may take to undo what it made, when nothing is run.
constexpr int kUndoMs = 10'000;

std::vector<std::string> own_environment() {
  std::vector<std::string> out;
  for (char** item = environ; item != nullptr && *item != nullptr; ++item) out.emplace_back(*item);
  return out;
}

// One line of a reason that a library may have made long.
std::string shortened(const std::string& text) {
  constexpr std::size_t kLongest = 160;
  return text.size() <= kLongest ? text : text.substr(0, kLongest) + "...";
}

// A missing type of event is said aloud; without processes there is nothing to watch.
Result<void> check_coverage(const LiveSource& source) {
  for (const Coverage& coverage : source.coverage()) {
    if (coverage.available) continue;
    const std::string name(info_of(coverage.type).name);
    if (coverage.type == EventType::kProcessExec) {
      return fail(ErrorCode::kUnsupported,
                  "this machine cannot be watched: " + name + ": " + shortened(coverage.reason),
                  "cicd-sensor doctor tells all of it");
    }
    print_line("cicd-sensor: " + name + " is not watched: " + shortened(coverage.reason));
  }
  return {};
}

// What is watched, a line a backend; doctor tells what each cannot see.
void print_coverage(const LiveSource& source) {
  std::vector<std::pair<std::string, std::string>> groups;  // backend, its types
  for (const Coverage& coverage : source.coverage()) {
    const bool is_hooked = coverage.available && coverage.backend != kNotInThisKernel;
    if (!is_hooked || coverage.type == EventType::kMonitoringGap) continue;
    const std::string name(info_of(coverage.type).name);
    const auto group = std::ranges::find_if(
        groups, [&](const auto& other) { return other.first == coverage.backend; });
    if (group == groups.end()) {
      groups.emplace_back(coverage.backend, name);
    } else {
      group->second += ", " + name;
    }
  }
  for (const auto& [backend, types] : groups) {
    print_line("cicd-sensor: watching " + types + " (" + backend + ")");
  }
}

class Front {
 public:
  explicit Front(const RunPlan& plan) : plan_(plan) {}
  int run();

 private:
  Result<void> prepare();
  Result<void> fork_engine();
  Result<void> restart_engine(const char* reason);
  Result<void> make_job();
  Result<void> wait_until_ready();
  Result<void> start_command();
  void wait_for_command();
  void wait_for_outputs();
  void look_at_engine(int wait_ms);
  void take(Message message);
  void handle_signals();
  void handle_engine_death(const char* reason = "sensor_restarted");
  void look_at_heartbeat();
  void end_engine(int patience_ms);
  void terminate_alone();
  void tell(MessageType type, std::int64_t number = 0);
  void watch_descriptors();
  int fail_start(const Error& error);
  int end(int exit_code);
  bool is_watched() const { return engine_pid_ > 0; }

  const RunPlan& plan_;
  InheritedState inherited_;
  std::optional<FrontSignals> signals_;
  std::unique_ptr<LiveSource> source_;
  std::optional<RunState> state_;
  EngineStart start_;
  std::optional<Link> link_;
  pid_t engine_pid_ = 0;
  UniqueFd engine_pidfd_;
  int restarts_ = 0;
  bool is_ready_ = false;
  bool is_done_ = false;
  bool has_struck_ = false;
  bool is_out_of_reach_ = false;  // the job was to be ended, and its command does not die
  std::chrono::steady_clock::time_point next_look_{};
  std::optional<Error> engine_error_;
  std::optional<JobCgroup> cgroup_;
  std::optional<SpawnedCommand> command_;
};

Result<void> Front::prepare() {
  inherited_ = InheritedState::capture();
  const auto finish = [this](const RunNames& dead) {
    // Ours replaces them in a moment.
    const auto folder = [](const std::string& file) { return file.substr(0, file.rfind('/')); };
    const bool is_replaced = !dead.keeps_journal && !plan_.names.keeps_journal &&
                             folder(dead.journal) == folder(plan_.names.journal);
    return !is_replaced && finish_dead_run(dead);
  };
  for (const CleanedRun& run : clean_dead_runs(run_state_directory(), finish)) {
    if (run.is_populated || plan_.options.is_quiet) continue;
    std::string text = "cicd-sensor: removed what run " + run.id + ", killed as a whole, had left";
    if (run.is_finished) {
      text += ", and wrote its outputs from its journal";
    } else if (!run.output_dir.empty()) {
      text += "; its rows stay in " + run.output_dir + ", without a summary";
    }
    print_line(text);
  }
  LiveOptions live;
  live.btf_path = plan_.options.btf_path;
  live.strict = plan_.options.is_strict;
  live.dedup = !plan_.options.reports_repeats;
  live.tls_capture = plan_.options.captures_tls;
  live.backend_kind = plan_.options.backend_kind;
  live.variables = step_variables();
  live.pace = pace_of(plan_.program.get());
  CICD_ASSIGN(source_, LiveSource::open(live));
  CICD_TRY(source_->start_job_hooks());
  CICD_TRY(check_coverage(*source_));
  CICD_ASSIGN(FrontSignals signals, FrontSignals::open());
  signals_ = std::move(signals);
  CICD_ASSIGN(RunState state, RunState::prepare(run_state_directory(), plan_.names));
  state_ = std::move(state);
  CICD_ASSIGN(start_.heartbeat, Heartbeat::make());
  start_.front_pid = ::getpid();
  start_.options = &plan_.options;
  start_.source = source_.get();
  start_.state = &*state_;
  start_.program = plan_.program;
  start_.names = plan_.names;
  start_.owner = plan_.owner;
  start_.start_time_ns = realtime_now_ns();
  return {};
}

Result<void> Front::fork_engine() {
  CICD_ASSIGN(auto ends, Link::make_pair());
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno(errno, "fork the engine");
  if (pid == 0) {
    ends.first.close();
    if (link_) link_->close();
    const int exit_code = run_engine(start_, std::move(ends.second));
    ::_exit(exit_code);  // what the front owns is not this process's to destroy
  }
  ends.second.close();
  link_ = std::move(ends.first);
  engine_pid_ = pid;
  engine_pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!engine_pidfd_) return fail_errno(errno, "pidfd_open");
  return {};
}

// A new engine in place of a dead one; the error says that there will be none.
Result<void> Front::restart_engine(const char* reason) {
  const std::uint64_t now = realtime_now_ns();
  for (MonitoringGap& gap : start_.gaps) {
    if (gap.end_ns == 0) gap.end_ns = now;
  }
  if (restarts_ >= kMaxRestarts) {
    return fail(ErrorCode::kInternal,
                "the engine ended " + std::to_string(restarts_ + 1) +
                    " times: the rest of this job is not watched and its outputs are incomplete",
                "the command goes on; see the kernel log for reasons (out of memory?)");
  }
  ++restarts_;
  start_.is_restart = true;
  start_.gaps.push_back({reason, now, 0});
  start_.heartbeat.reset();
  is_ready_ = false;
  return fork_engine();
}

void Front::tell(MessageType type, std::int64_t number) {
  Message message;
  message.type = type;
  message.number = number;
  if (type == MessageType::kStarted) message.descriptor.reset(::dup(command_->pidfd()));
  if (is_watched()) link_->send(message);
}

Result<void> Front::make_job() {
  CICD_TRY(state_->publish());
  CICD_ASSIGN(JobCgroup group, JobCgroup::create(plan_.place, kRunCgroupPrefix + plan_.names.id));
  cgroup_ = std::move(group);
  CICD_TRY(source_->track_cgroup(cgroup_->id(), kRunSlot));
  start_.cgroup_id = cgroup_->id();
  tell(MessageType::kBegin, static_cast<std::int64_t>(cgroup_->id()));
  return {};
}

Result<void> Front::wait_until_ready() {
  while (!is_ready_) {
    look_at_engine(Heartbeat::kLookMs);
    if (engine_error_) return std::unexpected(*engine_error_);
    if (!is_watched()) return fail(ErrorCode::kInternal, "the engine does not start");
  }
  return {};
}

Result<void> Front::start_command() {
  SpawnRequest request;
  request.path = plan_.command_path;
  request.argv = plan_.options.command;
  request.environment = environment_of(plan_.command_user, own_environment());
  request.user = plan_.command_user;
  request.cgroup_fd = cgroup_->fd();
  request.inherited = inherited_;
  CICD_ASSIGN(SpawnedCommand command, SpawnedCommand::start(request));
  command_ = std::move(command);
  start_.command_pid = command_->pid();
  start_.command_pidfd = command_->pidfd();
  tell(MessageType::kStarted, command_->pid());
  if (!plan_.options.is_quiet) print_coverage(*source_);
  return command_->release();
}

void Front::take(Message message) {
  switch (message.type) {
    case MessageType::kReady:
      is_ready_ = true;
      break;
    case MessageType::kFailed:
      engine_error_ = Error{static_cast<ErrorCode>(message.number), 0, std::move(message.text),
                            std::move(message.hint)};
      break;
    case MessageType::kJournalLost:
      start_.is_journal_lost = true;
      break;
    case MessageType::kTerminating:
      start_.termination = TerminationCause{std::move(message.text), std::move(message.hint),
                                            static_cast<std::uint64_t>(message.number)};
      break;
    case MessageType::kProblem:
      start_.problems.push_back(std::move(message.text));
      break;
    case MessageType::kDone:
      is_done_ = true;
      has_struck_ = message.number != 0;
      break;
    default:
      break;
  }
}

void Front::look_at_engine(int wait_ms) {
  pollfd ready[] = {{link_->fd(), POLLIN, 0}, {engine_pidfd_.get(), POLLIN, 0}};
  const int count = ::poll(ready, 2, wait_ms);
  while (auto message = link_->receive(0)) take(std::move(*message));
  if (count > 0 && (ready[1].revents & POLLIN) != 0) handle_engine_death();
  look_at_heartbeat();
}

// An engine that hangs is of no use and, with the job's outputs in its hands, in the way.
void Front::look_at_heartbeat() {
  const auto now = std::chrono::steady_clock::now();
  if (!is_watched() || now < next_look_) return;
  next_look_ = now + std::chrono::milliseconds(Heartbeat::kLookMs);
  if (!start_.heartbeat.look()) return;
  const char* const next = is_done_ ? "" : "; another one takes over";
  print_line(std::string("cicd-sensor: the engine hangs and is ended") + next);
  end_engine(0);
}

// Waits for the engine to end and kills it when it does not in time.
void Front::end_engine(int patience_ms) {
  constexpr int kDeathMs = 5000;
  pollfd ended{engine_pidfd_.get(), POLLIN, 0};
  if (::poll(&ended, 1, patience_ms) <= 0) {
    ::syscall(SYS_pidfd_send_signal, engine_pidfd_.get(), SIGKILL, nullptr, 0);
    if (::poll(&ended, 1, kDeathMs) <= 0) {
      // Stuck in the kernel, with the journal in its hands: no other one can go on from there.
      engine_pid_ = 0;
      print_error(Error{ErrorCode::kInternal, 0,
                        "the engine hangs in the kernel: the rest of this job is not watched and "
                        "its outputs are incomplete",
                        "the command goes on; see the kernel log for reasons (a disk that does not "
                        "answer?)"});
      terminate_alone();
      return;
    }
  }
  handle_engine_death("sensor_hung");
}

void Front::handle_engine_death(const char* reason) {
  // Its last words may have come between the two looks.
  while (auto message = link_->receive(0)) take(std::move(*message));
  ::waitpid(engine_pid_, nullptr, 0);
  engine_pid_ = 0;
  engine_pidfd_.reset();
  if (is_done_) return;
  if (engine_error_) {
    // Before the command started this is why it will not; later it goes on unwatched.
    if (command_) print_error(*engine_error_);
  } else if (const auto restarted = restart_engine(reason); !restarted) {
    print_error(restarted.error());
  }
  if (!is_watched()) terminate_alone();
}

// No engine is left to end what one had begun to: the job may be frozen.
void Front::terminate_alone() {
  if (!start_.termination || !cgroup_) return;
  auto target = termination_target(plan_.names, *source_, kRunSlot, ::getpid());
  if (!target) return print_error(target.error());
  JobTermination termination(std::move(*target));
  termination.resume(*start_.termination);
  termination.wait();
  is_out_of_reach_ = termination.summary().processes_left > 0;
}

void Front::handle_signals() {
  while (const auto received = signals_->next()) {
    const bool has_ended = start_.command_status.has_value();
    if (!has_ended && !received->is_from_terminal && received->sender != command_->pid()) {
      ::syscall(SYS_pidfd_send_signal, command_->pidfd(), received->signal, nullptr, 0);
    }
    if (!received->ends_job()) continue;
    start_.is_interrupted = start_.is_interrupted || !has_ended;
    // The command has gone and the user wants to go too.
    start_.is_hurried = start_.is_hurried || has_ended;
    tell(MessageType::kInterrupted, start_.is_hurried ? 1 : 0);
  }
}

void Front::watch_descriptors() {
  const bool has_ended = start_.command_status.has_value();
  pollfd ready[] = {{signals_->fd(), POLLIN, 0},
                    {has_ended ? -1 : command_->pidfd(), POLLIN, 0},
                    {is_watched() ? engine_pidfd_.get() : -1, POLLIN, 0},
                    {is_watched() ? link_->fd() : -1, POLLIN, 0}};
  const int count = ::poll(ready, 4, is_watched() ? Heartbeat::kLookMs : -1);
  if (count > 0 && (ready[0].revents & POLLIN) != 0) handle_signals();
  if (is_watched()) look_at_engine(0);
}

void Front::wait_for_command() {
  // An engine that is done with ending the job leaves only what cannot be ended.
  while (!start_.command_status && !is_out_of_reach_) {
    watch_descriptors();
    int status = 0;
    if (::waitpid(command_->pid(), &status, WNOHANG) == command_->pid()) {
      start_.command_status = status;
    }
    is_out_of_reach_ = is_out_of_reach_ || (is_done_ && start_.termination);
  }
  if (start_.command_status) tell(MessageType::kEnded, *start_.command_status);
}

void Front::wait_for_outputs() {
  while (is_watched()) watch_descriptors();
}

// Nothing was run: takes everything back.
int Front::fail_start(const Error& error) {
  tell(MessageType::kAbort);
  if (is_watched()) {
    is_done_ = true;  // not to be replaced
    end_engine(kUndoMs);
  }
  print_error(error);
  return end(exit_code_of(error));
}

int Front::end(int exit_code) {
  if (source_) {
    source_->stop_job_hooks();
    source_->untrack_slot(kRunSlot);
  }
  if (!state_) return exit_code;
  if (const auto removed = remove_run(plan_.names, *state_, plan_.owner); !removed) {
    print_error(removed.error());
  }
  return exit_code;
}

int Front::run() {
  if (auto done = prepare(); !done) return fail_start(done.error());
  if (auto done = fork_engine(); !done) return fail_start(done.error());
  if (auto done = make_job(); !done) return fail_start(done.error());
  if (auto done = wait_until_ready(); !done) {
    engine_error_ = done.error();
    return fail_start(done.error());
  }
  if (const auto signal = signals_->next()) {
    fail_start(Error{ErrorCode::kInternal, 0, "interrupted before the command was started", {}});
    return 128 + signal->signal;
  }
  if (auto done = start_command(); !done) {
    const int error = done.error().sys_errno;
    const bool is_held = command_.has_value();
    fail_start(std::move(done.error()).with_context("'" + plan_.options.command.front() + "'"));
    if (!is_held) return kExitSensorFailed;
    return error == ENOENT ? kExitNotFound : kExitNotExecutable;
  }
  wait_for_command();
  wait_for_outputs();
  if (is_done_ && has_struck_) return end(kExitRuleStruck);
  if (start_.termination) return end(kExitTerminated);
  return end(shell_exit_code(*start_.command_status));
}

}  // namespace

int run_front(const RunPlan& plan) {
  Front front(plan);
  const int exit_code = front.run();
  return exit_code;
}

}  // namespace cicd

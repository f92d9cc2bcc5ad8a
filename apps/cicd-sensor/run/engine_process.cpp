// SPDX-License-Identifier: Apache-2.0
#include "run/engine_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>

#include "base/priority.h"
#include "base/time_format.h"
#include "console.h"
#include "egress/egress_guard.h"
#include "evidence/file_sink.h"
#include "job/ci_platform.h"
#include "job/egress_facts.h"
#include "job/job_cgroup.h"
#include "job/spawn.h"
#include "kernel/egress_samples.h"
#include "report/terminal.h"
#include "run/outputs.h"
#include "run/pace.h"
#include "run/progress.h"

namespace cicd {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// How long a step waits for samples and messages, which both end it. Longer than any pace: a wait
// that ends by itself would be a look at the rings of its own.
constexpr milliseconds kPollWait{250};
// While there is something to look after that neither tells of: the end of a job's grace, a job
// that is being ended, a command without a front.
constexpr milliseconds kAttentiveWait{20};
static_assert(kAttentiveWait >= kRelaxedPace);
constexpr milliseconds kDrainLimit{1000};
// Without a front nobody waits for the outputs but everything is to be gone soon.
constexpr milliseconds kLongestOrphanGrace{1000};

// One engine's life. The members are in the order in which they come to be.
class EngineProcess {
 public:
  EngineProcess(const EngineStart& start, Link link)
      : start_(start),
        link_(std::move(link)),
        command_pidfd_(start.command_pidfd),
        command_pid_(start.command_pid),
        status_(start.command_status),
        is_interrupted_(start.is_interrupted),
        is_hurried_(start.is_hurried),
        cgroup_id_(start.cgroup_id),
        progress_(!start.options->is_quiet),
        problems_(start.problems) {}

  int run();

 private:
  Result<void> open_outputs();
  template <typename Open>
  auto with_journal_rights(Open open) const;
  Result<void> open_journal();
  Result<void> enforce();
  void add_egress(Job::End& end);
  Result<void> resume(RecordingReader& journal);
  bool wait_for_begin();
  void check_self();
  Result<void> watch();
  Result<void> settle();
  void tell_of_strike(const TerminationCause& cause) const;
  void say_strike();
  void take_messages(int wait_ms);
  void take(Message& message);
  void name_command();
  void note_sockets() const;
  void look_at_command();
  void look_at_journal();
  bool is_over();
  void finish();
  int clean_up(int exit_code);
  int undo(int exit_code);

  const EngineStart& start_;
  Link link_;
  UniqueFd received_pidfd_;
  int command_pidfd_;
  pid_t command_pid_;
  std::optional<int> status_;  // as the front told it
  bool is_ended_ = false;      // the command, however that was learned
  bool is_interrupted_;
  bool is_hurried_;
  bool is_aborted_ = false;
  bool is_journal_dropped_ = false;
  std::uint64_t cgroup_id_;
  steady_clock::time_point ended_at_{};
  ProgressLine progress_;
  std::optional<JobCgroup> cgroup_;
  std::unique_ptr<EgressGuard> guard_;  // null: nothing is denied
  std::optional<Outputs> outputs_;
  std::vector<std::string> problems_;
  bool is_strike_said_ = false;
  std::unique_ptr<JobTermination> termination_;
  std::unique_ptr<Engine> engine_;  // last: its worker uses the two above
};

void leave_the_terminal() {
  ::setsid();
  ::prctl(PR_SET_NAME, "cicd-engine");
  for (const int signal : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU, SIGPIPE}) {
    ::signal(signal, SIG_IGN);
  }
  // Readers of the command's output must not wait for this process.
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return;
  ::dup2(null.get(), STDIN_FILENO);
  ::dup2(null.get(), STDOUT_FILENO);
}

bool EngineProcess::wait_for_begin() {
  while (cgroup_id_ == 0 && !link_.is_closed() && !is_aborted_) take_messages(-1);
  return cgroup_id_ != 0 && !is_aborted_;
}

void EngineProcess::take_messages(int wait_ms) {
  while (auto message = link_.receive(wait_ms)) {
    take(*message);
    wait_ms = 0;
  }
}

// Sockets that the command was given, as its standard input for one, are the job's too.
void EngineProcess::note_sockets() const {
  const auto control = start_.source->egress();
  if (!control || !is_in_initial_pid_namespace()) return;
  const std::uint32_t pids[] = {static_cast<std::uint32_t>(command_pid_)};
  (*control)->note_sockets(kRunSlot, pids);
}

void EngineProcess::name_command() {
  if (is_in_initial_pid_namespace()) engine_->set_command(command_pid_);
}

void EngineProcess::take(Message& message) {
  switch (message.type) {
    case MessageType::kBegin:
      cgroup_id_ = static_cast<std::uint64_t>(message.number);
      break;
    case MessageType::kStarted:
      command_pid_ = static_cast<pid_t>(message.number);
      received_pidfd_ = std::move(message.descriptor);
      command_pidfd_ = received_pidfd_.get();
      if (engine_) name_command();
      note_sockets();
      break;
    case MessageType::kEnded:
      status_ = static_cast<int>(message.number);
      break;
    case MessageType::kInterrupted:
      is_interrupted_ = true;
      is_hurried_ = is_hurried_ || message.number != 0;
      break;
    case MessageType::kAbort:
      is_aborted_ = true;
      break;
    default:
      break;
  }
}

// A recording that the user named is opened with the user's rights and no others.
template <typename Open>
auto EngineProcess::with_journal_rights(Open open) const {
  if (start_.names.keeps_journal) {
    const ActAs as_owner(start_.owner);
    return open();
  }
  const FolderRights rights(start_.names.journal, start_.owner);
  return open();
}

Result<void> EngineProcess::open_journal() {
  const RunNames& names = start_.names;
  RecordingInfo info;
  info.clock = start_.source->clock();
  utsname kernel{};
  ::uname(&kernel);
  info.kernel_release = kernel.release;
  info.slot = kRunSlot;
  info.root_cgroup_id = cgroup_id_;
  info.job_name = start_.options->name;
  CICD_ASSIGN(RecordingWriter journal,
              with_journal_rights([&] { return RecordingWriter::create(names.journal, info); }));
  engine_->set_journal(std::move(journal));
  return {};
}

// Goes on where the engine before this one was killed.
Result<void> EngineProcess::resume(RecordingReader& journal) {
  const auto replayed = engine_->replay(journal);
  // A torn last block was never committed: its samples still are in the rings.
  if (!replayed && replayed.error().code != ErrorCode::kInvalidInput) {
    return std::unexpected(replayed.error());
  }
  // What the engine before read after that was in its outputs only, and they are made anew.
  if (start_.is_journal_lost) return {};
  start_.source->set_positions(journal.positions());
  auto writer = with_journal_rights(
      [&] { return RecordingWriter::resume(start_.names.journal, journal.good_bytes()); });
  if (!writer) return std::unexpected(std::move(writer.error()));
  engine_->set_journal(std::move(*writer));
  return {};
}

// In force when this returns, before the command runs.
Result<void> EngineProcess::enforce() {
  const std::shared_ptr<const JobEgress>& egress = start_.options->egress;
  if (!egress) return {};
  CICD_ASSIGN(EgressControl* const control, start_.source->egress());
  CICD_ASSIGN(guard_, EgressGuard::start(*control));
  return guard_->begin(kRunSlot, egress, start_.is_restart);
}

// What the kernel side has counted, exact whatever became of the events.
void EngineProcess::add_egress(Job::End& end) {
  const auto control = start_.source->egress();
  if (!control) return;
  const std::int64_t offset = start_.source->clock().realtime_offset_ns;
  const std::uint64_t boot_time_ns = realtime_now_ns() - static_cast<std::uint64_t>(offset);
  engine_->add(take_untold(**control, kRunSlot, boot_time_ns));
  add_egress_facts(**control, kRunSlot, end);
  if (!guard_) return;
  add_resolver_facts(guard_->end(kRunSlot), end);
}

Result<void> EngineProcess::open_outputs() {
  CICD_ASSIGN(JobCgroup group, JobCgroup::open(start_.names.cgroup_dir));
  cgroup_ = std::move(group);
  CICD_ASSIGN(Outputs outputs, Outputs::open(*start_.options, start_.names.id, start_.owner));
  outputs_ = std::move(outputs);
  CICD_ASSIGN(TerminationTarget target,
              termination_target(start_.names, *start_.source, kRunSlot, start_.front_pid));
  termination_ = std::make_unique<JobTermination>(
      std::move(target), [this](const TerminationCause& cause) { tell_of_strike(cause); });
  if (start_.termination) termination_->resume(*start_.termination);
  EngineSettings settings;
  settings.job = outputs_->job_options(start_.program);
  settings.job.project->on_terminate = [this](const EventRecord&, const CompiledRule& rule) {
    termination_->hit(rule);
  };
  settings.beat = [beats = start_.heartbeat] { beats.beat(); };
  settings.slot = kRunSlot;
  settings.root_cgroup_id = cgroup_id_;
  settings.root_path = start_.names.cgroup_path;
  settings.proc_reader = make_proc_reader("/proc", step_variables());
  settings.positions = [source = start_.source] { return source->positions(); };
  engine_ = std::make_unique<Engine>(*start_.source, std::move(settings));
  if (command_pid_ != 0) name_command();
  CICD_TRY(enforce());

  if (!start_.is_restart) return open_journal();
  auto journal = with_journal_rights([&] { return RecordingReader::open(start_.names.journal); });
  // An engine that was killed before the command ran has read nothing that is missed.
  const bool is_missed = !journal && start_.command_pid != 0;
  if (is_missed || start_.is_journal_lost) {
    engine_->add_gap({"journal_incomplete", start_.start_time_ns, realtime_now_ns()});
  }
  return journal ? resume(*journal) : open_journal();
}

void EngineProcess::look_at_command() {
  if (is_ended_) return;
  is_ended_ = status_.has_value();
  if (!is_ended_ && link_.is_closed()) {
    // The front is gone: its command tells by itself, or was never let go.
    pollfd ended{command_pidfd_, POLLIN, 0};
    is_ended_ = command_pidfd_ < 0 || (::poll(&ended, 1, 0) == 1);
  }
  if (is_ended_) ended_at_ = steady_clock::now();
}

// A journal that cannot grow (disk full) is of no use; its room is better spent on the outputs.
void EngineProcess::look_at_journal() {
  if (is_journal_dropped_ || !engine_->journal_error()) return;
  Message lost;
  lost.type = MessageType::kJournalLost;
  link_.send(lost);
  if (!start_.names.keeps_journal) remove_file_of(start_.names.journal, start_.owner);
  is_journal_dropped_ = true;
}

// From the worker: the front is to know at once, so that it goes on should this process die.
void EngineProcess::tell_of_strike(const TerminationCause& cause) const {
  Message message;
  message.type = MessageType::kTerminating;
  message.number = static_cast<std::int64_t>(cause.time_ns);
  message.text = cause.ruleset_id;
  message.hint = cause.rule_id;
  link_.send(message);
}

void EngineProcess::say_strike() {
  if (is_strike_said_ || !termination_->is_struck()) return;
  is_strike_said_ = true;
  const TerminationCause cause = termination_->cause();
  progress_.clear();
  print_line("cicd-sensor: the rule " + cause.rule_id + " of " + cause.ruleset_id +
             " fired: ending the job");
}

// Whether what a process does comes through at all; only before the job runs.
void EngineProcess::check_self() {
  if (start_.command_pid != 0) return;
  const auto seen = start_.source->self_check(start_.names.cgroup_dir);
  if (seen) return;
  Message problem;
  problem.type = MessageType::kProblem;
  problem.text = seen.error().text;
  print_line("cicd-sensor: monitoring problem: " + problem.text);
  problems_.push_back(problem.text);
  link_.send(problem);
}

bool EngineProcess::is_over() {
  if (is_aborted_) return true;
  look_at_command();
  if (termination_->is_done()) return is_ended_ || termination_->summary().processes_left > 0;
  if (termination_->is_struck()) return false;
  if (!is_ended_) return false;
  if (is_hurried_ || !cgroup_->is_populated().value_or(false)) return true;
  milliseconds grace = start_.options->grace;
  if (link_.is_closed()) grace = std::min(grace, kLongestOrphanGrace);
  return steady_clock::now() - ended_at_ >= grace;
}

Result<void> EngineProcess::watch() {
  while (!is_over()) {
    const bool is_attentive = is_ended_ || link_.is_closed() || termination_->is_struck();
    CICD_TRY(engine_->step(is_attentive ? kAttentiveWait : kPollWait));
    take_messages(0);
    progress_.show(engine_->progress());
    say_strike();
    look_at_journal();
  }
  return settle();
}

// Everything that was seen gets its rules evaluated; that can end what was left running, and how
// that ends is seen too.
Result<void> EngineProcess::settle() {
  CICD_TRY(engine_->drain(kDrainLimit));
  engine_->settle();
  if (!termination_->is_struck()) return {};
  say_strike();
  while (!termination_->is_done()) CICD_TRY(engine_->step(kAttentiveWait));
  CICD_TRY(engine_->drain(kDrainLimit));
  engine_->settle();
  return {};
}

void EngineProcess::finish() {
  progress_.clear();
  Job::End end;
  end.start_time_ns = start_.start_time_ns;
  end.end_time_ns = realtime_now_ns();
  end.command = start_.options->command;
  const auto status = status_ ? status_ : engine_->command_status();
  end.command_known = status.has_value();
  end.command_status = status ? shell_exit_code(*status) : 0;
  end.finalize_reason = link_.is_closed() ? "sensor_front_lost"
                        : is_interrupted_ ? "interrupted"
                                          : "command_exit";
  end.processes_left = cgroup_->processes().size();
  end.sensor_restarts = start_.gaps.size();
  if (const auto& error = engine_->journal_error(); error && start_.names.keeps_journal) {
    print_error(Error{error->code, error->sys_errno, "the recording is cut short: " + error->text,
                      "what was seen is in the other output files"});
  }
  end.problems = problems_;
  add_egress(end);
  JobSummary summary = engine_->finish(std::move(end));
  if (termination_->is_struck()) {
    termination_->wait();
    summary.set_terminated(termination_->summary());
    if (engine_->activity().escaped > 0 && !is_in_initial_pid_namespace()) {
      summary.problems.emplace_back(
          "processes that left the job's cgroup may live on: in this pid namespace they cannot be "
          "named, so they were not ended");
    }
  }
  outputs_->write(summary);
  Message done;
  done.type = MessageType::kDone;
  done.number = has_struck(summary, start_.options->fail_on) ? 1 : 0;
  link_.send(done);
}

int EngineProcess::clean_up(int exit_code) {
  start_.source->stop_job_hooks();
  start_.source->untrack_slot(kRunSlot);
  const auto removed = remove_run(start_.names, *start_.state, start_.owner);
  return removed ? exit_code : 1;
}

// Nothing was run: leaves nothing.
int EngineProcess::undo(int exit_code) {
  engine_.reset();
  const int result = clean_up(exit_code);
  if (outputs_) outputs_->discard();  // last: the journal was in that folder
  return result;
}

int EngineProcess::run() {
  leave_the_terminal();
  go_first();  // as a session of its own
  if (!wait_for_begin()) return clean_up(0);
  if (const auto woken = start_.source->wake_also(link_.fd()); !woken) print_error(woken.error());
  check_self();
  start_.heartbeat.beat();
  if (auto opened = open_outputs(); !opened) {
    Message failed;
    failed.type = MessageType::kFailed;
    failed.number = static_cast<std::int64_t>(opened.error().code);
    failed.text = opened.error().text;
    failed.hint = opened.error().hint;
    link_.send(failed);
    // The front decides: it may start another one, or give up.
    return start_.is_restart ? 1 : undo(1);
  }
  for (MonitoringGap gap : start_.gaps) {
    if (gap.end_ns == 0) gap.end_ns = realtime_now_ns();
    engine_->add_gap(gap);
  }
  Message ready;
  ready.type = MessageType::kReady;
  link_.send(ready);
  if (const auto watched = watch(); !watched) {
    print_error(watched.error());
    return 1;
  }
  if (is_aborted_) {
    return undo(0);
  }
  finish();
  return clean_up(0);
}

}  // namespace

int run_engine(const EngineStart& start, Link link) {
  EngineProcess process(start, std::move(link));
  return process.run();
}

}  // namespace cicd

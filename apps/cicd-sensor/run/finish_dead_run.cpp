// SPDX-License-Identifier: Apache-2.0
#include "run/finish_dead_run.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/time_format.h"
#include "config/parse.h"
#include "job/spawn.h"
#include "kernel/replay_source.h"
#include "run/engine.h"
#include "run/outputs.h"
#include "run/plan.h"

namespace cicd {

namespace {

constexpr int kLongestMs = 60'000;
constexpr std::string_view kKey = "\"job_key\":\"";

Result<RunOptions> options_of(const RunRecipe& recipe) {
  if (::chdir(recipe.folder.c_str()) != 0) return fail_errno(errno, "go to " + recipe.folder);
  CICD_ASSIGN(const CommandLine line, parse_command_line(sensor_table(), recipe.arguments));
  if (line.command == nullptr || line.command->name != "run") {
    return fail(ErrorCode::kInvalidInput, "it was no run");
  }
  CICD_ASSIGN(RunOptions options, read_run_options(line, recipe.ci_job));
  options.is_quiet = true;
  return options;
}

// The first row in its folder is of this run: none has written there since.
bool is_untouched(const RunOptions& options, const RunNames& names, const CommandUser& owner) {
  const ActAs as_owner(owner);
  const UniqueFd fd(
      ::open((options.output_dir + "/events.jsonl").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  std::string start(4096, '\0');
  const ssize_t got = fd ? ::read(fd.get(), start.data(), start.size()) : -1;
  start.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  const std::string_view first_row = std::string_view(start).substr(0, start.find('\n'));
  // In a job of a CI platform that has keys of its own, behind that one's and a dot.
  const std::string_view key = first_row.substr(std::min(first_row.size(), first_row.find(kKey)));
  return key.substr(0, key.find('"', kKey.size())).ends_with(names.id);
}

Result<std::unique_ptr<ReplaySource>> open_journal(const RunNames& names,
                                                   const CommandUser& owner) {
  const FolderRights rights(names.journal, owner);
  return ReplaySource::open(names.journal);
}

JobSummary replay(ReplaySource& source, JobOptions job, const RunOptions& options,
                  const RunNames& names) {
  EngineSettings settings;
  settings.job = std::move(job);
  settings.slot = source.info().slot;
  settings.root_cgroup_id = source.info().root_cgroup_id;
  settings.root_path = names.cgroup_path;
  Engine engine(source, std::move(settings));
  engine.follow_first_process();
  while (!source.at_end()) {
    // A last block that was cut short was never given out.
    if (!engine.step(std::chrono::milliseconds(0))) break;
  }
  const std::uint64_t last_ns = engine.last_time_ns();
  engine.add_gap({"sensor_killed", last_ns, realtime_now_ns()});
  Job::End end;
  end.finalize_reason = "sensor_killed";
  end.start_time_ns = names.recipe.start_time_ns;
  end.end_time_ns = std::max(last_ns, end.start_time_ns);
  end.command = options.command;
  const auto status = engine.command_status();
  end.command_known = status.has_value();
  end.command_status = status ? shell_exit_code(*status) : 0;
  end.problems = {
      "every process of the sensor was killed: what the job did after that was not seen"};
  return engine.finish(std::move(end));
}

Result<void> finish(const RunNames& names) {
  CICD_ASSIGN(const CommandUser owner,
              invoking_user(names.recipe.owner_uid, names.recipe.owner_gid));
  CICD_ASSIGN(RunOptions options, options_of(names.recipe));
  if (!is_untouched(options, names, owner)) {
    return fail(ErrorCode::kNotFound, "its rows are not there any more");
  }
  CICD_ASSIGN(const auto source, open_journal(names, owner));
  CICD_ASSIGN(const auto program, load_program(options));
  CICD_TRY(load_policy(options));
  CICD_ASSIGN(Outputs outputs, Outputs::open(options, names.id, owner));
  JobSummary summary = replay(*source, outputs.job_options(program), options, names);
  outputs.write(summary);
  return {};
}

}  // namespace

bool finish_dead_run(const RunNames& names) {
  const pid_t pid = ::fork();
  if (pid < 0) return false;
  if (pid == 0) ::_exit(finish(names) ? 0 : 1);
  const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  pollfd ended{pidfd.get(), POLLIN, 0};
  if (!pidfd || ::poll(&ended, 1, kLongestMs) != 1) ::kill(pid, SIGKILL);
  int status = 1;
  ::waitpid(pid, &status, 0);
  return status == 0;
}

}  // namespace cicd

// SPDX-License-Identifier: Apache-2.0
#include "run/replay.h"

#include <chrono>
#include <optional>
#include <utility>

#include "console.h"
#include "exit_codes.h"
#include "job/spawn.h"
#include "kernel/replay_source.h"
#include "run/engine.h"
#include "run/outputs.h"
#include "run/plan.h"
#include "run/progress.h"

namespace cicd {

namespace {

int report(const Error& error, int exit_code) {
  print_error(error);
  return exit_code;
}

// Reads the recording to its end; the answer is the damage that ended it before.
std::optional<Error> read_all(Engine& engine, const ReplaySource& source, ProgressLine& progress) {
  while (!source.at_end()) {
    const auto count = engine.step(std::chrono::milliseconds(0));
    if (!count) return count.error();
    progress.show(engine.progress());
  }
  return std::nullopt;
}

JobSummary end_job(Engine& engine, bool is_damaged) {
  Job::End end;
  end.finalize_reason = is_damaged ? "recording_damaged" : "recording_end";
  end.start_time_ns = engine.first_time_ns();
  end.end_time_ns = engine.last_time_ns();
  end.command = engine.first_command();
  const auto status = engine.command_status();
  end.command_known = status.has_value();
  end.command_status = status ? shell_exit_code(*status) : 0;
  end.processes_left = engine.activity().processes;
  if (is_damaged) end.source_losses.entries.push_back({"recording", "damaged", 1});
  return engine.finish(std::move(end));
}

}  // namespace

int run_replay(const CommandLine& line) {
  auto options = read_replay_options(line);
  if (!options) return report(options.error(), kExitUsage);
  const auto owner = find_owner();
  if (!owner) return report(owner.error(), kExitSensorFailed);
  auto source = [&] {
    const ActAs as_owner(*owner);
    return ReplaySource::open(line.operand);
  }();
  if (!source) {
    Error error = std::move(source.error());
    if (error.hint.empty()) error.hint = "name a file that `cicd-sensor run --record FILE` kept";
    return report(error, kExitUsage);
  }
  const RecordingInfo& info = (*source)->info();
  if (options->name.empty()) options->name = info.job_name;
  const auto program = load_program(*options);
  if (!program) return report(program.error(), exit_code_of(program.error()));
  if (auto loaded = load_policy(*options); !loaded) {
    return report(loaded.error(), exit_code_of(loaded.error()));
  }
  auto outputs = Outputs::open(*options, "replay", *owner);
  if (!outputs) return report(outputs.error(), kExitSensorFailed);

  EngineSettings settings;
  settings.job = outputs->job_options(*program);
  settings.slot = info.slot;
  settings.root_cgroup_id = info.root_cgroup_id;
  Engine engine(**source, std::move(settings));
  engine.follow_first_process();
  ProgressLine progress(!options->is_quiet);
  const std::optional<Error> damage = read_all(engine, **source, progress);
  progress.clear();
  JobSummary summary = end_job(engine, damage.has_value());
  outputs->write(summary);
  if (damage) return report(*damage, kExitFindings);
  return has_struck(summary, options->fail_on) ? kExitRuleStruck : 0;
}

}  // namespace cicd

// SPDX-License-Identifier: Apache-2.0
// `cicd-sensor`: reads the command line by its table and hands over to the command.
#include <nss.h>
#include <sys/auxv.h>

#include <exception>
#include <string>
#include <vector>

#include "agent/agent.h"
#include "base/version.h"
#include "commands/job_command.h"
#include "config/help.h"
#include "config/parse.h"
#include "console.h"
#include "doctor/doctor.h"
#include "exit_codes.h"
#include "job/ci_platform.h"
#include "proxy/proxy_dockerd.h"
#include "run/front.h"
#include "run/plan.h"
#include "run/replay.h"

namespace cicd {

namespace {

int report(const Error& error) {
  print_error(error);
  return exit_code_of(error);
}

int run(const CommandLine& line, const std::vector<std::string>& arguments) {
  auto options = read_run_options(line, job_of_environment(own_environment));
  if (!options) return report(options.error());
  options->arguments = arguments;
  auto plan = plan_run(std::move(*options));
  if (!plan) {
    print_error(plan.error().error);
    return plan.error().exit_code;
  }
  if (const auto allowed = check_capabilities(arguments); !allowed) return report(allowed.error());
  return run_front(*plan);
}

int start_agent(const CommandLine& line) {
  const auto options = read_agent_options(line);
  return options ? run_agent(*options) : report(options.error());
}

int dispatch(const std::vector<std::string>& arguments) {
  const auto line = parse_command_line(sensor_table(), arguments);
  if (!line) return report(line.error());
  switch (line->wanted) {
    case CommandLine::Wanted::kVersion:
      print_out("cicd-sensor " + std::string(version()) + "\n");
      return 0;
    case CommandLine::Wanted::kReferencePage:
      print_out(reference_page(sensor_table()));
      return 0;
    case CommandLine::Wanted::kHelp:
      print_out(line->command != nullptr ? command_help(sensor_table(), *line->command)
                                         : program_help(sensor_table()));
      return 0;
    case CommandLine::Wanted::kCommand:
      break;
  }
  if (line->command->name == "run") return run(*line, arguments);
  if (line->command->name == "replay") return run_replay(*line);
  if (line->command->name == "agent start") return start_agent(*line);
  if (line->command->name == "status") return run_status(*line);
  if (is_job_command(line->command->name)) return run_job_command(*line);
  if (line->command->name == "proxy dockerd") {
    const auto served = run_proxy_dockerd(*line);
    return served ? 0 : report(served.error());
  }
  return run_doctor(line->value("format") == "json", std::string(line->value("btf")),
                    std::string(line->value("socket")));
}

}  // namespace

}  // namespace cicd

int main(int argc, char** argv) {
  // A program without a loader (build/static) has a C library of its own. Users come from files
  // then: modules for others (LDAP, systemd) are of the machine's library, and loading those can
  // crash.
  if (::getauxval(AT_BASE) == 0) {
    for (const char* database : {"passwd", "group", "initgroups"}) {
      ::__nss_configure_lookup(database, "files");
    }
  }
  // Nothing of ours throws; this is for what a library lets through, above all memory that is out.
  try {
    return cicd::dispatch(std::vector<std::string>(argv + 1, argv + argc));
  } catch (const std::exception& error) {
    cicd::print_line(std::string("cicd-sensor: ") + error.what());
    return cicd::kExitSensorFailed;
  }
}

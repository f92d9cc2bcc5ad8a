// SPDX-License-Identifier: Apache-2.0
#include "policy_learn.h"

#include <charconv>
#include <cstdio>

#include "egress/learned_policy.h"
#include "evidence/output_directory.h"
#include "learn_input.h"
#include "path_arguments.h"
#include "report/terminal_text.h"
#include "rule_validate.h"

namespace cicd::ctl {

namespace {

constexpr const char* kCommand = "policy learn";
constexpr std::size_t kMostListed = 20;

constexpr const char* kHelp =
    R"(Usage: cicd-sensorctl policy learn [options] [PATH...]

Writes an egress policy of what the jobs of a project have reached, for review. Each entry has how
many jobs used it, when, and by which program; an address is an entry only where no name was known.
Standard error says which entries few jobs used and whether the last job still added some: when it
adds none any more, the policy is ready to be tried.

Without PATH the jobs are those that `cicd-sensor run --mode learn` has remembered. A PATH is a
folder that a run left, its summary.json, or an events.jsonl; each job is to be named once.

Options:
  --state-dir DIR      Where jobs were remembered (default: /var/lib/cicd-sensor)
  --project NAME       Whose jobs; needed when there are those of several projects
  --min-jobs K         Mark what fewer than K jobs used (default: 3)
  --output FILE        Where the policy goes; - is standard output (default: -)
  -h, --help           This help

Exit codes:
  0  written
  1  there are no jobs, a file is missing or damaged, or the policy cannot be written
  2  wrong usage

Example:
  cicd-sensorctl policy learn --project acme/web --output policy.yaml
)";

struct Options {
  std::string state_dir = "/var/lib/cicd-sensor";
  std::string output = "-";
  std::vector<std::string> paths;
  LearnedPolicyOptions policy;
};

// What is wrong, or nothing.
std::optional<std::string> read_options(const PathArguments& arguments, Options& options) {
  const auto last = [&](const char* flag, std::string& to) {
    const std::vector<std::string>& values = arguments.values_of(flag);
    if (!values.empty()) to = values.back();
  };
  std::string jobs = "3";
  last("--state-dir", options.state_dir);
  last("--output", options.output);
  last("--project", options.policy.project);
  last("--min-jobs", jobs);
  const char* end = jobs.data() + jobs.size();
  const auto [at, error] = std::from_chars(jobs.data(), end, options.policy.min_jobs);
  if (error != std::errc() || at != end || options.policy.min_jobs == 0) {
    return "--min-jobs: \"" + jobs + "\" is no number above 0";
  }
  options.paths = arguments.paths;
  if (!options.paths.empty() && !arguments.values_of("--state-dir").empty()) {
    return "either --state-dir or paths, not both";
  }
  return std::nullopt;
}

int complain(const Error& error) {
  std::fprintf(stderr, "cicd-sensorctl %s: %s\n", kCommand,
               escape_for_terminal(error.text).c_str());
  if (!error.hint.empty()) std::fprintf(stderr, "%s\n", escape_for_terminal(error.hint).c_str());
  return error.code == ErrorCode::kUsage ? kExitUsage : kExitFindings;
}

Result<> write_file(const std::string& path, const std::string& text) {
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == path.npos ? "." : path.substr(0, slash + 1);
  CICD_ASSIGN(const OutputDirectory directory, OutputDirectory::open(folder, {}));
  return directory.replace(slash == path.npos ? path : path.substr(slash + 1), text);
}

// "5 of 34 destinations were used by fewer than 3 jobs:" and their names.
void tell(const Learned& learned, const LearnedPolicyOptions& options) {
  std::size_t rare = 0;
  for (const LearnedDestination& each : learned.destinations) rare += each.jobs < options.min_jobs;
  std::fprintf(stderr, "%s: %llu jobs, %zu destinations\n",
               escape_for_terminal(options.project).c_str(),
               static_cast<unsigned long long>(learned.jobs), learned.destinations.size());
  std::fprintf(stderr, "the last job added %llu new\n",
               static_cast<unsigned long long>(learned.last_new));
  if (rare == 0) return;
  std::fprintf(stderr, "%zu used by fewer than %llu jobs:\n", rare,
               static_cast<unsigned long long>(options.min_jobs));
  std::size_t listed = 0;
  for (const LearnedDestination& each : learned.destinations) {
    if (each.jobs >= options.min_jobs || listed++ >= kMostListed) continue;
    std::fprintf(stderr, "  %s (%llu)%s\n", learned_text(each).c_str(),
                 static_cast<unsigned long long>(each.jobs), each.is_new ? " new" : "");
  }
  if (rare > kMostListed) std::fprintf(stderr, "  and %zu more\n", rare - kMostListed);
}

}  // namespace

int policy_learn(const std::vector<std::string>& words) {
  PathArguments arguments;
  const FlagNames flags{{"--state-dir", "--project", "--min-jobs", "--output"}, {}};
  if (const auto mistake = read_path_arguments(words, arguments, flags)) {
    return usage_error(kCommand, *mistake);
  }
  if (arguments.help) {
    std::fputs(kHelp, stdout);
    return finish_output(kCommand, kExitOk);
  }
  Options options;
  if (const auto mistake = read_options(arguments, options)) return usage_error(kCommand, *mistake);
  const auto input = options.paths.empty()
                         ? learn_from_store(options.state_dir, options.policy.project)
                         : learn_from_files(options.paths, options.policy.project);
  if (!input) return complain(input.error());
  options.policy.project = input->project;
  for (const std::string& warning : input->warnings) {
    std::fprintf(stderr, "%s\n", escape_for_terminal(warning).c_str());
  }
  const std::string text = learned_policy(input->learned, options.policy);
  tell(input->learned, options.policy);
  if (options.output == "-") {
    std::fwrite(text.data(), 1, text.size(), stdout);
    return finish_output(kCommand, kExitOk);
  }
  if (const auto written = write_file(options.output, text); !written) {
    return complain(written.error());
  }
  return kExitOk;
}

}  // namespace cicd::ctl

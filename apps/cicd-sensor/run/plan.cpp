// SPDX-License-Identifier: Apache-2.0
#include "run/plan.h"

#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <random>

#include "base/time_format.h"
#include "console.h"
#include "exit_codes.h"
#include "job/ci_platform.h"
#include "job/command_path.h"
#include "rule/baseline.h"
#include "run/outputs.h"

namespace cicd {

namespace {

std::string make_run_id() {
  constexpr char kHex[] = "0123456789abcdef";
  std::random_device random;
  std::uint32_t bits = random();
  std::string id = std::to_string(::getpid()) + "-";
  for (int i = 0; i < 8; ++i, bits >>= 4) id += kHex[bits & 15];
  return id;
}

std::string absolute(const std::string& path) {
  std::error_code error;
  return std::filesystem::absolute(path, error).lexically_normal().string();
}

RunNames make_names(const RunOptions& options, const CgroupPlace& place) {
  RunNames names;
  names.id = make_run_id();
  names.parent_dir = place.dir;
  names.cgroup_dir = place.dir + "/" + kRunCgroupPrefix + names.id;
  names.cgroup_path = (place.path == "/" ? "" : place.path) + "/" + kRunCgroupPrefix + names.id;
  names.keeps_journal = !options.record_path.empty();
  names.journal =
      absolute(names.keeps_journal ? options.record_path
                                   : options.output_dir + "/.cicd-sensor-" + names.id + ".journal");
  return names;
}

RunRecipe make_recipe(const RunOptions& options, const CommandUser& owner) {
  RunRecipe recipe;
  recipe.arguments = options.arguments;
  std::error_code error;
  recipe.folder = std::filesystem::current_path(error).string();
  if (owner.is_switched) {
    recipe.owner_uid = std::to_string(owner.uid);
    recipe.owner_gid = std::to_string(owner.gid);
  }
  recipe.start_time_ns = realtime_now_ns();
  recipe.ci_job = options.ci_job;
  return recipe;
}

// What can be said of the output folder before it is made. The rest its making says.
Result<void> check_output(const RunOptions& options, const CommandUser& owner) {
  const ActAs as_owner(owner);
  struct stat info{};
  if (::stat(options.output_dir.c_str(), &info) == 0 && !S_ISDIR(info.st_mode)) {
    return fail(ErrorCode::kIo, "--output: " + options.output_dir + " is not a folder",
                "name a folder, or remove that file");
  }
  if (options.record_path.empty()) return {};
  if (::stat(options.record_path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) {
    return fail(ErrorCode::kIo, "--record: " + options.record_path + " is a folder", "name a file");
  }
  return {};
}

Result<std::string> resolve_command(const RunOptions& options, const CommandUser& user) {
  const ActAs as_user(user);
  std::string search_path = own_environment("PATH");
  if (search_path.empty()) search_path = "/usr/local/bin:/usr/bin:/bin";
  return find_command(options.command.front(), search_path);
}

bool is_plain_word(const std::string& word) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=+./:,@%";
  return !word.empty() && word.find_first_not_of(kPlain) == std::string::npos;
}

std::string quoted(const std::string& word) {
  if (is_plain_word(word)) return word;
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

bool has_capability(int capability) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3]{};
  if (::syscall(SYS_capget, &header, sets) != 0) return false;
  return (sets[capability / 32].effective & (1u << (capability % 32))) != 0;
}

void add_rules(LoadedRules& to, LoadedRules from) {
  std::ranges::move(from.rule_sets, std::back_inserter(to.rule_sets));
  std::ranges::move(from.rule_modifiers, std::back_inserter(to.rule_modifiers));
  std::ranges::move(from.diagnostics, std::back_inserter(to.diagnostics));
}

}  // namespace

Result<CommandUser> find_owner() {
  return invoking_user(own_environment("SUDO_UID"), own_environment("SUDO_GID"));
}

Result<std::shared_ptr<const Program>> load_program(const RunOptions& options) {
  LoadedRules rules;
  if (options.has_baseline) add_rules(rules, baseline_rules());
  if (!options.rule_paths.empty()) add_rules(rules, load_rules(options.rule_paths));
  std::vector<Diagnostic>& diagnostics = rules.diagnostics;
  std::shared_ptr<const Program> program;
  if (!has_errors(diagnostics)) {
    CompileOptions compile_options;
    compile_options.scope = RuleScope{
        options.ci_job ? options.ci_job->identity.provider_host : kLocalProviderHost, options.name};
    compile_options.modifiers = std::move(rules.rule_modifiers);
    compile_options.monitor_mode = options.is_monitor_mode;
    CompileResult compiled = compile(rules.rule_sets, compile_options);
    program = std::move(compiled.program);
    std::ranges::move(compiled.diagnostics, std::back_inserter(diagnostics));
  }
  std::size_t errors = 0;
  for (const Diagnostic& diagnostic : diagnostics) {
    const bool is_error = diagnostic.severity == Diagnostic::Severity::kError;
    errors += is_error ? 1 : 0;
    if (is_error || !options.is_quiet) print_line("cicd-sensor: rules: " + diagnostic.format());
  }
  if (errors == 0) return program;
  return fail(
      ErrorCode::kInvalidInput,
      "rules: " + std::to_string(errors) + (errors == 1 ? " mistake" : " mistakes") +
          ", nothing was run",
      "correct them, or run without: --rules names the files, --baseline off leaves ours out");
}

Result<> load_policy(RunOptions& options) {
  if (options.policy_path.empty()) return {};
  const LoadedPolicy loaded = load_policy_file(options.policy_path);
  std::size_t errors = 0;
  for (const Diagnostic& diagnostic : loaded.diagnostics) {
    const bool is_error = diagnostic.severity == Diagnostic::Severity::kError;
    errors += is_error ? 1 : 0;
    if (is_error || !options.is_quiet) print_line("cicd-sensor: policy: " + diagnostic.format());
  }
  if (!loaded.document) {
    return fail(ErrorCode::kInvalidInput,
                "--policy: " + options.policy_path + ": " + std::to_string(errors) +
                    (errors == 1 ? " mistake" : " mistakes") + ", nothing was run",
                "correct the file; cicd-sensorctl policy validate checks it");
  }
  const auto& ci_job = options.ci_job;
  const std::string_view job =
      ci_job ? job_name(ci_job->identity, ci_job->metadata) : std::string_view();
  options.policy = std::make_shared<const EgressPolicy>(
      *loaded.document, PolicySubject{.project = options.name, .job = job});
  if (options.mode != EgressMode::kEnforce) return {};
  auto egress = JobEgress::make({}, {options.policy, options.mode});
  if (!egress) return std::unexpected(std::move(egress.error()).with_context("--policy"));
  options.egress = std::move(*egress);
  return {};
}

Result<void> check_capabilities(const std::vector<std::string>& arguments) {
  if (has_capability(CAP_SYS_ADMIN) || has_capability(CAP_BPF)) return {};
  if (::geteuid() == 0) {
    return fail(ErrorCode::kPermission,
                "watching needs the capabilities CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and "
                "CAP_SYS_ADMIN, which this root has not",
                "in a container: start it with --privileged, or run on the host");
  }
  std::string command = "sudo cicd-sensor";
  for (const std::string& argument : arguments) command += " " + quoted(argument);
  return fail(ErrorCode::kPermission, "watching needs root", command);
}

std::expected<RunPlan, PlanFailure> plan_run(RunOptions options) {
  const auto failed = [](Error& error, int exit_code = 0) {
    const int code = exit_code != 0 ? exit_code : exit_code_of(error);
    return std::unexpected(PlanFailure{std::move(error), code});
  };
  RunPlan plan;
  plan.options = std::move(options);
  auto owner = find_owner();
  if (!owner) return failed(owner.error());
  plan.owner = std::move(*owner);
  plan.command_user = plan.owner;
  if (!plan.options.user.empty()) {
    auto user = user_by_name(plan.options.user);
    if (!user) return failed(user.error());
    plan.command_user = std::move(*user);
  }
  auto program = load_program(plan.options);
  if (!program) return failed(program.error());
  plan.program = std::move(*program);
  if (auto loaded = load_policy(plan.options); !loaded) return failed(loaded.error());
  if (auto output = check_output(plan.options, plan.owner); !output) return failed(output.error());
  auto path = resolve_command(plan.options, plan.command_user);
  if (!path) {
    const bool is_missing = path.error().code == ErrorCode::kNotFound;
    return failed(path.error(), is_missing ? kExitNotFound : kExitNotExecutable);
  }
  plan.command_path = std::move(*path);
  auto place = find_own_cgroup();
  if (!place) return failed(place.error(), kExitSensorFailed);
  plan.place = std::move(*place);
  plan.names = make_names(plan.options, plan.place);
  plan.names.recipe = make_recipe(plan.options, plan.owner);
  return plan;
}

}  // namespace cicd

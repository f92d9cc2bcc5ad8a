// SPDX-License-Identifier: Apache-2.0
#include "commands/job_command.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "console.h"
#include "exit_codes.h"
#include "listener/agent_routes.h"
#include "listener/http_client.h"
#include "listener/job_request.h"
#include "listener/project_request.h"
#include "rule/rule_files.h"

namespace cicd {

namespace {

using nlohmann::json;

std::string flag_of(std::string_view member) {
  std::string flag(member);
  std::ranges::replace(flag, '_', '-');
  return flag;
}

std::string value_of(const CommandLine& line, const Environment& environment,
                     const CiPlatform* platform, std::string_view member) {
  const std::string flag = flag_of(member);
  if (line.has(flag)) return std::string(line.value(flag));
  return platform == nullptr ? std::string() : platform_value(*platform, member, environment);
}

// Prints why when it is not 200.
Result<HttpAnswer> ask(const CommandLine& line, const std::string& route, const std::string& body) {
  CICD_ASSIGN(HttpAnswer answer, http_post(std::string(line.value("socket")), route, body));
  if (answer.status == 200) return answer;
  const json document = json::parse(answer.body, nullptr, false);
  std::string why = answer.body.substr(0, 200);
  if (document.is_object() && document.contains("error") && document["error"].is_string()) {
    why = document["error"].get<std::string>();
  }
  if (answer.status == 404 && !document.is_object()) {
    return fail(ErrorCode::kNotFound, "the agent does not answer " + route,
                "was it started for another --provider?");
  }
  return fail(ErrorCode::kInvalidInput, "the agent refused: " + why);
}

int refused(const Error& error) {
  print_error(error);
  return error.code == ErrorCode::kUsage ? kExitUsage : kExitFindings;
}

}  // namespace

bool is_job_command(std::string_view name) {
  return name.starts_with("host ") || name.starts_with("job ") || name.starts_with("project ");
}

Result<NamedJob> name_job(const CommandLine& line, const Environment& environment) {
  NamedJob job;
  JobIdentity& identity = job.identity;
  const CiPlatform* platform = detect_platform(environment);
  identity.provider = line.value("provider");
  if (identity.provider.empty()) {
    const bool is_github = line.command->name.starts_with("host ") || line.has("github-run-id") ||
                           !environment("GITHUB_RUN_ID").empty();
    identity.provider = is_github ? "github" : platform ? platform->provider : "generic";
  }
  if (platform == nullptr || platform->provider != identity.provider) {
    platform = platform_of(identity.provider);
  }
  for (const IdentityField& field : identity_fields()) {
    if (field.name == "provider") continue;
    identity.*field.member = value_of(line, environment, platform, field.name);
  }
  if (identity.provider_host.empty()) identity.provider_host = "local";
  for (const MetadataField& field : metadata_fields()) {
    job.metadata.*field.member = value_of(line, environment, platform, field.name);
  }
  if (const Result<void> valid = validate(identity); !valid) {
    return fail(ErrorCode::kUsage, valid.error().text,
                valid.error().hint.empty()
                    ? "give it as a flag (" + std::string(line.command->name) + " --help)"
                    : valid.error().hint);
  }
  return job;
}

namespace {

// The text of a file that a flag names; "" without the flag.
Result<std::string> file_of(const CommandLine& line, std::string_view flag) {
  const std::string path(line.value(flag));
  if (path.empty()) return std::string();
  auto text = read_rule_file(path);
  if (!text) return std::unexpected(std::move(text.error()).with_context(path));
  return std::string(without_byte_order_mark(*text));
}

Result<void> start_project(const CommandLine& line, const NamedJob& job) {
  CICD_ASSIGN(const std::string rules, file_of(line, "rules-file"));
  CICD_ASSIGN(const std::string config, file_of(line, "config-file"));
  auto settings = read_project_settings(config);
  if (!settings) {
    return std::unexpected(
        std::move(settings.error()).with_context(std::string(line.value("config-file"))));
  }
  CICD_ASSIGN(settings->egress_policy, file_of(line, "policy"));
  settings->mode = egress_mode_of(line.value("mode")).value_or(EgressMode::kObserve);
  auto body = write_project_request(job.identity, job.metadata, *settings, rules);
  if (!body) {
    return std::unexpected(
        std::move(body.error()).with_context(std::string(line.value("rules-file"))));
  }
  CICD_TRY(ask(line, job_route(job.identity.provider, "project/start"), *body));
  return {};
}

Result<void> write_result(const CommandLine& line, const NamedJob& job) {
  const bool is_projects = line.command->name == "project result";
  const std::string route =
      job_route(job.identity.provider, is_projects ? "project/result" : "job/result");
  CICD_ASSIGN(const HttpAnswer answer, ask(line, route, write_job_request(job.identity, nullptr)));
  const std::string path(line.value("output-file"));
  if (path == "-") {
    print_out(answer.body + "\n");
    return {};
  }
  std::FILE* file = std::fopen(path.c_str(), "wbe");
  if (file == nullptr) return fail_errno(errno, "open " + path);
  const bool is_written =
      std::fwrite(answer.body.data(), 1, answer.body.size(), file) == answer.body.size() &&
      std::fputc('\n', file) != EOF;
  if (std::fclose(file) == 0 && is_written) return {};
  return fail_errno(errno, "write " + path);
}

}  // namespace

int run_job_command(const CommandLine& line) {
  // A result is asked for by name: what it says must not depend on who set which variable.
  const bool is_result = line.command->name.ends_with(" result");
  const auto job =
      name_job(line, is_result ? [](const char*) { return std::string(); } : own_environment);
  if (!job) return refused(job.error());
  if (is_result || line.command->name == "project start") {
    const auto done = is_result ? write_result(line, *job) : start_project(line, *job);
    return done ? 0 : refused(done.error());
  }
  const std::string_view verb = line.command->name.substr(line.command->name.find(' ') + 1);
  const std::string& provider = job->identity.provider;
  if (line.command->name.starts_with("host ") && provider != "github") {
    return refused(Error{ErrorCode::kUsage, 0,
                         "host " + std::string(verb) + " is for GitHub's jobs",
                         "cicd-sensor job " + std::string(verb)});
  }
  const std::string asked = write_job_request(job->identity, nullptr);
  // An end that finds no job would be told as well; that is how a job that was ended early shows.
  if (verb != "start") {
    const auto health = ask(line, job_route(provider, "job/health"), asked);
    if (!health) return refused(health.error());
    if (verb == "health") {
      print_out(health->body + "\n");
      return 0;
    }
  }
  const auto answer = verb == "start" ? ask(line, job_route(provider, "host/start"),
                                            write_job_request(job->identity, &job->metadata))
                                      : ask(line, job_route(provider, "host/end"), asked);
  return answer ? 0 : refused(answer.error());
}

int run_status(const CommandLine& line) {
  const auto answer = ask(line, std::string(kStatusRoute), "{}");
  if (!answer) return refused(answer.error());
  if (line.value("format") == "json") {
    print_out(answer->body + "\n");
    return 0;
  }
  const json status = json::parse(answer->body, nullptr, false);
  if (!status.is_object()) {
    return refused(Error{ErrorCode::kIo, 0, "the agent's answer is no JSON object", ""});
  }
  const auto text = [](const json& object, const char* name) {
    return object.is_object() && object.contains(name) && object[name].is_string()
               ? object[name].get<std::string>()
               : std::string();
  };
  const auto number = [](const json& object, const char* name) {
    return object.is_object() && object.contains(name) && object[name].is_number_unsigned()
               ? object[name].get<std::uint64_t>()
               : 0;
  };
  const json jobs = status.value("jobs", json::array());
  std::string out = "cicd-sensor " + text(status, "version") + ", " + text(status, "provider") +
                    " on " + text(status, "runner_type") + ": " + std::to_string(jobs.size()) +
                    (jobs.size() == 1 ? " job\n" : " jobs\n");
  for (const json& job : jobs) {
    std::string name = text(job, "job_key");
    if (name.empty()) name = text(job, "github_run_id") + text(job, "gitlab_job_id");
    if (!text(job, "github_job").empty()) name += " " + text(job, "github_job");
    out += "  " + text(job, "project_path") + " " + name + ": " +
           std::to_string(number(job, "age_s")) + " s, " + std::to_string(number(job, "events")) +
           " events, " + std::to_string(number(job, "detections")) + " detections, " +
           std::to_string(number(job, "lost")) + " lost\n";
  }
  for (const json& coverage : status.value("coverage", json::array())) {
    if (coverage.is_object() && coverage.contains("available") && coverage["available"] == false) {
      out += "  not watched: " + text(coverage, "type") + "\n";
    }
  }
  print_out(out);
  return 0;
}

}  // namespace cicd

// SPDX-License-Identifier: Apache-2.0
#include "policy_explain.h"

#include <netinet/in.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "egress/policy_explain.h"
#include "path_arguments.h"
#include "report/terminal_text.h"
#include "rule_validate.h"

namespace cicd::ctl {

namespace {

using nlohmann::ordered_json;

constexpr const char* kCommand = "policy explain";

constexpr const char* kHelp =
    R"(Usage: cicd-sensorctl policy explain --policy FILE [options] DESTINATION

Tells why a policy allows or denies a destination: the rule that decides, with file and line, and
the other rules that are for it. Nothing is resolved and nothing is sent.

DESTINATION is HOST:PORT, ADDRESS:PORT or [IPV6]:PORT; without a port, whether the name is resolved
at all, or an address by a protocol without ports.

Options:
  --policy FILE        An egress policy. Given again, the flow must pass all of them, as a job's must
                       pass those of the host and of the project. Required.
  --ip ADDRESS         The address that HOST leads to, so that rules for ranges are looked at, too
  --project PATH       Project of the job (default: none; rules for projects are left out)
  --job NAME           Name of the job (default: none; rules for jobs are left out)
  --step ID            Step of the job (default: none; rules for steps do not hold)
  --proto tcp|udp|icmp Protocol (default: tcp)
  --format text|json   How the outcome is written to stdout (default: text)
  -h, --help           This help

Exit codes:
  0  explained, whether it is allowed or denied (--format json: member allowed)
  1  a policy is not valid
  2  wrong usage

Examples:
  cicd-sensorctl policy explain --policy policy.yaml registry.npmjs.org:443
  cicd-sensorctl policy explain --policy policy.yaml --step publish uploads.example.com:443
  cicd-sensorctl policy explain --policy host.yaml --policy project.yaml 10.0.0.1:22 --format json
)";

std::optional<std::uint8_t> proto_of(const std::string& name) {
  if (name == "tcp") return IPPROTO_TCP;
  if (name == "udp") return IPPROTO_UDP;
  if (name == "icmp") return IPPROTO_ICMP;
  return std::nullopt;
}

// One policy and what it says.
struct Answer {
  std::string file;
  std::unique_ptr<EgressPolicy> policy;
  PolicyExplanation explanation;
};

struct Outcome {
  std::string destination;
  std::string proto;
  bool is_address_known = false;
  std::vector<Answer> answers;

  bool is_allowed() const {
    for (const Answer& answer : answers) {
      if (!answer.explanation.judgement.is_allowed) return false;
    }
    return true;
  }
  bool has_ranges() const {
    for (const Answer& answer : answers) {
      if (!answer.policy->document().trusted_nets.empty()) return true;
      for (const EgressRule* rule : answer.policy->rules()) {
        if (!rule->prefixes.empty()) return true;
      }
    }
    return false;
  }
};

ordered_json json_of(const EgressRule& rule) {
  return {{"rule_id", rule.rule_id},
          {"verdict", rule.is_deny ? "deny" : "allow"},
          {"file", rule.file},
          {"line", rule.line}};
}

void print_json(const Outcome& outcome) {
  ordered_json out = {{"destination", outcome.destination},
                      {"proto", outcome.proto},
                      {"allowed", outcome.is_allowed()},
                      {"policies", ordered_json::array()}};
  for (const Answer& answer : outcome.answers) {
    const PolicyExplanation& explanation = answer.explanation;
    const EgressRule* rule = explanation.judgement.rule;
    ordered_json others = ordered_json::array();
    for (const ConsideredRule& other : explanation.others) {
      others.push_back(json_of(*other.rule));
      others.back()["note"] = other.note;
    }
    out["policies"].push_back({{"file", answer.file},
                               {"version", answer.policy->document().version_digest},
                               {"audit", answer.policy->document().is_audit},
                               {"allowed", explanation.judgement.is_allowed},
                               {"reason", name_of(explanation.judgement.reason)},
                               {"name_refused", explanation.is_name_refused},
                               {"rule", rule != nullptr ? json_of(*rule) : ordered_json()},
                               {"because", explanation.because},
                               {"hint", explanation.hint},
                               {"others", std::move(others)}});
  }
  std::printf("%s\n", out.dump(2, ' ', false, ordered_json::error_handler_t::replace).c_str());
}

bool is_colour_wanted() {
  const char* no_colour = std::getenv("NO_COLOR");
  return ::isatty(STDOUT_FILENO) == 1 && (no_colour == nullptr || no_colour[0] == '\0');
}

std::string verdict_text(bool is_allowed) {
  std::string word = is_allowed ? "allowed" : "denied";
  if (!is_colour_wanted()) return word;
  return (is_allowed ? "\033[32m" : "\033[31m") + word + "\033[0m";
}

void print_answer(const Answer& answer) {
  const PolicyExplanation& explanation = answer.explanation;
  const EgressJudgement& judgement = explanation.judgement;
  std::printf("\npolicy:      %s\n", escape_for_terminal(answer.file).c_str());
  std::printf("verdict:     %s%s%s\n", verdict_text(judgement.is_allowed).c_str(),
              judgement.is_allowed ? "" : ", ",
              judgement.is_allowed ? "" : std::string(name_of(judgement.reason)).c_str());
  std::printf("because:     %s\n", escape_for_terminal(explanation.because).c_str());
  if (explanation.is_name_refused) std::puts("             (the name itself is not resolved)");
  if (!judgement.is_allowed && answer.policy->document().is_audit) {
    std::puts("             (audit: true; it is told and let pass)");
  }
  if (!explanation.hint.empty()) std::printf("would allow: %s\n", explanation.hint.c_str());
  for (const ConsideredRule& other : explanation.others) {
    const std::string place = other.rule->rule_id + " (" + other.rule->file + ":" +
                              std::to_string(other.rule->line) + ")";
    std::printf("other rule:  %s %s: %s\n", other.rule->is_deny ? "deny" : "allow",
                escape_for_terminal(place).c_str(), escape_for_terminal(other.note).c_str());
  }
}

void print_text(const Outcome& outcome) {
  std::printf("destination: %s (%s)\nverdict:     %s\n",
              escape_for_terminal(outcome.destination).c_str(), outcome.proto.c_str(),
              verdict_text(outcome.is_allowed()).c_str());
  if (!outcome.is_address_known && outcome.has_ranges()) {
    std::puts("note:        rules for ranges were not looked at; name the address with --ip");
  }
  for (const Answer& answer : outcome.answers) print_answer(answer);
}

// Of a flag that may stand once.
std::string value_of(const PathArguments& options, const char* flag, const char* standard = "") {
  const auto& values = options.values_of(flag);
  return values.empty() ? standard : values.back();
}

std::optional<Outcome> explain(const PathArguments& options, const PolicyDestination& destination,
                               std::uint8_t proto) {
  const std::string project = value_of(options, "--project");
  const std::string job = value_of(options, "--job");
  const std::string step = value_of(options, "--step");
  const PolicyQuestion question{destination, proto, {project, job}, step};
  Outcome out{
      options.paths[0], value_of(options, "--proto", "tcp"), destination.ip.has_value(), {}};
  bool is_valid = true;
  for (const std::string& file : options.values_of("--policy")) {
    const LoadedPolicy loaded = load_policy_file(file);
    for (const Diagnostic& diagnostic : loaded.diagnostics) {
      if (diagnostic.severity != Diagnostic::Severity::kError) continue;
      std::fprintf(stderr, "%s\n", diagnostic.format().c_str());
    }
    if (loaded.document == nullptr) {
      is_valid = false;
      continue;
    }
    auto policy = std::make_unique<EgressPolicy>(*loaded.document, question.subject);
    PolicyExplanation explanation = explain_policy(*policy, question);
    out.answers.push_back({file, std::move(policy), std::move(explanation)});
  }
  if (!is_valid) return std::nullopt;
  return out;
}

}  // namespace

int policy_explain(const std::vector<std::string>& arguments) {
  PathArguments options;
  const FlagNames flags = {
      .with_value = {"--policy", "--ip", "--project", "--job", "--step", "--proto"}};
  if (const auto mistake = read_path_arguments(arguments, options, flags)) {
    return usage_error(kCommand, *mistake);
  }
  if (options.help) {
    std::fputs(kHelp, stdout);
    return kExitOk;
  }
  if (options.paths.size() != 1) return usage_error(kCommand, "name one DESTINATION");
  if (options.values_of("--policy").empty()) return usage_error(kCommand, "no --policy FILE given");
  auto destination = parse_destination(options.paths[0]);
  if (!destination) return usage_error(kCommand, destination.error().text);
  if (const std::string text = value_of(options, "--ip"); !text.empty()) {
    if (destination->host.empty()) return usage_error(kCommand, "--ip goes with a HOST only");
    destination->ip = parse_ip(text);
    if (!destination->ip) return usage_error(kCommand, "--ip takes an address");
  }
  const auto proto = proto_of(value_of(options, "--proto", "tcp"));
  if (!proto) return usage_error(kCommand, "--proto takes tcp, udp or icmp");
  const bool needs_port = destination->host.empty() && *proto != IPPROTO_ICMP;
  if (needs_port && !destination->port) {
    return usage_error(kCommand, "an address needs a port: ADDRESS:PORT or [IPV6]:PORT");
  }
  const auto outcome = explain(options, *destination, *proto);
  if (!outcome) return kExitFindings;
  options.json ? print_json(*outcome) : print_text(*outcome);
  return finish_output(kCommand, kExitOk);
}

}  // namespace cicd::ctl

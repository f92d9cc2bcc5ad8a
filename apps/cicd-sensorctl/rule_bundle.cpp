// SPDX-License-Identifier: Apache-2.0
#include "rule_bundle.h"

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "path_arguments.h"
#include "report/terminal_text.h"
#include "rule_tools/bundle.h"
#include "rule_validate.h"

namespace cicd::ctl {

namespace {

constexpr const char* kCommand = "rule bundle";

constexpr const char* kHelp =
    R"(Usage: cicd-sensorctl rule bundle --input-dir DIR --output-file FILE [--format text|json]

Puts the rule files of a directory together into one, which fires as the directory does. Everything
is validated first. The .yaml and .yml files directly in DIR are taken as they are, comments too, in
the order of their names: the same files give the same bundle, byte for byte.

Options:
  --input-dir DIR      The directory. Required.
  --output-file FILE   The bundle; written whole or not at all. Not there yet, and not in DIR.
                       Required.
  --format text|json   How the outcome is written to stdout (default: text)
  -h, --help           This help

Exit codes:
  0  written
  1  a rule is wrong, the bundle would be larger than 4 MiB, FILE is there, or a file cannot be
     read or written
  2  wrong usage

Example:
  cicd-sensorctl rule bundle --input-dir rules/ --output-file bundle.yaml

The revision of a rule set, which detections show, is the hash of the file it comes from: of the
bundle, when that is what a sensor is given.
)";

int complain(const Error& error) {
  std::fprintf(stderr, "cicd-sensorctl %s: %s\n", kCommand,
               escape_for_terminal(error.text).c_str());
  if (!error.hint.empty()) std::fprintf(stderr, "%s\n", error.hint.c_str());
  return kExitFindings;
}

// The next bundle could hold this one.
bool would_be_input(const std::string& directory, const std::string& file) {
  const std::filesystem::path path(file);
  const auto parent = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  std::error_code ignored;
  return std::filesystem::equivalent(parent, directory, ignored);
}

void print_text(const Bundle& bundle, const std::string& file) {
  std::printf("%s: files: %zu, rule sets: %zu, rules: %zu, modifiers: %zu, bytes: %zu\n%s\n",
              escape_for_terminal(file).c_str(), bundle.files, bundle.findings.rule_sets,
              bundle.findings.rules, bundle.findings.rule_modifiers, bundle.text.size(),
              bundle.revision.c_str());
}

void print_json(const Bundle& bundle, const std::string& file) {
  nlohmann::ordered_json out;
  out["output_file"] = file;
  out["files"] = bundle.files;
  out["rule_sets"] = bundle.findings.rule_sets;
  out["rules"] = bundle.findings.rules;
  out["rule_modifiers"] = bundle.findings.rule_modifiers;
  out["warnings"] = bundle.findings.warnings;
  out["bytes"] = bundle.text.size();
  out["revision"] = bundle.revision;
  std::printf("%s\n",
              out.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace).c_str());
}

}  // namespace

int rule_bundle(const std::vector<std::string>& arguments) {
  PathArguments options;
  const FlagNames flags = {.with_value = {"--input-dir", "--output-file"}};
  if (const auto mistake = read_path_arguments(arguments, options, flags)) {
    return usage_error(kCommand, *mistake);
  }
  if (options.help) {
    std::fputs(kHelp, stdout);
    return kExitOk;
  }
  const std::vector<std::string>& inputs = options.values_of("--input-dir");
  const std::vector<std::string>& outputs = options.values_of("--output-file");
  if (inputs.size() != 1 || outputs.size() != 1 || !options.paths.empty()) {
    return usage_error(kCommand, "takes one --input-dir and one --output-file");
  }
  if (would_be_input(inputs[0], outputs[0])) {
    return usage_error(kCommand,
                       "the bundle would be one of its own files the next time; put it "
                       "into another directory");
  }
  if (std::error_code ignored; std::filesystem::exists(outputs[0], ignored)) {
    return complain({ErrorCode::kUsage, 0, outputs[0] + " is there already",
                     "remove it, or name another file"});
  }
  auto bundle = make_bundle(inputs[0]);
  if (!bundle) return complain(std::move(bundle).error().with_context(inputs[0]));
  for (const Diagnostic& diagnostic : bundle->findings.diagnostics) {
    std::fprintf(stderr, "%s\n", diagnostic.format().c_str());
  }
  if (bundle->findings.errors > 0) {
    std::fprintf(stderr, "cicd-sensorctl %s: nothing was written: errors: %zu\n", kCommand,
                 bundle->findings.errors);
    return kExitFindings;
  }
  if (const auto written = write_whole_file(outputs[0], bundle->text); !written) {
    return complain(written.error());
  }
  options.json ? print_json(*bundle, outputs[0]) : print_text(*bundle, outputs[0]);
  return finish_output(kCommand, kExitOk);
}

}  // namespace cicd::ctl

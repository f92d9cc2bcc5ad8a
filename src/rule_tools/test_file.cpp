// SPDX-License-Identifier: Apache-2.0
#include "rule_tools/test_file.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "rule/rule_files.h"
#include "rule_tools/rule_names.h"

namespace cicd {

namespace {

using Kind = YamlNode::Kind;
using Wants = TestCase::Wants;

class Reader {
 public:
  Reader(std::string_view text, TestFile& file)
      : file_(file), walk_(text, file.path, file.diagnostics), events_(walk_, file.texts) {}

  void read() {
    const auto documents = walk_.documents();
    if (has_errors(file_.diagnostics)) return;
    if (documents.empty()) return error("the file is empty; it needs rules and tests");
    if (documents.size() > 1) {
      walk_.error(*documents[1], "a test file is one document; put this into a file of its own");
      return;
    }
    read_document(*documents[0]);
    if (has_errors(file_.diagnostics)) return;
    if (file_.rules.empty()) error("no `rules`: name the files whose rules are tested");
    if (file_.tests.empty()) error("no `tests`");
  }

 private:
  void error(std::string text) {
    add_diagnostic(file_.diagnostics,
                   {Diagnostic::Severity::kError, file_.path, 0, 0, "", std::move(text)});
  }

  void read_document(const YamlNode& root) {
    const YamlNode* tests = nullptr;
    const YamlNode* chains = nullptr;
    const YamlNode* process = nullptr;
    for (const YamlWalk::Entry& entry : walk_.entries(root, "a test file")) {
      const std::string& key = entry.key->text;
      if (key == "rules") {
        read_rules(*entry.value);
      } else if (key == "project") {
        read_project(*entry.value);
      } else if (key == "processes") {
        events_.read_processes(*entry.value);
      } else if (key == "chains") {
        chains = entry.value;
      } else if (key == "process") {
        process = entry.value;
      } else if (key == "tests") {
        tests = entry.value;
      } else {
        walk_.unknown_key(*entry.key, "a test file",
                          {"rules", "project", "processes", "chains", "process", "tests"});
      }
    }
    // Whatever order the keys have: names come before their use.
    if (chains != nullptr) events_.read_chains(*chains);
    if (process != nullptr) process_ = events_.read_process(*process).value_or(nullptr);
    if (tests == nullptr) return;
    for (const YamlNode* test : walk_.items(*tests, "tests")) read_test(*test);
  }

  void read_rules(const YamlNode& node) {
    std::vector<const YamlNode*> items = {&node};
    if (node.kind != Kind::kScalar) items = walk_.items(node, "rules");
    for (const YamlNode* item : items) {
      auto name = walk_.text(*item, "rules");
      if (!name || *name == kBaselineName) {
        if (name) file_.rules.push_back(std::move(*name));
        continue;
      }
      const auto folder = std::filesystem::path(file_.path).parent_path();
      file_.rules.push_back((folder / *name).lexically_normal().string());
    }
  }

  void read_project(const YamlNode& node) {
    RuleScope scope;
    for (const YamlWalk::Entry& entry : walk_.entries(node, "project")) {
      const std::string& key = entry.key->text;
      if (key != "provider_host" && key != "path") {
        walk_.unknown_key(*entry.key, "project", {"provider_host", "path"});
        continue;
      }
      (key == "path" ? scope.project_path : scope.provider_host) =
          walk_.text(*entry.value, key).value_or("");
    }
    file_.project = std::move(scope);
  }

  struct TestKeys {
    const YamlNode* rule = nullptr;
    const YamlNode* fires = nullptr;
    const YamlNode* quiet = nullptr;
    const YamlNode* event = nullptr;
    const YamlNode* events = nullptr;
    const YamlNode* expect = nullptr;
    const YamlNode* process = nullptr;
  };

  void read_test(const YamlNode& node) {
    RuleTest test;
    test.place = walk_.place(node);
    TestKeys keys;
    for (const YamlWalk::Entry& entry : walk_.entries(node, "a test")) {
      const std::string& key = entry.key->text;
      const YamlNode** slot = key == "rule"      ? &keys.rule
                              : key == "fires"   ? &keys.fires
                              : key == "quiet"   ? &keys.quiet
                              : key == "event"   ? &keys.event
                              : key == "events"  ? &keys.events
                              : key == "expect"  ? &keys.expect
                              : key == "process" ? &keys.process
                                                 : nullptr;
      if (key == "name") {
        test.name = walk_.text(*entry.value, key).value_or("");
      } else if (slot != nullptr) {
        *slot = entry.value;
      } else {
        walk_.unknown_key(
            *entry.key, "a test",
            {"name", "rule", "fires", "quiet", "event", "events", "expect", "process"});
      }
    }
    if (node.kind != Kind::kMap) return;
    test_process_ = process_;
    if (keys.process != nullptr) {
      test_process_ = events_.read_process(*keys.process).value_or(nullptr);
    }
    read_cases(node, keys, test);
    file_.tests.push_back(std::move(test));
  }

  void read_cases(const YamlNode& node, const TestKeys& keys, RuleTest& test) {
    if (keys.rule != nullptr) {
      if (keys.event != nullptr || keys.events != nullptr || keys.expect != nullptr) {
        return walk_.error(node,
                           "a test has `rule` with `fires` and `quiet`, or `event` (or "
                           "`events`) with `expect`; not both");
      }
      test.rule = read_reference(*keys.rule, "rule");
      if (keys.fires != nullptr) read_list(*keys.fires, Wants::kFires, test);
      if (keys.quiet != nullptr) read_list(*keys.quiet, Wants::kQuiet, test);
      if (test.cases.empty()) walk_.error(node, "the test has no event in `fires` or `quiet`");
      return;
    }
    if (keys.fires != nullptr || keys.quiet != nullptr) {
      return walk_.error(node, "`fires` and `quiet` are about one rule; name it with `rule`");
    }
    if ((keys.event == nullptr) == (keys.events == nullptr) || keys.expect == nullptr) {
      return walk_.error(node,
                         "a test needs `rule` with `fires` and `quiet`, or `event` (or "
                         "`events`) with `expect`");
    }
    TestCase& one = test.cases.emplace_back();
    one.place = test.place;
    if (keys.event != nullptr) {
      add_event(*keys.event, one);
    } else {
      for (const YamlNode* event : walk_.items(*keys.events, "events")) add_event(*event, one);
    }
    for (const YamlNode* rule : walk_.items(*keys.expect, "expect")) {
      if (auto reference = read_reference(*rule, "a rule")) {
        one.expected.push_back(std::move(*reference));
      }
    }
  }

  std::optional<RuleReference> read_reference(const YamlNode& node, std::string_view what) {
    auto name = walk_.text(node, what);
    if (!name) return std::nullopt;
    return RuleReference{std::move(*name), walk_.place(node)};
  }

  // Each item is a case: an event, or {job: [events]}.
  void read_list(const YamlNode& node, Wants wants, RuleTest& test) {
    for (const YamlNode* item : walk_.items(node, wants == Wants::kFires ? "fires" : "quiet")) {
      TestCase one;
      one.wants = wants;
      one.place = walk_.place(*item);
      const YamlNode* job = job_of(*item);
      if (job == nullptr) {
        add_event(*item, one);
      } else {
        for (const YamlNode* event : walk_.items(*job, "job")) add_event(*event, one);
        if (one.events.empty()) walk_.error(*item, "the job has no events");
      }
      if (test.rule) one.expected.push_back(*test.rule);
      test.cases.push_back(std::move(one));
    }
  }

  const YamlNode* job_of(const YamlNode& node) {
    if (node.kind != Kind::kMap || node.items.size() != 2) return nullptr;
    const auto entries = walk_.entries(node, "a job");
    return entries.size() == 1 && entries[0].key->text == "job" ? entries[0].value : nullptr;
  }

  void add_event(const YamlNode& node, TestCase& one) {
    if (walk_.has_given_up()) return;
    auto event = events_.read_event(node, test_process_);
    if (!event) return;
    event_count_ += event->times;
    if (event_count_ > kMaxTestEvents) {
      if (event_count_ - event->times <= kMaxTestEvents) {
        walk_.error(node, "the file has more than " + std::to_string(kMaxTestEvents) +
                              " events, `times` counted; split it");
      }
      return;
    }
    if (!one.events.empty()) {
      const std::uint64_t before_ns = one.events.back().record.time_ns;
      event->record.time_ns = std::max(event->record.time_ns, before_ns);
    }
    one.events.push_back(std::move(*event));
  }

  TestFile& file_;
  YamlWalk walk_;
  TestEventReader events_;
  ProcessRef process_;  // of the file
  ProcessRef test_process_;
  std::uint64_t event_count_ = 0;
};

}  // namespace

std::unique_ptr<TestFile> read_test_text(const std::string& text, const std::string& path) {
  auto file = std::make_unique<TestFile>();
  file->path = path;
  const std::string_view body = without_byte_order_mark(text);
  if (text.size() > kMaxRuleFileBytes) {
    add_diagnostic(file->diagnostics,
                   {Diagnostic::Severity::kError, path, 0, 0, "", kRuleFileTooLarge});
  } else if (const std::size_t broken = find_broken_utf8(body); broken != std::string::npos) {
    const LineIndex::Position at = LineIndex(body).at(broken);
    add_diagnostic(file->diagnostics,
                   {Diagnostic::Severity::kError, path, at.line, at.column, "", kRuleFileNotUtf8});
  } else {
    Reader(body, *file).read();
  }
  return file;
}

std::unique_ptr<TestFile> read_test_file(const std::string& path) {
  const Result<std::string> text = read_rule_file(path);
  if (text) return read_test_text(*text, path);
  auto file = std::make_unique<TestFile>();
  file->path = path;
  file->diagnostics.push_back({Diagnostic::Severity::kError, path, 0, 0, "", text.error().text});
  return file;
}

std::vector<std::string> find_test_files(const std::vector<std::string>& paths,
                                         std::vector<Diagnostic>& diagnostics) {
  std::vector<std::string> out;
  const auto error = [&](const std::string& path, std::string text) {
    add_diagnostic(diagnostics, {Diagnostic::Severity::kError, path, 0, 0, "", std::move(text)});
  };
  for (const std::string& path : paths) {
    struct stat status = {};
    if (::stat(path.c_str(), &status) != 0) {
      error(path, fail_errno(errno, "cannot open").error().text);
    } else if (!S_ISDIR(status.st_mode)) {
      out.push_back(path);
    } else {
      const auto files = list_rule_files(path);
      if (!files) {
        error(path, files.error().text);
      } else if (files->empty()) {
        // Not a warning: a folder of tests that moved must not pass for tested.
        error(path, "the directory has no .yaml or .yml file (directories below it are not read)");
      } else {
        out.insert(out.end(), files->begin(), files->end());
      }
    }
  }
  return out;
}

}  // namespace cicd

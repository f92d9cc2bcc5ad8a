// SPDX-License-Identifier: Apache-2.0
// Random conditions and random events that meet often, for tests that compare two ways of
// evaluating. Tests only; one thread.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "rule/checked.h"
#include "rule/test_events.h"

namespace cicd::test {

// Long ones become a matcher, short ones are asked pattern by pattern, and a few stay lists.
inline const NamedLists kLists = {{"one", {"/a", "B", ""}},
                                  {"long", {"c", "/a", "", "B", "/b/c"}},
                                  {"none", {}},
                                  {"names", {"ab", "/ab", "b/a", "/a/b", "\xc3\x89", "bb/", "/B"}},
                                  {"ends", {".a", "/ab.b", ".a", "b", "ab/ab"}}};

// Conditions and events from a small world, so that they meet often.
class Maker {
 public:
  explicit Maker(std::uint32_t seed) : random_(seed) {}

  std::string condition(int depth) {
    if (depth == 0) return leaf();
    switch (pick(8)) {
      case 0:
        return "!(" + condition(depth - 1) + ")";
      case 1:
      case 2:
        return "(" + condition(depth - 1) + " && " + condition(depth - 1) + ")";
      case 3:
      case 4:
        return "(" + condition(depth - 1) + " || " + condition(depth - 1) + ")";
      case 5:
        return "((" + condition(depth - 1) + ") " + any({"==", "!=", "<", ">="}) + " (" +
               condition(depth - 1) + "))";
      default:
        return exists(depth);
    }
  }

  Event event() {
    std::vector<Program> chain;
    for (int i = pick(4); i >= 0; --i) {
      std::vector<std::string> argv;
      for (int j = pick(3); j > 0; --j) argv.push_back(word());
      chain.push_back({word(), argv});
    }
    if (pick(3) == 0) return connect(any({"10.0.0.1", "::1", "b"}), pick(3), chain);
    return open(word(), chain, pick(2) == 0);
  }

  int pick(int count) { return std::uniform_int_distribution<int>(0, count - 1)(random_); }

 private:
  std::string any(const std::vector<std::string>& choices) {
    return choices[static_cast<std::size_t>(pick(static_cast<int>(choices.size())))];
  }
  std::string word() { return any({"/a", "/A", "b", "/a/b", "ab", "", "\xc3\x89", "e\xcc\x81"}); }

  std::string text() {
    if (!strings_.empty() && pick(2) == 0) return any(strings_);
    if (!processes_.empty() && pick(2) == 0) return any(processes_) + ".exec_path";
    return pick(3) == 0 ? "process.exec_path" : pick(2) == 0 ? field_ : "\"" + word() + "\"";
  }

  std::string leaf() {
    switch (pick(6)) {
      case 0:
        return flag_;
      case 1:
        return number_ + any({" == ", " != ", " < ", " <= ", " > ", " >= "}) +
               any({"0", "1", "-1"});
      case 2:
        return "inIpRange(" + text() + ", \"" + any({"10.0.0.0/8", "::/0", "0.0.0.0/0"}) + "\")";
      case 3:
        return text() + any({" == ", " != ", " < ", " >= "}) + text();
      default:
        return text() + any({".startsWith(", ".endsWith(", ".contains("}) + text() + ")";
    }
  }

  std::string exists(int depth) {
    if (strings_.size() + processes_.size() >= static_cast<std::size_t>(kMaxExistsDepth)) {
      return leaf();
    }
    const std::string variable = any({"x", "y", "z"}) + std::to_string(depth);
    std::vector<std::string> lists = {"process.argv", "list.one", "list.long", "list.none"};
    for (const std::string& process : processes_) lists.push_back(process + ".argv");
    std::vector<std::string> chains = {"process.ancestors"};
    for (const std::string& process : processes_) chains.push_back(process + ".descendants");
    const bool of_text = pick(2) == 0;
    const std::string list = any(of_text ? lists : chains);
    std::vector<std::string>& names = of_text ? strings_ : processes_;
    names.push_back(variable);
    const std::string body = condition(depth - 1);
    names.pop_back();
    return list + ".exists(" + variable + ", " + body + ")";
  }

 public:
  void use(EventType type) {
    const bool open = type == EventType::kFileOpen;
    field_ = open ? "path" : "remote_ip";
    flag_ = open ? "is_read" : "remote_port == 2";
    number_ = open ? "flags" : "remote_port";
  }

 private:
  std::mt19937 random_;
  std::vector<std::string> strings_;  // variables in scope
  std::vector<std::string> processes_;
  std::string field_, flag_, number_;
};

}  // namespace cicd::test

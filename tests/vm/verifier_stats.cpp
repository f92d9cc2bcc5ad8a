// SPDX-License-Identifier: Apache-2.0
// What the verifier of the running kernel says to each kernel program of an object: a line for each
// with instructions and states, or why it is refused. With --log PROGRAM, the whole log of that
// one.
//
// Usage: verifier_stats HOOKS.o HOOKS_OLD.o      (the one that the sensor takes on this kernel)
//        verifier_stats --log PROGRAM HOOKS.o
// Output: program, "ok" | "refused" | "absent" (this kernel has nothing to attach it to),
// instructions, states, peak of states, text; tabs between.
//
// Nothing is attached. All programs are loaded at once, and those behind one that is refused again,
// until the rest loads: libbpf reads the types of the whole kernel for each load. Threads: one.
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "kernel/hook_catalogue.h"

namespace {

constexpr std::size_t kWholeLogBytes = 16u << 20;
constexpr std::size_t kLogBytes = 1u << 20;  // of the statistics alone
constexpr std::uint32_t kRingBytes = 1u << 20;
constexpr std::uint32_t kStatistics = 4;  // log levels of the verifier
constexpr std::uint32_t kReason = 1;
constexpr std::uint32_t kEverything = 2;
// enum bpf_attach_type of kernels since 6.7; libbpf may be older.
constexpr int kCgroupUnixConnect = 49;
constexpr int kCgroupUnixSendmsg = 50;

std::string libbpf_text;

int keep_text(libbpf_print_level level, const char* format, va_list arguments) {
  if (level == LIBBPF_DEBUG) return 0;
  char line[4096];
  const int length = std::vsnprintf(line, sizeof(line), format, arguments);
  if (length > 0) libbpf_text += line;
  return 0;
}

struct Closer {
  void operator()(bpf_object* object) const { ::bpf_object__close(object); }
};
using Object = std::unique_ptr<bpf_object, Closer>;

struct Statistics {
  std::string outcome = "refused";
  unsigned long instructions = 0, states = 0, peak_states = 0;
  std::string text;
};

// A libbpf older than the hook does not know it by its section.
void name_new_hooks(bpf_program* program) {
  if (::bpf_program__type(program) != BPF_PROG_TYPE_UNSPEC) return;
  const std::string_view section = ::bpf_program__section_name(program);
  const int type = section == "cgroup/connect_unix" ? kCgroupUnixConnect : kCgroupUnixSendmsg;
  ::bpf_program__set_type(program, BPF_PROG_TYPE_CGROUP_SOCK_ADDR);
  ::bpf_program__set_expected_attach_type(program, static_cast<bpf_attach_type>(type));
}

// A program at a kernel function is told which by the loader.
void set_function(bpf_program* program) {
  for (const cicd::HookInfo& hook : cicd::hooks()) {
    if (hook.program != ::bpf_program__name(program)) continue;
    if (hook.attach != cicd::AttachKind::kTrampoline) continue;
    for (const std::string_view function : hook.functions) {
      if (::bpf_program__set_attach_target(program, 0, std::string(function).c_str()) == 0) return;
    }
  }
}

std::string last_line(const std::string& text) {
  const std::size_t end = text.find_last_not_of('\n');
  if (end == std::string::npos) return {};
  const std::size_t begin = text.rfind('\n', end);
  std::string line = text.substr(begin == std::string::npos ? 0 : begin + 1, end - begin);
  for (char& c : line) {
    if (c == '\t' || c == '\n') c = ' ';
  }
  return line;
}

Statistics parse(const std::string& log, bool is_loaded) {
  Statistics out;
  const std::size_t at = log.rfind("processed ");
  if (at != std::string::npos) {
    std::sscanf(log.c_str() + at,
                "processed %lu insns (limit %*d) max_states_per_insn %*u total_states %lu "
                "peak_states %lu",
                &out.instructions, &out.states, &out.peak_states);
  }
  if (is_loaded && out.instructions > 0) out.outcome = "ok";
  return out;
}

using Logs = std::map<std::string, std::string>;

// Loads those of `names` together. Returns the name of the one that is refused, "" when all went.
std::string load(const char* path, const std::set<std::string>& names, std::uint32_t level,
                 Logs& logs) {
  libbpf_text.clear();
  Object object(::bpf_object__open_file(path, nullptr));
  if (!object) return *names.begin();
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object.get()) {
    if (::bpf_map__type(map) == BPF_MAP_TYPE_RINGBUF) ::bpf_map__set_max_entries(map, kRingBytes);
  }
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object.get()) {
    const char* name = ::bpf_program__name(program);
    const bool is_wanted = names.contains(name);
    ::bpf_program__set_autoload(program, is_wanted);
    name_new_hooks(program);
    if (!is_wanted) continue;
    set_function(program);
    std::string& log = logs[name];
    log.assign(level == kStatistics ? kLogBytes : kWholeLogBytes, '\0');
    ::bpf_program__set_log_level(program, level);
    ::bpf_program__set_log_buf(program, log.data(), log.size());
  }
  const int error = ::bpf_object__load(object.get());
  for (const std::string& name : names) logs[name].resize(std::strlen(logs[name].c_str()));
  if (error == 0) return {};
  // "libbpf: prog 'NAME': ..." is the last that it says of the one it stopped at.
  constexpr std::string_view kMark = "prog '";
  const std::size_t at = libbpf_text.rfind(kMark);
  if (at == std::string::npos) return *names.begin();
  const std::size_t begin = at + kMark.size();
  const std::string name = libbpf_text.substr(begin, libbpf_text.find('\'', begin) - begin);
  return names.contains(name) ? name : *names.begin();
}

// The line before the sums, or what libbpf said when the kernel was not asked.
Statistics refusal(const char* path, const std::string& name) {
  Logs logs;
  load(path, {name}, kReason, logs);
  std::string log = logs[name];
  Statistics out = parse(log, false);
  log.resize(std::min(log.size(), log.rfind("processed ")));
  if (log.empty()) {
    // The verifier has not come into it: what the program attaches to is not there.
    out.outcome = "absent";
    log = libbpf_text.substr(0, libbpf_text.rfind("libbpf: failed to load object"));
  }
  out.text = last_line(log);
  return out;
}

std::set<std::string> programs_of(const char* path) {
  std::set<std::string> names;
  Object object(::bpf_object__open_file(path, nullptr));
  bpf_program* program = nullptr;
  if (!object) return names;
  bpf_object__for_each_program(program, object.get()) names.insert(::bpf_program__name(program));
  return names;
}

int print_log(const char* path, const std::string& name) {
  Logs logs;
  const bool is_loaded = load(path, {name}, kEverything | kStatistics, logs).empty();
  std::printf("%s%s\n", logs[name].c_str(), libbpf_text.c_str());
  return is_loaded ? 0 : 1;
}

int print_statistics(const char* path) {
  const std::set<std::string> all = programs_of(path);
  if (all.empty()) {
    std::fprintf(stderr, "verifier_stats: no programs in %s\n", path);
    return 1;
  }
  std::set<std::string> rest = all;
  Logs logs;
  std::map<std::string, Statistics> seen;
  while (!rest.empty()) {
    const std::string refused = load(path, rest, kStatistics, logs);
    if (refused.empty()) break;
    // Those that came before it are loaded and measured.
    std::erase_if(rest, [&](const std::string& name) {
      const Statistics each = parse(logs[name], name != refused);
      if (each.outcome == "ok") seen[name] = each;
      return each.outcome == "ok";
    });
    seen[refused] = refusal(path, refused);
    rest.erase(refused);
  }
  for (const std::string& name : rest) seen[name] = parse(logs[name], true);
  for (const auto& [name, each] : seen) {
    std::printf("%s\t%s\t%lu\t%lu\t%lu\t%s\n", name.c_str(), each.outcome.c_str(),
                each.instructions, each.states, each.peak_states, each.text.c_str());
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
  ::setrlimit(RLIMIT_MEMLOCK, &unlimited);
  ::libbpf_set_print(keep_text);
  if (argc == 4 && std::string_view(argv[1]) == "--log") return print_log(argv[3], argv[2]);
  if (argc == 3) {
    const bool has_loop =
        ::libbpf_probe_bpf_helper(BPF_PROG_TYPE_TRACEPOINT, BPF_FUNC_loop, nullptr) == 1;
    return print_statistics(argv[has_loop ? 1 : 2]);
  }
  std::fprintf(
      stderr, "usage: verifier_stats HOOKS.o HOOKS_OLD.o | verifier_stats --log PROGRAM HOOKS.o\n");
  return 2;
}

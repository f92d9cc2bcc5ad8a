// SPDX-License-Identifier: Apache-2.0
// What the verifier of the running kernel says to each kernel program: a line for each with
// instructions and states, or why it refuses it. With --log PROGRAM, the whole log of that one.
//
// Usage: verifier_stats OBJECT.bpf.o...   |   verifier_stats --log PROGRAM OBJECT.bpf.o
// Output: object, program, "ok" | "absent" | "refused", instructions, states, peak of states, text.
// "absent": what the program attaches to is not in this kernel.
//
// Each program is loaded by itself, with maps of its own; nothing is attached. Threads: one.
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <sys/resource.h>

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr std::size_t kLogBytes = 16u << 20;
constexpr std::uint32_t kRingBytes = 1u << 20;
constexpr std::uint32_t kStatistics = 4;  // log levels of the verifier
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

std::string last_line(const std::string& text) {
  const std::size_t end = text.find_last_not_of("\n");
  if (end == std::string::npos) return {};
  const std::size_t begin = text.rfind('\n', end);
  std::string line = text.substr(begin == std::string::npos ? 0 : begin + 1, end - begin);
  for (char& c : line) {
    if (c == '\t' || c == '\n') c = ' ';
  }
  return line;
}

Statistics parse(const std::vector<char>& log, int error) {
  Statistics out;
  const char* line = std::strstr(log.data(), "processed ");
  for (const char* next = line; next != nullptr; next = std::strstr(next + 1, "processed ")) {
    line = next;
  }
  unsigned per_instruction = 0;
  const bool is_told =
      line != nullptr &&
      std::sscanf(line, "processed %lu insns (limit %*d) max_states_per_insn %u total_states %lu "
                        "peak_states %lu",
                  &out.instructions, &per_instruction, &out.states, &out.peak_states) == 4;
  if (error == 0 && is_told) {
    out.outcome = "ok";
    return out;
  }
  const bool is_absent = libbpf_text.find("not found in kernel") != std::string::npos ||
                         libbpf_text.find("failed to find kernel BTF type ID") != std::string::npos;
  if (is_absent) out.outcome = "absent";
  std::string kernel_text(log.data(), line != nullptr ? static_cast<std::size_t>(line - log.data())
                                                      : std::strlen(log.data()));
  out.text = last_line(kernel_text.empty() || is_absent ? libbpf_text : kernel_text);
  return out;
}

// Loads `name` alone; `log` is left with what the verifier said.
Statistics load(const char* path, const std::string& name, std::uint32_t level,
                std::vector<char>& log) {
  libbpf_text.clear();
  log.assign(kLogBytes, '\0');
  Object object(::bpf_object__open_file(path, nullptr));
  if (!object) return {.text = "cannot be opened"};
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object.get()) {
    if (::bpf_map__type(map) == BPF_MAP_TYPE_RINGBUF) ::bpf_map__set_max_entries(map, kRingBytes);
  }
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object.get()) {
    const bool is_wanted = name == ::bpf_program__name(program);
    ::bpf_program__set_autoload(program, is_wanted);
    if (!is_wanted) continue;
    name_new_hooks(program);
    ::bpf_program__set_log_level(program, level);
    ::bpf_program__set_log_buf(program, log.data(), log.size());
  }
  return parse(log, ::bpf_object__load(object.get()));
}

std::vector<std::string> programs_of(const char* path) {
  std::vector<std::string> names;
  Object object(::bpf_object__open_file(path, nullptr));
  bpf_program* program = nullptr;
  if (object) {
    bpf_object__for_each_program(program, object.get())
        names.emplace_back(::bpf_program__name(program));
  }
  return names;
}

}  // namespace

int main(int argc, char** argv) {
  const rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
  ::setrlimit(RLIMIT_MEMLOCK, &unlimited);
  ::libbpf_set_print(keep_text);
  std::vector<char> log;
  if (argc == 4 && std::string_view(argv[1]) == "--log") {
    const Statistics seen = load(argv[3], argv[2], kEverything | kStatistics, log);
    std::printf("%s%s\n%s %s\n", log.data(), libbpf_text.c_str(), seen.outcome.c_str(),
                seen.text.c_str());
    return seen.outcome == "ok" ? 0 : 1;
  }
  if (argc < 2) {
    std::fprintf(stderr, "usage: verifier_stats [--log PROGRAM] OBJECT.bpf.o...\n");
    return 2;
  }
  for (int i = 1; i < argc; ++i) {
    std::string object(argv[i]);
    object = object.substr(object.rfind('/') + 1);
    object = object.substr(0, object.find('.'));
    for (const std::string& name : programs_of(argv[i])) {
      const Statistics seen = load(argv[i], name, kStatistics, log);
      std::printf("%s\t%s\t%s\t%lu\t%lu\t%lu\t%s\n", object.c_str(), name.c_str(),
                  seen.outcome.c_str(), seen.instructions, seen.states, seen.peak_states,
                  seen.text.c_str());
      std::fflush(stdout);
    }
  }
  return 0;
}

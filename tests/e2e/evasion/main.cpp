// SPDX-License-Identifier: Apache-2.0
// evasion_acts: does what evasion_test.py asks for.
//
//   evasion_acts all FOLDER PORT ID...           each act in a process of its own; prints "ID CODE"
//   evasion_acts case-NNN ID FOLDER PORT         one act; FOLDER is that of the act
//
// The sensor shows arguments up to 12 bytes: "case-NNN" tells whose events they are.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>

#include "acts.h"

namespace cicd::evasion {

namespace {

constexpr unsigned kActSeconds = 20;

const Act* find_act(std::string_view id) {
  for (const auto acts : {compat_acts(), exec_acts(), file_acts(), mount_acts(), network_acts(),
                          outside_acts(), process_acts(), uring_acts()}) {
    const auto found = std::ranges::find(acts, id, &Act::id);
    if (found != acts.end()) return &*found;
  }
  return nullptr;
}

int run_one(const char* id, const Place& place) {
  const Act* act = find_act(id);
  if (act == nullptr) {
    std::fprintf(stderr, "evasion_acts: no act '%s'\n", id);
    return 2;
  }
  return act->run(place);
}

int run_all(const char* self, const std::string& folder, const char* port,
            std::span<char* const> ids) {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    char number[16];
    std::snprintf(number, sizeof(number), "case-%03zu", i);
    const pid_t pid = fork();
    if (pid < 0) return fail("fork");
    if (pid == 0) {
      alarm(kActSeconds);
      execl(self, self, number, ids[i], (folder + "/" + ids[i]).c_str(), port, nullptr);
      _exit(126);
    }
    std::printf("%s %d\n", ids[i], wait_for(pid));
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace

}  // namespace cicd::evasion

int main(int argc, char** argv) {
  using namespace cicd::evasion;  // NOLINT(google-build-using-namespace)
  const std::span<char* const> arguments(argv, static_cast<std::size_t>(argc));
  if (argc > 4 && std::string_view(argv[1]) == "all") {
    return run_all(argv[0], argv[2], argv[3], arguments.subspan(4));
  }
  if (argc == 5) {
    const auto port = static_cast<std::uint16_t>(std::strtoul(argv[4], nullptr, 10));
    return run_one(argv[2], Place{argv[3], argv[0], port, arguments});
  }
  std::fprintf(stderr, "usage: evasion_acts all FOLDER PORT ID... | case-NNN ID FOLDER PORT\n");
  return 2;
}

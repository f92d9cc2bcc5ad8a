// SPDX-License-Identifier: Apache-2.0
// A library that acts in whatever program it is preloaded into.
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>

namespace {

__attribute__((constructor)) void act() {
  const char* path = std::getenv("EVASION_SECRET");
  if (path == nullptr) return;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) _exit(1);
  close(fd);
}

}  // namespace

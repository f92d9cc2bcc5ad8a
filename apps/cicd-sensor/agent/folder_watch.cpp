// SPDX-License-Identifier: Apache-2.0
#include "agent/folder_watch.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstddef>

namespace cicd {

FolderWatch::~FolderWatch() {
  if (!stop_) return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(stop_.get(), &one, sizeof(one));
  worker_.join();
}

Result<void> FolderWatch::watch(const std::string& folder) {
  const bool is_first = !stop_;
  if (is_first) {
    inotify_ = UniqueFd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!inotify_) return fail_errno(errno, "inotify_init1");
    stop_ = UniqueFd(::eventfd(0, EFD_CLOEXEC));
    if (!stop_) return fail_errno(errno, "eventfd");
    worker_.start("cicd-folders", [this] { run(); });
  }
  if (::inotify_add_watch(inotify_.get(), folder.c_str(), IN_CREATE | IN_ONLYDIR) < 0) {
    return fail_errno(errno, "watch the folder " + folder);
  }
  return {};
}

void FolderWatch::run() const {
  alignas(inotify_event) char buffer[16 * (sizeof(inotify_event) + NAME_MAX + 1)];
  for (;;) {
    pollfd ready[] = {{inotify_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    if (::poll(ready, 2, -1) < 0 && errno != EINTR) return;
    if (ready[1].revents != 0) return;
    const ssize_t size = ::read(inotify_.get(), buffer, sizeof(buffer));
    for (ssize_t at = 0; at < size;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
      if ((event->mask & IN_ISDIR) != 0 && event->len > 0) on_new_(event->name);
    }
  }
}

}  // namespace cicd

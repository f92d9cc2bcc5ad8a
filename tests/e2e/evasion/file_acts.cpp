// SPDX-License-Identifier: Apache-2.0
// Ways to name and open a file.
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "acts.h"

namespace cicd::evasion {

namespace {

int relative_path(const Place& place) {
  if (chdir(place.folder.c_str()) != 0) return fail("chdir");
  return open_secret("secret");
}

int dotdot_path(const Place& place) { return open_secret(place.at("sub/./..//sub/../secret")); }

int symlink_file(const Place& place) {
  if (symlink("secret", place.at("alias").c_str()) != 0) return fail("symlink");
  return open_secret(place.at("alias"));
}

int symlink_directory(const Place& place) {
  if (symlink(place.folder.c_str(), place.at("alias").c_str()) != 0) return fail("symlink");
  return open_secret(place.at("alias/secret"));
}

int rename_before_open(const Place& place) {
  if (rename(place.secret().c_str(), place.at("harmless").c_str()) != 0) return fail("rename");
  return open_secret(place.at("harmless"));
}

int rename_after_open(const Place& place) {
  const UniqueFd fd(open(place.secret().c_str(), O_RDONLY | O_CLOEXEC));
  if (rename(place.secret().c_str(), place.at("harmless").c_str()) != 0) return fail("rename");
  return read_secret(fd.get());
}

int hard_link(const Place& place) {
  if (link(place.secret().c_str(), place.at("harmless").c_str()) != 0) return fail("link");
  return open_secret(place.at("harmless"));
}

int unlinked_file(const Place& place) {
  const UniqueFd fd(open(place.secret().c_str(), O_RDONLY | O_CLOEXEC));
  if (unlink(place.secret().c_str()) != 0) return fail("unlink");
  return open_secret("/proc/self/fd/" + std::to_string(fd.get()));
}

int proc_self_root(const Place& place) { return open_secret("/proc/self/root" + place.secret()); }

int proc_self_cwd(const Place& place) {
  if (chdir(place.folder.c_str()) != 0) return fail("chdir");
  return open_secret("/proc/self/cwd/secret");
}

int fd_reopen(const Place& place, int how) {
  const UniqueFd fd(open(place.secret().c_str(), how | O_CLOEXEC));
  if (!fd) return fail("open");
  return open_secret("/dev/fd/" + std::to_string(fd.get()));
}
int proc_fd_reopen(const Place& place) { return fd_reopen(place, O_WRONLY); }
int o_path_reopen(const Place& place) { return fd_reopen(place, O_PATH); }

int openat2_with(const Place& place, const char* name, std::uint64_t resolve) {
  const UniqueFd folder(open(place.folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  open_how how{};
  how.flags = O_RDONLY | O_CLOEXEC;
  how.resolve = resolve;
  const UniqueFd fd(static_cast<int>(syscall(SYS_openat2, folder.get(), name, &how, sizeof(how))));
  return fd ? read_secret(fd.get()) : fail("openat2");
}
int openat2_beneath(const Place& p) { return openat2_with(p, "sub/../secret", RESOLVE_BENEATH); }
int openat2_in_root(const Place& p) { return openat2_with(p, "/../secret", RESOLVE_IN_ROOT); }
int openat2_no_xdev(const Place& p) { return openat2_with(p, "secret", RESOLVE_NO_XDEV); }
int openat2_no_symlinks(const Place& p) { return openat2_with(p, "secret", RESOLVE_NO_SYMLINKS); }
int openat2_no_magiclinks(const Place& p) {
  return openat2_with(p, "secret", RESOLVE_NO_MAGICLINKS);
}
int openat2_cached(const Place& place) {
  struct stat status{};
  if (stat(place.secret().c_str(), &status) != 0) return fail("stat");
  return openat2_with(place, "secret", RESOLVE_CACHED);
}

int open_by_handle(const Place& place) {
  constexpr unsigned kBytes = 128;
  alignas(file_handle) char memory[sizeof(file_handle) + kBytes];
  auto* handle = reinterpret_cast<file_handle*>(memory);
  handle->handle_bytes = kBytes;
  int mount_id = 0;
  if (name_to_handle_at(AT_FDCWD, place.secret().c_str(), handle, &mount_id, 0) != 0) {
    return cannot("name_to_handle_at");
  }
  const UniqueFd mount(open(place.folder.c_str(), O_RDONLY | O_CLOEXEC));
  const UniqueFd fd(open_by_handle_at(mount.get(), handle, O_RDONLY | O_CLOEXEC));
  return fd ? read_secret(fd.get()) : fail("open_by_handle_at");
}

int open_renamed_to(const Place& place, const std::string& name) {
  if (rename(place.secret().c_str(), place.at(name).c_str()) != 0) return fail("rename");
  return open_secret(place.at(name));
}
int name_newline(const Place& place) { return open_renamed_to(place, "a\nb\r\x1b[2K"); }
int name_quotes(const Place& place) { return open_renamed_to(place, "\"},\\\"{'`$(x)"); }
int name_invalid_utf8(const Place& place) {
  return open_renamed_to(place, "\xff\xc3(\xed\xa0\x80");
}

// Goes down `depth` folders with names of `length` bytes and opens a file there.
int open_down_below(const Place& place, int depth, std::size_t length) {
  const std::string name(length, 'd');
  if (chdir(place.folder.c_str()) != 0) return fail("chdir");
  for (int i = 0; i < depth; ++i) {
    if (mkdir(name.c_str(), 0755) != 0 || chdir(name.c_str()) != 0) return fail("mkdir");
  }
  if (!write_file("leaf", "secret of the depth")) return fail("write");
  return open_secret("leaf");
}
int long_path(const Place& place) { return open_down_below(place, 30, 200); }
int deep_path(const Place& place) { return open_down_below(place, 250, 1); }

int mmap_read(const Place& place) {
  const UniqueFd fd(open(place.secret().c_str(), O_RDONLY | O_CLOEXEC));
  void* memory = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (memory == MAP_FAILED) return fail("mmap");
  return is_secret(static_cast<const char*>(memory)) ? kDone : kFailed;
}

int copy_calls(const Place& place) {
  const UniqueFd in(open(place.secret().c_str(), O_RDONLY | O_CLOEXEC));
  const UniqueFd out(open(place.at("copy").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  int ends[2];
  if (!in || !out || pipe2(ends, O_CLOEXEC) != 0) return fail("open");
  const UniqueFd from(ends[0]);
  const UniqueFd to(ends[1]);
  off_t start = 0;
  if (copy_file_range(in.get(), &start, out.get(), nullptr, 10, 0) != 10) {
    return fail("copy_file_range");
  }
  start = 0;
  if (sendfile(out.get(), in.get(), &start, 10) != 10) return fail("sendfile");
  start = 0;
  if (splice(in.get(), &start, to.get(), nullptr, 10, 0) != 10) return fail("splice");
  return read_secret(from.get());
}

int shell_builtin_read(const Place& place) {
  return run_program("/bin/sh", {"sh", "-c", "read x < \"$0\" && [ -n \"$x\" ]", place.secret()});
}

// No open at all.
int file_attributes(const Place& place) {
  const std::string path = place.secret();
  struct stat status{};
  if (stat(path.c_str(), &status) != 0 || access(path.c_str(), R_OK) != 0) return fail("stat");
  if (chmod(path.c_str(), 0777) != 0 || chown(path.c_str(), 1, 1) != 0) return fail("chmod");
  const timespec times[2] = {};
  if (utimensat(AT_FDCWD, path.c_str(), times, 0) != 0) return fail("utimensat");
  if (setxattr(path.c_str(), "user.evasion", "1", 1, 0) != 0) return fail("setxattr");
  return mknod(place.at("fifo").c_str(), S_IFIFO | 0600, 0) == 0 ? kDone : fail("mknod");
}

int truncate_path(const Place& place) {
  struct stat status{};
  if (truncate(place.secret().c_str(), 0) != 0) return fail("truncate");
  if (stat(place.secret().c_str(), &status) != 0 || status.st_size != 0) return fail("stat");
  return kDone;
}

int remove_through_link(const Place& place) {
  if (symlink(place.folder.c_str(), place.at("alias").c_str()) != 0) return fail("symlink");
  if (unlink(place.at("alias/secret").c_str()) != 0) return fail("unlink");
  return access(place.secret().c_str(), F_OK) != 0 ? kDone : kFailed;
}

// Another thread puts a harmless file in the place of the descriptor that open is about to return.
int fd_swap_race(const Place& place) {
  constexpr int kRounds = 3000;
  constexpr int kTarget = 100;
  const UniqueFd decoy(open(place.at("sub").c_str(), O_PATH | O_CLOEXEC));
  // Everything below kTarget is taken, so that open returns kTarget.
  while (true) {
    const int fd = dup(decoy.get());
    if (fd < 0) return fail("dup");
    if (fd < kTarget) continue;
    close(fd);
    break;
  }
  std::atomic<bool> is_over = false;
  std::thread swapper([&] {
    while (!is_over) dup2(decoy.get(), kTarget);
  });
  int opened = 0;
  for (int i = 0; i < kRounds; ++i) {
    close(kTarget);
    const int fd = open(place.secret().c_str(), O_RDONLY);
    if (fd < 0) continue;
    ++opened;
    if (fd != kTarget) close(fd);
  }
  is_over = true;
  swapper.join();
  // The test counts rows: it must know how many opens there were.
  return write_file(place.at("opened"), std::to_string(opened)) ? kDone : fail("write");
}

constexpr Act kActs[] = {
    {"relative-path", relative_path},
    {"dotdot-path", dotdot_path},
    {"symlink-file", symlink_file},
    {"symlink-directory", symlink_directory},
    {"rename-before-open", rename_before_open},
    {"rename-after-open", rename_after_open},
    {"hard-link", hard_link},
    {"unlinked-file", unlinked_file},
    {"proc-self-root", proc_self_root},
    {"proc-self-cwd", proc_self_cwd},
    {"proc-fd-reopen", proc_fd_reopen},
    {"o-path-reopen", o_path_reopen},
    {"openat2-beneath", openat2_beneath},
    {"openat2-in-root", openat2_in_root},
    {"openat2-no-xdev", openat2_no_xdev},
    {"openat2-no-symlinks", openat2_no_symlinks},
    {"openat2-no-magiclinks", openat2_no_magiclinks},
    {"openat2-cached", openat2_cached},
    {"open-by-handle", open_by_handle},
    {"name-newline", name_newline},
    {"name-quotes", name_quotes},
    {"name-invalid-utf8", name_invalid_utf8},
    {"long-path", long_path},
    {"deep-path", deep_path},
    {"mmap-read", mmap_read},
    {"copy-calls", copy_calls},
    {"shell-builtin-read", shell_builtin_read},
    {"file-attributes", file_attributes},
    {"truncate-path", truncate_path},
    {"remove-through-link", remove_through_link},
    {"fd-swap-race", fd_swap_race},
};

}  // namespace

std::span<const Act> file_acts() { return kActs; }

}  // namespace cicd::evasion

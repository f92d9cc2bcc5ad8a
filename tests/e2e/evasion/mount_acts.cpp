// SPDX-License-Identifier: Apache-2.0
// Other views of the tree of files. All in mount namespaces of their own: nothing leaks out.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>

#include "acts.h"

namespace cicd::evasion {

namespace {

// A mount namespace of our own that gives nothing back.
bool leave_mounts() {
  return unshare(CLONE_NEWNS) == 0 &&
         mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

bool bind_at(const std::string& from, const std::string& to) {
  return mount(from.c_str(), to.c_str(), nullptr, MS_BIND, nullptr) == 0;
}

int bind_mount(const Place& place) {
  if (!write_file(place.at("harmless"), "") || !leave_mounts()) return fail("unshare");
  if (!bind_at(place.secret(), place.at("harmless"))) return fail("mount");
  return open_secret(place.at("harmless"));
}

int chroot_open(const Place& place) {
  if (chroot(place.folder.c_str()) != 0 || chdir("/") != 0) return fail("chroot");
  return open_secret("/secret");
}

// A folder that was open before leads out of the new root.
int chroot_outside(const Place& place) {
  const UniqueFd folder(open(place.folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (chroot(place.at("sub").c_str()) != 0 || chdir("/") != 0) return fail("chroot");
  const UniqueFd fd(openat(folder.get(), "secret", O_RDONLY | O_CLOEXEC));
  return fd ? read_secret(fd.get()) : fail("openat");
}

// A program of a copy of the system's folder that hangs nowhere.
int detached_exec(const Place&) {
  constexpr unsigned kOpenTreeClone = 1;
  if (!leave_mounts()) return fail("unshare");
  const UniqueFd tree(
      static_cast<int>(syscall(SYS_open_tree, AT_FDCWD, "/usr/bin", kOpenTreeClone | O_CLOEXEC)));
  if (!tree) return fail("open_tree");
  char name[] = "true";
  char* const argv[] = {name, nullptr};
  syscall(SYS_execveat, tree.get(), "true", argv, environ, 0);
  return fail("execveat");
}

int pivot_root_open(const Place& place) {
  if (!leave_mounts() || !bind_at(place.folder, place.folder)) return fail("mount");
  if (chdir(place.folder.c_str()) != 0) return fail("chdir");
  if (syscall(SYS_pivot_root, ".", "sub") != 0) return fail("pivot_root");
  if (chdir("/") != 0 || umount2("/sub", MNT_DETACH) != 0) return fail("umount");
  return open_secret("/secret");
}

int overlay_mount(const Place& place) {
  // Upper and work folders on a file system that can have them, whatever lies under the test.
  const std::string merged = place.at("sub");
  if (!leave_mounts() || mkdir(place.at("ram").c_str(), 0755) != 0) return fail("unshare");
  if (mount("none", place.at("ram").c_str(), "tmpfs", 0, nullptr) != 0) return fail("tmpfs");
  const std::string upper = place.at("ram/upper");
  const std::string work = place.at("ram/work");
  if (mkdir(upper.c_str(), 0755) != 0 || mkdir(work.c_str(), 0755) != 0) return fail("mkdir");
  const std::string options =
      "lowerdir=" + place.folder + ",upperdir=" + upper + ",workdir=" + work;
  if (mount("overlay", merged.c_str(), "overlay", 0, options.c_str()) != 0)
    return cannot("overlay");
  return open_secret(merged + "/secret");
}

// A copy of the mount that hangs nowhere: its files have no path above it.
int detached_mount(const Place& place) {
  constexpr unsigned kOpenTreeClone = 1;
  if (!leave_mounts()) return fail("unshare");
  const UniqueFd tree(static_cast<int>(
      syscall(SYS_open_tree, AT_FDCWD, place.folder.c_str(), kOpenTreeClone | O_CLOEXEC)));
  if (!tree) return fail("open_tree");
  const UniqueFd fd(openat(tree.get(), "secret", O_RDONLY | O_CLOEXEC));
  return fd ? read_secret(fd.get()) : fail("openat");
}

int lazy_unmount(const Place& place) {
  const std::string sub = place.at("sub");
  if (!leave_mounts() || !bind_at(place.folder, sub)) return fail("mount");
  const UniqueFd folder(open(sub.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (umount2(sub.c_str(), MNT_DETACH) != 0) return fail("umount");
  const UniqueFd fd(openat(folder.get(), "secret", O_RDONLY | O_CLOEXEC));
  return fd ? read_secret(fd.get()) : fail("openat");
}

int user_namespace(const Place& place) {
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID) != 0) return fail("unshare");
  return in_child([&] {
    if (getpid() != 1) return fail("getpid");
    const int opened = open_secret(place.secret());
    return opened != kDone ? opened : in_child([] { return run_program("/bin/true", {"true"}); });
  });
}

int setns_mount(const Place& place) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return fail("pipe");
  const pid_t other = fork();
  if (other == 0) {
    const bool is_ready = leave_mounts() && bind_at(place.folder, place.at("sub"));
    if (write(ends[1], is_ready ? "1" : "0", 1) != 1) _exit(1);
    pause();
    _exit(0);
  }
  char ready = '0';
  const bool is_ready = read(ends[0], &ready, 1) == 1 && ready == '1';
  const std::string path = "/proc/" + std::to_string(other) + "/ns/mnt";
  const UniqueFd space(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  int code = kFailed;
  if (is_ready && setns(space.get(), CLONE_NEWNS) == 0) code = open_secret(place.at("sub/secret"));
  kill(other, SIGKILL);
  wait_for(other);
  return code;
}

constexpr Act kActs[] = {
    {"bind-mount", bind_mount},         {"chroot", chroot_open},
    {"pivot-root", pivot_root_open},    {"overlay-mount", overlay_mount},
    {"chroot-outside", chroot_outside}, {"detached-exec", detached_exec},
    {"detached-mount", detached_mount}, {"lazy-unmount", lazy_unmount},
    {"user-namespace", user_namespace}, {"setns-mount", setns_mount},
};

}  // namespace

std::span<const Act> mount_acts() { return kActs; }

}  // namespace cicd::evasion

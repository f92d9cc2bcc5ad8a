// SPDX-License-Identifier: Apache-2.0
#include "job/job_cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>

#include "base/function_ref.h"

namespace cicd {

namespace {

constexpr int kMaxDepth = 128;    // of cgroups that a job made below its own
constexpr int kMoveRounds = 200;  // against a job that forks while it is moved
constexpr long kCgroup2Magic = 0x63677270;

constexpr std::string_view kNoCgroup2Hint =
    "mount it: sudo mkdir -p /sys/fs/cgroup/unified && "
    "sudo mount -t cgroup2 none /sys/fs/cgroup/unified";

std::string_view take_field(std::string_view& line) {
  const std::size_t space = line.find(' ');
  const std::string_view field = line.substr(0, space);
  line.remove_prefix(space == std::string_view::npos ? line.size() : space + 1);
  return field;
}

// mountinfo writes blanks and backslashes as \ooo.
std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    int value = 0;
    if (text[i] == '\\' && i + 3 < text.size() &&
        std::from_chars(&text[i + 1], &text[i + 1] + 3, value, 8).ptr == &text[i + 1] + 3) {
      out += static_cast<char>(value);
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

// One line of mountinfo, when it is a mount of cgroup2 that shows `path`.
bool place_in_mount(std::string_view line, const std::string& path, CgroupPlace& place) {
  for (int i = 0; i < 3; ++i) take_field(line);
  const std::string root = unescape(take_field(line));
  const std::string mount_point = unescape(take_field(line));
  const std::size_t dash = line.find(" - ");
  if (dash == std::string_view::npos) return false;
  line.remove_prefix(dash + 3);
  if (take_field(line) != "cgroup2") return false;
  const std::string shown = root == "/" ? "" : root;
  const bool is_below =
      path.starts_with(shown) && (path.size() == shown.size() || path[shown.size()] == '/');
  if (!is_below) return false;
  std::string rest = path.substr(shown.size());
  if (rest == "/") rest.clear();
  place = {mount_point, path, (mount_point == "/" ? "" : mount_point) + rest};
  return true;
}

Result<std::string> read_all(int dir_fd, const char* name) {
  UniqueFd fd(::openat(dir_fd, name, O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno(errno, name);
  std::string text;
  char buffer[4096];
  for (;;) {
    const ssize_t got = ::read(fd.get(), buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(errno, name);
    if (got == 0) return text;
    text.append(buffer, static_cast<std::size_t>(got));
  }
}

bool write_word(int dir_fd, const char* name, char word) {
  const UniqueFd fd(::openat(dir_fd, name, O_WRONLY | O_CLOEXEC));
  return fd && ::write(fd.get(), &word, 1) == 1;
}

using DirectoryVisit = FunctionRef<void(int parent_fd, const char* name)>;

void for_each_child(int dir_fd, DirectoryVisit visit) {
  const int copy = ::openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (copy < 0) return;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::fdopendir(copy), ::closedir);
  if (!dir) {
    ::close(copy);
    return;
  }
  while (const dirent* entry = ::readdir(dir.get())) {
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.') visit(dir_fd, entry->d_name);
  }
}

UniqueFd open_child(int parent_fd, const char* name) {
  return UniqueFd(::openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

void collect_processes(int dir_fd, int depth, std::vector<pid_t>& out) {
  if (const auto text = read_all(dir_fd, "cgroup.procs")) {
    const char* at = text->data();
    const char* const end = at + text->size();
    while (at < end) {
      pid_t pid = 0;
      at = std::find(std::from_chars(at, end, pid).ptr, end, '\n');
      if (at < end) ++at;
      out.push_back(pid);
    }
  }
  if (depth >= kMaxDepth) return;
  for_each_child(dir_fd, [&](int parent_fd, const char* name) {
    const UniqueFd child = open_child(parent_fd, name);
    if (child) collect_processes(child.get(), depth + 1, out);
  });
}

void remove_children(int dir_fd, int depth) {
  if (depth >= kMaxDepth) return;
  for_each_child(dir_fd, [&](int parent_fd, const char* name) {
    {
      const UniqueFd child = open_child(parent_fd, name);
      if (child) remove_children(child.get(), depth + 1);
    }
    ::unlinkat(parent_fd, name, AT_REMOVEDIR);
  });
}

}  // namespace

Result<std::vector<CgroupPlace>> locate_cgroup(std::string_view mountinfo,
                                               std::string_view cgroup) {
  std::string path;
  bool has_v2 = false;
  while (!cgroup.empty()) {
    const std::size_t newline = cgroup.find('\n');
    const std::string_view line = cgroup.substr(0, newline);
    if (line.starts_with("0::/")) {
      path = line.substr(3);
      has_v2 = true;
    }
    cgroup.remove_prefix(newline == std::string_view::npos ? cgroup.size() : newline + 1);
  }
  if (!has_v2) {
    return fail(ErrorCode::kUnsupported, "this kernel runs without cgroup v2",
                std::string(kNoCgroup2Hint));
  }
  if (path.starts_with("/../")) {
    return fail(ErrorCode::kUnsupported,
                "this process is outside of its cgroup namespace (" + path + ")",
                "start it in a shell that was started inside the container");
  }
  std::vector<CgroupPlace> places;
  while (!mountinfo.empty()) {
    const std::size_t newline = mountinfo.find('\n');
    CgroupPlace place;
    // A later mount can cover an earlier one.
    if (place_in_mount(mountinfo.substr(0, newline), path, place)) {
      places.insert(places.begin(), std::move(place));
    }
    mountinfo.remove_prefix(newline == std::string_view::npos ? mountinfo.size() : newline + 1);
  }
  if (places.empty()) {
    return fail(ErrorCode::kUnsupported, "cgroup v2 is not mounted", std::string(kNoCgroup2Hint));
  }
  return places;
}

Result<CgroupPlace> find_own_cgroup() { return find_cgroup_of(::getpid()); }

Result<CgroupPlace> find_cgroup_of(pid_t pid) {
  CICD_ASSIGN(const std::string mountinfo, read_all(AT_FDCWD, "/proc/self/mountinfo"));
  const std::string file = "/proc/" + std::to_string(pid) + "/cgroup";
  CICD_ASSIGN(const std::string cgroup, read_all(AT_FDCWD, file.c_str()));
  CICD_ASSIGN(auto places, locate_cgroup(mountinfo, cgroup));
  for (CgroupPlace& place : places) {
    struct statfs fs{};
    // A mount that another one covers fails this.
    if (::statfs(place.dir.c_str(), &fs) == 0 && fs.f_type == kCgroup2Magic) return place;
  }
  return fail(ErrorCode::kUnsupported,
              "cgroup v2 is mounted but " + places.front().dir + " is not reachable",
              std::string(kNoCgroup2Hint));
}

Result<JobCgroup> JobCgroup::create(const CgroupPlace& parent, const std::string& name) {
  const std::string dir = parent.dir + "/" + name;
  if (::mkdir(dir.c_str(), 0755) != 0) {
    const int error = errno;
    std::string hint = "the caller must be allowed to write to " + parent.dir;
    if (error == EROFS) hint = "remount it writable: mount -o remount,rw " + parent.mount_point;
    auto failure = fail_errno(error, "make the job's cgroup " + dir);
    return std::unexpected(std::move(failure.error()).with_hint(hint));
  }
  return open(dir);
}

Result<JobCgroup> JobCgroup::open(const std::string& dir) {
  JobCgroup group;
  group.dir_ = dir;
  group.fd_.reset(::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!group.fd_) return fail_errno(errno, "open cgroup " + dir);
  struct stat info{};
  struct statfs fs{};
  if (::fstat(group.fd_.get(), &info) != 0 || ::fstatfs(group.fd_.get(), &fs) != 0) {
    return fail_errno(errno, "look at cgroup " + dir);
  }
  if (fs.f_type != kCgroup2Magic) {
    return fail(ErrorCode::kInvalidInput, dir + " is not a v2 cgroup");
  }
  group.id_ = info.st_ino;
  group.events_.reset(::openat(group.fd_.get(), "cgroup.events", O_RDONLY | O_CLOEXEC));
  const bool has_none = !group.events_ && (errno == ENOENT || errno == ENODEV);
  if (!group.events_ && !has_none) return fail_errno(errno, "open cgroup.events of " + dir);
  return group;
}

// One call of the kernel: an agent asks it of each of its jobs every second.
Result<bool> JobCgroup::is_populated() const {
  if (!events_) return false;
  char text[128];
  const ssize_t size = ::pread(events_.get(), text, sizeof(text), 0);
  // A removed cgroup has no files any more.
  if (size < 0 && errno == ENODEV) return false;
  if (size < 0) return fail_errno(errno, "read cgroup.events of " + dir_);
  const std::string_view events(text, static_cast<std::size_t>(size));
  return events.find("populated 1") != std::string_view::npos;
}

std::vector<pid_t> JobCgroup::processes() const {
  std::vector<pid_t> pids;
  collect_processes(fd_.get(), 0, pids);
  std::ranges::sort(pids);
  const auto repeated = std::ranges::unique(pids);
  pids.erase(repeated.begin(), repeated.end());
  return pids;
}

Result<std::size_t> JobCgroup::move_processes_to(const std::string& dir) const {
  UniqueFd target(::open((dir + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
  if (!target) return fail_errno(errno, "open " + dir + "/cgroup.procs");
  std::size_t moved = 0;
  int last_error = 0;
  for (int round = 0; round < kMoveRounds; ++round) {
    const std::vector<pid_t> pids = processes();
    bool any = false;
    for (const pid_t pid : pids) {
      if (pid == 0) continue;
      const std::string text = std::to_string(pid);
      if (::write(target.get(), text.data(), text.size()) > 0) {
        ++moved;
        any = true;
      } else if (errno != ESRCH) {
        last_error = errno;
      }
    }
    if (!any) break;
  }
  CICD_ASSIGN(const bool is_left, is_populated());
  if (is_left && last_error != 0) return fail_errno(last_error, "move processes to " + dir);
  if (is_left) return fail(ErrorCode::kResource, "processes keep appearing in " + dir_);
  return moved;
}

bool JobCgroup::freeze(bool is_frozen) const {
  return write_word(fd_.get(), "cgroup.freeze", is_frozen ? '1' : '0');
}

bool JobCgroup::is_frozen() const {
  const auto text = read_all(fd_.get(), "cgroup.freeze");
  return text && text->starts_with("1");
}

bool JobCgroup::kill() const { return write_word(fd_.get(), "cgroup.kill", '1'); }

Result<void> JobCgroup::remove() const {
  remove_children(fd_.get(), 0);
  if (::rmdir(dir_.c_str()) != 0 && errno != ENOENT) {
    return fail_errno(errno, "remove cgroup " + dir_);
  }
  return {};
}

}  // namespace cicd

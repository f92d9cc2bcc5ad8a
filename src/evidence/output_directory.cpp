// SPDX-License-Identifier: Apache-2.0
#include "evidence/output_directory.h"

#include <fcntl.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

namespace cicd {

namespace {

// The calling thread touches files with the owner's rights while this lives. Leaving fsuid 0 takes
// the file capabilities of root away and coming back restores them (capabilities(7)).
class OwnerRights {
 public:
  OwnerRights(FileOwner owner, bool enabled) : enabled_(enabled) {
    if (!enabled_) return;
    old_gid_ = ::setfsgid(static_cast<gid_t>(owner.gid >= 0 ? owner.gid : -1));
    old_uid_ = ::setfsuid(static_cast<uid_t>(owner.uid));
  }
  ~OwnerRights() {
    if (!enabled_) return;
    ::setfsuid(static_cast<uid_t>(old_uid_));
    ::setfsgid(static_cast<gid_t>(old_gid_));
  }
  OwnerRights(const OwnerRights&) = delete;
  OwnerRights& operator=(const OwnerRights&) = delete;

 private:
  bool enabled_;
  int old_uid_ = 0;
  int old_gid_ = 0;
};

bool is_refusal(int sys_errno) {
  return sys_errno == EACCES || sys_errno == EPERM || sys_errno == EROFS;
}

// "x/" and "x/." would make O_NOFOLLOW follow a link x.
std::string without_tail(std::string path) {
  while (path.size() > 1 && (path.ends_with('/') || path.ends_with("/."))) path.pop_back();
  return path;
}

// 0 or errno.
int make_directories(const std::string& path) {
  std::size_t at = 0;
  while (true) {
    at = path.find('/', at + 1);
    const std::string part = path.substr(0, at);
    if (::mkdir(part.c_str(), 0755) != 0 && errno != EEXIST) {
      // A parent that may not be written but is there is no obstacle.
      struct stat info;
      if (!is_refusal(errno) || ::stat(part.c_str(), &info) != 0) return errno;
    }
    if (at == std::string::npos) return 0;
  }
}

// 0 or errno. By trying: faccessat() knows nothing of filesystem ids.
int may_create_in(int directory) {
  static constexpr char kProbe[] = ".cicd-sensor.probe";
  ::unlinkat(directory, kProbe, 0);
  const UniqueFd fd(::openat(directory, kProbe, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return errno;
  ::unlinkat(directory, kProbe, 0);
  return 0;
}

std::unexpected<Error> open_error(int sys_errno, const std::string& path) {
  const std::string what = "output directory " + path;
  Error error = fail_errno(sys_errno, what).error();
  switch (sys_errno) {
    case EEXIST:
    case ENOTDIR:
      error.text = what + " (or a part of it) is not a directory";
      error.hint = "name a directory, or remove the file";
      break;
    case EACCES:
    case EPERM:
    case EROFS:
      error.hint = "name a directory that may be written with --output";
      break;
    case ENOSPC:
    case EDQUOT:
      error.hint = "free some space, or name a directory on another disk with --output";
      break;
    case ELOOP:
      error.text = what + " is a symbolic link that its owner may not follow";
      error.hint = "name the directory itself";
      break;
    default:
      error.hint = "name another directory with --output";
      break;
  }
  return std::unexpected(std::move(error));
}

std::unexpected<Error> file_error(int sys_errno, const std::string& path) {
  Error error = fail_errno(sys_errno, "write " + path).error();
  if (sys_errno == ENOSPC || sys_errno == EDQUOT || sys_errno == EFBIG) {
    error.code = ErrorCode::kResource;
    error.hint = "free some space, or name a directory on another disk with --output";
  } else if (sys_errno == EISDIR) {
    error.hint = "a directory stands where the file is to be: remove it";
  } else {
    error.hint = "name a directory that may be written with --output";
  }
  return std::unexpected(std::move(error));
}

}  // namespace

int write_all(int fd, std::string_view bytes, std::uint64_t offset, std::size_t& written) {
  written = 0;
  while (written < bytes.size()) {
    const ssize_t n = ::pwrite(fd, bytes.data() + written, bytes.size() - written,
                               static_cast<off_t>(offset + written));
    if (n > 0) {
      written += static_cast<std::size_t>(n);
    } else if (n == 0) {
      return ENOSPC;
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

Result<OutputDirectory> OutputDirectory::open(const std::string& path, FileOwner owner) {
  if (path.empty()) {
    return fail(ErrorCode::kUsage, "output directory: the name is empty",
                "name a directory with --output");
  }
  OutputDirectory directory;
  directory.path_ = without_tail(path);
  directory.owner_ = owner;
  const bool is_root = ::geteuid() == 0;
  const bool can_switch = is_root && owner.uid > 0;
  int sys_errno = EACCES;
  for (bool with_owner_rights : {true, false}) {
    if (with_owner_rights && !can_switch) continue;
    const OwnerRights rights(owner, with_owner_rights);
    sys_errno = make_directories(directory.path_);
    if (sys_errno != 0 && is_refusal(sys_errno)) continue;
    if (sys_errno != 0) break;
    // With our own rights in a place that is another's: not through a link.
    const int no_follow = can_switch && !with_owner_rights ? O_NOFOLLOW : 0;
    directory.fd_.reset(
        ::open(directory.path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | no_follow));
    sys_errno = directory.fd_ ? may_create_in(directory.fd_.get()) : errno;
    directory.with_owner_rights_ = with_owner_rights;
    if (sys_errno == 0) return directory;
    if (!is_refusal(sys_errno)) break;
  }
  return open_error(sys_errno, path);
}

Result<UniqueFd> OutputDirectory::create_once(const std::string& name) const {
  // Unlink and make: an old file of that name may be a link, a pipe or another user's.
  if (::unlinkat(fd_.get(), name.c_str(), 0) != 0 && errno != ENOENT) {
    return file_error(errno, path_ + "/" + name);
  }
  UniqueFd fd(::openat(fd_.get(), name.c_str(),
                       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!fd) return file_error(errno, path_ + "/" + name);
  return fd;
}

Result<UniqueFd> OutputDirectory::create(const std::string& name) const {
  const OwnerRights rights(owner_, with_owner_rights_);
  auto fd = create_once(name);
  if (!fd || with_owner_rights_ || ::geteuid() != 0) return fd;
  if (owner_.uid < 0 && owner_.gid < 0) return fd;
  if (::fchown(fd->get(), static_cast<uid_t>(owner_.uid), static_cast<gid_t>(owner_.gid)) != 0) {
    return fail_errno(errno, "change the owner of " + path_ + "/" + name);
  }
  return fd;
}

Result<void> OutputDirectory::replace(const std::string& name, std::string_view content) const {
  return replace(name, [&](Write write) { write(content); });
}

Result<void> OutputDirectory::replace(const std::string& name,
                                      FunctionRef<void(Write)> make) const {
  const std::string temporary = "." + name + ".tmp";
  CICD_ASSIGN(UniqueFd fd, create(temporary));
  const OwnerRights rights(owner_, with_owner_rights_);
  int sys_errno = 0;
  std::uint64_t end = 0;
  make([&](std::string_view piece) {
    if (sys_errno != 0) return;
    std::size_t written = 0;
    sys_errno = write_all(fd.get(), piece, end, written);
    end += written;
  });
  if (sys_errno == 0 && ::fsync(fd.get()) != 0) sys_errno = errno;
  if (sys_errno == 0 && ::renameat(fd_.get(), temporary.c_str(), fd_.get(), name.c_str()) != 0) {
    sys_errno = errno;
  }
  if (sys_errno == 0) return {};
  ::unlinkat(fd_.get(), temporary.c_str(), 0);
  return file_error(sys_errno, path_ + "/" + name);
}

}  // namespace cicd

// SPDX-License-Identifier: Apache-2.0
#include "run/run_state.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <memory>
#include <optional>

#include "job/job_cgroup.h"
#include "job/termination.h"
#include "run/outputs.h"

namespace cicd {

namespace {

constexpr std::size_t kMaxStateBytes = 64 * 1024;

Result<void> make_directories(const std::string& directory) {
  for (std::size_t at = directory.find('/', 1);; at = directory.find('/', at + 1)) {
    const bool is_last = at == std::string::npos;
    const std::string part = directory.substr(0, at);
    if (::mkdir(part.c_str(), is_last ? 0700 : 0755) != 0 && errno != EEXIST) {
      return fail_errno(errno, "make " + part);
    }
    if (is_last) return {};
  }
}

// Arguments may hold newlines.
std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\\') {
      out += "\\\\";
    } else {
      out += c;
    }
  }
  return out;
}

std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
    } else {
      out += text[++i] == 'n' ? '\n' : text[i];
    }
  }
  return out;
}

// Lines "ci MEMBER VALUE".
std::string encode(const JobDescription& job) {
  std::string out;
  const auto add = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) out.append("ci ").append(name).append(" ").append(escaped(value)) += '\n';
  };
  for (const IdentityField& field : identity_fields()) add(field.name, job.identity.*field.member);
  for (const MetadataField& field : metadata_fields()) add(field.name, job.metadata.*field.member);
  return out;
}

void decode_member(std::string_view text, std::optional<JobDescription>& to) {
  const std::string_view name = text.substr(0, text.find(' '));
  const std::string value = unescaped(text.substr(std::min(text.size(), name.size() + 1)));
  if (!to) to.emplace();
  for (const IdentityField& field : identity_fields()) {
    if (field.name == name) to->identity.*field.member = value;
  }
  for (const MetadataField& field : metadata_fields()) {
    if (field.name == name) to->metadata.*field.member = value;
  }
}

std::string encode(const RunRecipe& recipe) {
  std::string out = "folder " + recipe.folder + "\nuid " + recipe.owner_uid + "\ngid " +
                    recipe.owner_gid + "\nstart " + std::to_string(recipe.start_time_ns) + "\n";
  for (const std::string& argument : recipe.arguments) {
    out += "argument " + escaped(argument) + "\n";
  }
  if (recipe.ci_job) out += encode(*recipe.ci_job);
  return out;
}

// One "key value" a line; values hold no newline.
std::string encode(const RunNames& names) {
  std::string out = "cicd-sensor-run 1\nid " + names.id + "\ncgroup " + names.cgroup_dir +
                    "\npath " + names.cgroup_path + "\nparent " + names.parent_dir + "\n" +
                    (names.keeps_journal ? "recording " : "journal ") + names.journal + "\n";
  const std::string recipe = encode(names.recipe);
  const bool is_possible = names.recipe.folder.find('\n') == std::string::npos;
  if (is_possible && out.size() + recipe.size() <= kMaxStateBytes) out += recipe;
  return out;
}

void decode_line(std::string_view key, std::string_view value, RunNames& names) {
  const auto is = [&](std::string_view name, std::string& to) {
    if (key == name) to = value;
  };
  is("id", names.id);
  is("cgroup", names.cgroup_dir);
  is("path", names.cgroup_path);
  is("parent", names.parent_dir);
  is("journal", names.journal);
  is("recording", names.journal);
  is("folder", names.recipe.folder);
  is("uid", names.recipe.owner_uid);
  is("gid", names.recipe.owner_gid);
  if (key == "recording") names.keeps_journal = true;
  if (key == "ci") decode_member(value, names.recipe.ci_job);
  if (key == "argument") names.recipe.arguments.push_back(unescaped(value));
  if (key != "start") return;
  std::from_chars(value.data(), value.data() + value.size(), names.recipe.start_time_ns);
}

std::optional<RunNames> decode(std::string_view text) {
  RunNames names;
  bool has_head = false;
  while (!text.empty()) {
    const std::size_t newline = text.find('\n');
    if (newline == std::string_view::npos) return std::nullopt;  // cut short
    const std::string_view line = text.substr(0, newline);
    text.remove_prefix(newline + 1);
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos) return std::nullopt;
    const std::string_view key = line.substr(0, space);
    const std::string_view value = line.substr(space + 1);
    if (key == "cicd-sensor-run") has_head = value == "1";
    decode_line(key, value, names);
  }
  return has_head ? std::optional(names) : std::nullopt;
}

std::string last_part(const std::string& path) { return path.substr(path.rfind('/') + 1); }

bool can_be_named(const RunNames& names) {
  return (names.cgroup_dir + names.cgroup_path + names.parent_dir + names.journal).find('\n') ==
         std::string::npos;
}

std::string read_state(int fd) {
  std::string text(kMaxStateBytes, '\0');
  const ssize_t got = ::pread(fd, text.data(), text.size(), 0);
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return text;
}

// A job that is frozen with nobody left to thaw it was being ended by a rule. False: it is not.
bool end_frozen(const RunNames& names) {
  auto group = JobCgroup::open(names.cgroup_dir);
  if (!group || !group->is_frozen() || names.cgroup_path.empty()) return false;
  TerminationTarget target(std::move(*group));
  target.cgroup_path = names.cgroup_path;
  target.refuge_dir = names.parent_dir;
  target.tracked = [] { return std::vector<TrackedProcess>{}; };
  Terminator terminator(std::move(target));
  terminator.strike();
  terminator.wait();
  return terminator.report().left == 0;
}

// False: the cgroup has a process in it and everything of the run stays as it is.
bool remove_cgroup(const RunNames& names) {
  if (last_part(names.cgroup_dir) != kRunCgroupPrefix + names.id) return true;
  const auto group = JobCgroup::open(names.cgroup_dir);
  if (!group) return true;
  if (group->is_populated().value_or(true) && !end_frozen(names)) return false;
  return group->remove().has_value();
}

// Only ever a name of ours, so that a damaged state file cannot name another's file.
bool is_own_journal(const RunNames& names) {
  return !names.keeps_journal &&
         last_part(names.journal) == ".cicd-sensor-" + names.id + ".journal";
}

std::optional<CleanedRun> clean_one(int dir_fd, const std::string& name, const FinishRun& finish) {
  const UniqueFd fd(::openat(dir_fd, name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd || ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return std::nullopt;
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0 || info.st_nlink == 0) return std::nullopt;
  const auto names = decode(read_state(fd.get()));
  CleanedRun cleaned{name, false, false, {}};
  if (names && names->id == name) {
    cleaned.is_populated = !remove_cgroup(*names);
    if (cleaned.is_populated) return cleaned;
    cleaned.is_finished = finish && !names->recipe.arguments.empty() && finish(*names);
    if (is_own_journal(*names)) {
      cleaned.output_dir = names->journal.substr(0, names->journal.rfind('/') + 1);
      ::unlink(names->journal.c_str());
    }
  }
  ::unlinkat(dir_fd, name.c_str(), 0);
  return cleaned;
}

}  // namespace

Result<RunState> RunState::prepare(const std::string& directory, const RunNames& names) {
  if (!can_be_named(names)) {
    return fail(ErrorCode::kUsage, "the output folder's name holds a newline", "choose another");
  }
  if (auto made = make_directories(directory); !made) {
    return std::unexpected(
        std::move(made.error()).with_hint("a writable folder is needed: mount a tmpfs at /run"));
  }
  RunState state;
  state.path_ = directory + "/" + names.id;
  int fd = ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
    // A file system without nameless files (overlayfs of older kernels): named from the start.
    constexpr int kNew = O_CREAT | O_EXCL | O_NOFOLLOW;
    fd = ::open(state.path_.c_str(), kNew | O_RDWR | O_CLOEXEC, 0600);
    state.is_published_ = true;
  }
  if (fd < 0) return fail_errno(errno, "make a file in " + directory);
  state.fd_.reset(fd);
  if (::flock(state.fd_.get(), LOCK_EX | LOCK_NB) != 0) return fail_errno(errno, "lock a file");
  const std::string text = encode(names);
  if (::write(state.fd_.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return fail_errno(errno, "write a file in " + directory);
  }
  return state;
}

Result<void> RunState::publish() {
  if (is_published_) return {};
  const std::string unnamed = "/proc/self/fd/" + std::to_string(fd_.get());
  if (::linkat(AT_FDCWD, unnamed.c_str(), AT_FDCWD, path_.c_str(), AT_SYMLINK_FOLLOW) != 0) {
    return fail_errno(errno, "make " + path_);
  }
  return {};
}

void RunState::remove() { ::unlink(path_.c_str()); }

std::string run_state_directory() {
  if (::geteuid() == 0) return "/run/cicd-sensor/runs";
  const char* own = std::getenv("XDG_RUNTIME_DIR");
  if (own != nullptr && own[0] == '/') return std::string(own) + "/cicd-sensor/runs";
  return "/tmp/cicd-sensor-" + std::to_string(::geteuid()) + "/runs";
}

std::vector<CleanedRun> clean_dead_runs(const std::string& directory, const FinishRun& finish) {
  std::vector<CleanedRun> cleaned;
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return cleaned;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::fdopendir(fd), ::closedir);
  if (!dir) {
    ::close(fd);
    return cleaned;
  }
  struct stat info{};
  // What others could write there is not to be believed.
  if (::fstat(fd, &info) != 0 || info.st_uid != ::geteuid() || (info.st_mode & 022) != 0) {
    return cleaned;
  }
  while (const dirent* entry = ::readdir(dir.get())) {
    if (entry->d_name[0] == '.') continue;
    if (auto run = clean_one(fd, entry->d_name, finish)) cleaned.push_back(std::move(*run));
  }
  return cleaned;
}

Result<void> remove_run(const RunNames& names, RunState& state, const CommandUser& owner) {
  if (const auto group = JobCgroup::open(names.cgroup_dir)) {
    CICD_TRY(group->move_processes_to(names.parent_dir));
    // A process that is ending keeps its cgroup busy for a moment.
    auto removed = group->remove();
    for (int tries = 0; !removed && tries < 100; ++tries) {
      ::usleep(5000);
      removed = group->remove();
    }
    if (!removed) return removed;
  }
  if (!names.keeps_journal) remove_file_of(names.journal, owner);
  state.remove();
  return {};
}

}  // namespace cicd

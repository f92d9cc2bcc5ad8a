// SPDX-License-Identifier: Apache-2.0
#include "support.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace cicd::test {

namespace {

constexpr std::chrono::seconds kPatience{5};
constexpr std::chrono::milliseconds kPoll{20};

std::string v2_mount_point() {
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    if (line.find(" - cgroup2 ") == std::string::npos) continue;
    std::istringstream fields(line);
    std::string id, parent, device, root, point;
    fields >> id >> parent >> device >> root >> point;
    return point;
  }
  throw std::runtime_error("cgroup v2 is not mounted");
}

}  // namespace

std::string SeenString::path() const {
  EXPECT_TRUE(flags & CICD_STRING_COMPONENTS);
  std::string out;
  std::string_view rest = bytes;
  while (!rest.empty()) {
    const std::size_t end = rest.find('\0');
    if (end == std::string_view::npos) {
      ADD_FAILURE() << "component without its NUL";
      break;
    }
    out.insert(0, "/" + std::string(rest.substr(0, end)));
    rest.remove_prefix(end + 1);
  }
  return out.empty() ? "/" : out;
}

std::vector<Seen> Samples::of(cicd_sample_type type, pid_t pid) const {
  std::vector<Seen> out;
  for (const Seen& seen : all_) {
    const cicd_sample_header header = seen.header();
    if (header.type != type) continue;
    if (pid == 0 || header.pid == static_cast<std::uint32_t>(pid)) out.push_back(seen);
  }
  return out;
}

std::vector<SeenExec> Samples::execs(pid_t pid) const {
  std::vector<SeenExec> out;
  using T = cicd_sample_exec;
  for (const Seen& seen : of(CICD_SAMPLE_EXEC, pid)) {
    auto strings =
        seen.strings<T>({&T::exec_path, &T::filename, &T::cwd, &T::argv, &T::environment});
    out.push_back({seen.fixed<T>(), strings[0], strings[1], strings[2], strings[3], strings[4]});
  }
  return out;
}

std::vector<SeenOpen> Samples::opens(pid_t pid) const {
  std::vector<SeenOpen> out;
  using T = cicd_sample_open;
  for (const Seen& seen : of(CICD_SAMPLE_OPEN, pid)) {
    auto strings = seen.strings<T>({&T::path, &T::base});
    out.push_back({seen.fixed<T>(), strings[0], strings[1]});
  }
  return out;
}

std::vector<SeenOpen> Samples::opens_of(std::string_view path_end, pid_t pid) const {
  std::vector<SeenOpen> out;
  for (SeenOpen& open : opens(pid)) {
    const std::string path =
        open.path.flags & CICD_STRING_COMPONENTS ? open.path.path() : open.path.bytes;
    if (path.ends_with(path_end)) out.push_back(std::move(open));
  }
  return out;
}

std::vector<SeenPaths> Samples::paths(cicd_sample_type type, pid_t pid) const {
  std::vector<SeenPaths> out;
  using T = cicd_sample_paths;
  for (const Seen& seen : of(type, pid)) {
    auto strings = seen.strings<T>({&T::path, &T::base, &T::other, &T::other_base});
    out.push_back({seen.fixed<T>(), strings[0], strings[1], strings[2], strings[3]});
  }
  return out;
}

std::vector<SeenUnix> Samples::unix_connects(pid_t pid) const {
  std::vector<SeenUnix> out;
  using T = cicd_sample_unix_connect;
  for (const Seen& seen : of(CICD_SAMPLE_UNIX_CONNECT, pid)) {
    auto strings = seen.strings<T>({&T::path, &T::base});
    out.push_back({seen.fixed<T>(), strings[0], strings[1]});
  }
  return out;
}

std::vector<SeenCgroup> Samples::cgroups(cicd_sample_type type) const {
  std::vector<SeenCgroup> out;
  using T = cicd_sample_cgroup;
  for (const Seen& seen : of(type)) {
    out.push_back({seen.fixed<T>(), seen.strings<T>({&T::path})[0]});
  }
  return out;
}

std::uint64_t cgroup_id_of_path(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) throw std::runtime_error("no cgroup " + path);
  return status.st_ino;
}

std::string own_cgroup_path() {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("0::")) continue;
    const std::string below = line.substr(3);
    return v2_mount_point() + (below == "/" ? "" : below);
  }
  throw std::runtime_error("not in a v2 cgroup");
}

Cgroup::Cgroup(const std::string& path) : path_(path) {
  if (::mkdir(path.c_str(), 0755) != 0) throw std::runtime_error("mkdir " + path);
  id_ = cgroup_id_of_path(path);
  fd_ = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

std::unique_ptr<Cgroup> Cgroup::below_own(const std::string& name) {
  static int count = 0;
  return std::make_unique<Cgroup>(own_cgroup_path() + "/" + name + "-" +
                                  std::to_string(::getpid()) + "-" + std::to_string(++count));
}

Cgroup::~Cgroup() {
  ::close(fd_);
  std::ofstream(path_ + "/cgroup.kill") << "1";
  for (int i = 0; i < 100 && ::rmdir(path_.c_str()) != 0 && errno == EBUSY; ++i) ::usleep(10'000);
}

std::string Cgroup::path_below_root() const { return path_.substr(v2_mount_point().size()); }

pid_t start(const Cgroup* cgroup, const Act& act, std::uint64_t extra_clone_flags) {
  clone_args args{};
  args.flags = extra_clone_flags;
  args.exit_signal = SIGCHLD;
  if (cgroup != nullptr) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<std::uint64_t>(cgroup->fd());
  }
  const long pid = ::syscall(SYS_clone3, &args, sizeof(args));
  if (pid < 0) throw std::runtime_error(std::string("clone3: ") + ::strerror(errno));
  if (pid == 0) ::_exit(act());
  return static_cast<pid_t>(pid);
}

Finished run(const Cgroup* cgroup, const Act& act) {
  Finished finished;
  finished.pid = start(cgroup, act);
  ::waitpid(finished.pid, &finished.status, 0);
  return finished;
}

int exec(const std::string& path, const std::vector<std::string>& argv) {
  std::vector<char*> arguments;
  for (const std::string& each : argv) arguments.push_back(const_cast<char*>(each.c_str()));
  arguments.push_back(nullptr);
  char* environment[] = {nullptr};
  ::execve(path.c_str(), arguments.data(), environment);
  return 127;
}

std::map<std::string, std::unique_ptr<LiveSource>> HookTest::sources_;

namespace {

// Then the failures below have one cause.
void print_refusals(const LiveSource& source) {
  for (const Coverage& coverage : source.coverage()) {
    if (coverage.available) continue;
    std::fprintf(stderr, "%s is not seen: %s\n", std::string(info_of(coverage.type).name).c_str(),
                 coverage.reason.c_str());
  }
}

}  // namespace

bool HookTest::at_functions(EventType type) const {
  for (const Coverage& coverage : source_->coverage()) {
    if (coverage.type == type) return coverage.backend == "trampoline";
  }
  return false;
}

void expect_name(const SeenString& string, const SeenString& base, const Name& name,
                 bool is_walked) {
  if (is_walked) {
    EXPECT_EQ(string.path(), name.path);
    EXPECT_EQ(string.flags, CICD_STRING_COMPONENTS);
    EXPECT_EQ(base.bytes, "");
    EXPECT_EQ(base.flags, 0u);
    return;
  }
  EXPECT_EQ(string.bytes, name.raw);
  EXPECT_EQ(string.flags, 0u);
  if (name.base.empty()) {
    EXPECT_EQ(base.bytes, "");
  } else {
    EXPECT_EQ(base.path(), name.base);
  }
}

void HookTest::SetUp() {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  LiveOptions wanted = options();
  const char* forced = std::getenv("CICD_TEST_BACKEND");
  if (forced != nullptr && wanted.backend_kind.empty()) wanted.backend_kind = forced;
  std::string kind = wanted.backend_kind + (wanted.strict ? " strict " : " ");
  for (const auto& [type, backend] : wanted.backends) kind += type + "=" + backend + " ";
  if (!wanted.dedup) kind += "all opens ";
  for (const StepVariable& variable : wanted.variables) kind.append(variable.name) += " ";
  std::unique_ptr<LiveSource>& shared = sources_[kind];
  if (!shared) {
    Result<std::unique_ptr<LiveSource>> opened = LiveSource::open(wanted);
    ASSERT_TRUE(opened) << opened.error().text << " (" << opened.error().hint << ")";
    shared = std::move(*opened);
    if (!wanted.backend_kind.empty()) print_refusals(*shared);
  }
  source_ = shared.get();
  job_ = Cgroup::below_own("cicd-hook");
  ASSERT_TRUE(source_->track_cgroup(job_->id(), kSlot));
  ASSERT_TRUE(source_->start_job_hooks());
  char name[] = "/tmp/cicd-hook-XXXXXX";
  ASSERT_NE(::mkdtemp(name), nullptr);
  ::chmod(name, 0755);
  scratch_ = name;
}

void HookTest::TearDown() {
  if (source_ == nullptr) return;
  // The hooks stay: the kernel takes seconds to let some sixty of them go, and the next test would
  // wait for that.
  job_.reset();
  source_->untrack_slot(kSlot);
  std::error_code ignored;
  if (!scratch_.empty()) std::filesystem::remove_all(scratch_, ignored);
  // What is still in the rings belongs to no other test.
  const Result<std::size_t> rest = source_->poll(std::chrono::milliseconds(0), [](SampleBytes) {});
  EXPECT_TRUE(rest);
  source_->commit();
}

Samples HookTest::collect_until_exit(pid_t pid) {
  Samples samples;
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  const auto sink = [&](SampleBytes bytes) { samples.add(bytes); };
  while (samples.of(CICD_SAMPLE_EXIT, pid).empty()) {
    if (std::chrono::steady_clock::now() > deadline) {
      ADD_FAILURE() << "no exit sample of process " << pid;
      return samples;
    }
    EXPECT_TRUE(source_->poll(kPoll, sink));
    source_->commit();
  }
  // Opens travel in another ring and may come one round later.
  EXPECT_TRUE(source_->poll(std::chrono::milliseconds(0), sink));
  source_->commit();
  return samples;
}

Samples HookTest::observe_inside(const Act& act) {
  finished_ = run(job_.get(), act);
  return collect_until_exit(finished_.pid);
}

Samples HookTest::observe(const Act& act) {
  const Finished outside = run(nullptr, act);
  Samples samples = observe_inside(act);
  for (const Seen& seen : samples.all()) {
    EXPECT_NE(seen.header().pid, static_cast<std::uint32_t>(outside.pid))
        << "a sample of work outside the job, type " << seen.header().type;
    EXPECT_EQ(seen.header().slot, kSlot);
  }
  return samples;
}

}  // namespace cicd::test

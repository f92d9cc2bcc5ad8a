// SPDX-License-Identifier: Apache-2.0
// Containers of a real dockerd, bound to a job by hand: what happens in one is the job's, with the
// paths that the container sees and with the container's id.
#include <algorithm>
#include <chrono>
#include <fstream>

#include "dockerd.h"
#include "track/tracker.h"

namespace cicd::test {

namespace {

constexpr std::chrono::seconds kPatience{10};
constexpr std::size_t kIdDigits = 64;

class DockerContainers : public ::testing::Test {
 protected:
  // Daemon and sensor serve all tests.
  static void SetUpTestSuite() {
    missing_ = ::geteuid() == 0 ? Dockerd::missing() : "root";
    if (!missing_.empty()) return;
    dockerd_ = std::make_unique<Dockerd>();
    if (!dockerd_->wait_until_ready(&broken_)) return;
    if (!dockerd_->make_image()) broken_ = "no image";
    auto opened = LiveSource::open({});
    if (!opened) {
      broken_ = opened.error().text;
      return;
    }
    source_ = std::move(*opened);
  }
  static void TearDownTestSuite() {
    source_.reset();
    dockerd_.reset();
  }

  void SetUp() override {
    if (!missing_.empty()) GTEST_SKIP() << "needs " << missing_;
    ASSERT_EQ(broken_, "");
    ASSERT_TRUE(source_->start_job_hooks());
    tracker_ = std::make_unique<Tracker>(source_->clock());
  }
  void TearDown() override {
    if (!source_) return;
    for (const std::string& container : containers_) dockerd_->remove(container);
    source_->stop_job_hooks();
    source_->untrack_slot(kSlot);
    poll(std::chrono::milliseconds(0));
  }

  // Starts a container and returns its id.
  std::string start_container(const std::vector<std::string>& command) {
    std::vector<std::string> arguments = {"run",    "--detach",        "--network",
                                          "none",   "--cgroup-parent", dockerd_->parent_path(),
                                          "busybox"};
    arguments.insert(arguments.end(), command.begin(), command.end());
    std::string id = dockerd_->docker(arguments);
    EXPECT_EQ(id.size(), kIdDigits) << id;
    containers_.push_back(id);
    return id;
  }

  void bind(const std::string& below_parent) {
    const std::string path = dockerd_->parent().path() + below_parent;
    const std::uint64_t id = cgroup_id_of_path(path);
    ASSERT_TRUE(source_->track_cgroup(id, kSlot));
    tracker_->register_job(kSlot, id, dockerd_->parent_path() + below_parent);
  }

  void poll(std::chrono::milliseconds wait) {
    const auto polled = source_->poll(wait, [&](SampleBytes bytes) {
      tracker_->handle(bytes, [this](std::uint32_t) { return &batch_; });
    });
    EXPECT_TRUE(polled);
    source_->commit();
  }

  // The first record like this; waits for it. A failure, and null, when it does not come.
  template <typename Like>
  const EventRecord* expect(const char* what, EventType type, Like is_like) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (true) {
      const auto found = std::ranges::find_if(batch_.records, [&](const EventRecord& record) {
        return record.type == type && is_like(record);
      });
      if (found != batch_.records.end()) return &*found;
      if (std::chrono::steady_clock::now() > end) break;
      poll(std::chrono::milliseconds(20));
    }
    ADD_FAILURE() << "no " << what << " among " << batch_.records.size() << " records";
    return nullptr;
  }
  const EventRecord* expect_exec(const std::vector<std::string>& argv) {
    return expect("exec", EventType::kProcessExec,
                  [&](const EventRecord& record) { return record.process->image->argv == argv; });
  }
  // By a program of the container: the engine opens things in there as well.
  const EventRecord* expect_open(std::string_view path) {
    return expect("open", EventType::kFileOpen, [&](const EventRecord& record) {
      return record.text(field::file_open::kPath) == path &&
             record.process->exec_path() == "/bin/busybox";
    });
  }

  static std::unique_ptr<Dockerd> dockerd_;
  static std::unique_ptr<LiveSource> source_;
  static std::string missing_;
  static std::string broken_;
  std::unique_ptr<Tracker> tracker_;
  EventBatch batch_;
  std::vector<std::string> containers_;
};

std::unique_ptr<Dockerd> DockerContainers::dockerd_;
std::unique_ptr<LiveSource> DockerContainers::source_;
std::string DockerContainers::missing_;
std::string DockerContainers::broken_;

TEST_F(DockerContainers, BoundWhenItRuns) {
  const std::string id = start_container({"sleep", "1000"});
  ASSERT_NO_FATAL_FAILURE(bind("/" + id));
  const std::string script =
      "echo hi > /tmp/made; ln -s /etc/passwd /tmp/users; cat /tmp/users; nc 127.0.0.1 7 || true";
  dockerd_->docker({"exec", id, "sh", "-c", script});

  const EventRecord* exec = expect_exec({"cat", "/tmp/users"});
  ASSERT_NE(exec, nullptr);
  EXPECT_EQ(exec->process->exec_path(), "/bin/busybox");
  EXPECT_NE(exec->process->pid, 0u);
  ASSERT_NE(exec->process->parent, nullptr);
  EXPECT_EQ(exec->process->parent->image->argv[0], "sh");
  const EventRecord* made = expect_open("/tmp/made");
  ASSERT_NE(made, nullptr);
  EXPECT_EQ(made->number(field::file_open::kIsWrite), 1);
  EXPECT_NE(expect_open("/etc/passwd"), nullptr) << "the link is resolved in the container";
  const EventRecord* connect =
      expect("connect", EventType::kNetworkConnect, [](const EventRecord& record) {
        return record.text(field::network_connect::kRemoteIp) == "127.0.0.1" &&
               record.number(field::network_connect::kRemotePort) == 7;
      });
  ASSERT_NE(connect, nullptr);
  EXPECT_EQ(connect->process->exec_path(), "/bin/busybox");

  for (const EventRecord& record : batch_.records) {
    ASSERT_NE(record.container, nullptr);
    EXPECT_EQ(record.container->id, id);
    EXPECT_EQ(record.container->runtime, "docker");
  }
}

TEST_F(DockerContainers, BoundBeforeItIsMade) {
  // The parent belongs to the job: containers are the job's from their first instruction.
  ASSERT_NO_FATAL_FAILURE(bind(""));
  const std::string id = start_container({"sh", "-c", "cat /etc/passwd"});
  const EventRecord* exec = expect_exec({"sh", "-c", "cat /etc/passwd"});
  ASSERT_NE(exec, nullptr);
  EXPECT_EQ(exec->process->exec_path(), "/bin/busybox");
  ASSERT_NE(exec->container, nullptr);
  EXPECT_EQ(exec->container->id, id);
  const EventRecord* open = expect_open("/etc/passwd");
  ASSERT_NE(open, nullptr);
  ASSERT_NE(open->container, nullptr);
  EXPECT_EQ(open->container->id, id);
  EXPECT_EQ(open->marks, 0u);
}

TEST_F(DockerContainers, OthersAreNotTheJobs) {
  const std::string bound = start_container({"sleep", "1000"});
  const std::string other = start_container({"sleep", "1000"});
  ASSERT_NO_FATAL_FAILURE(bind("/" + bound));
  dockerd_->docker({"exec", other, "cat", "/etc/passwd"});
  dockerd_->docker({"exec", bound, "true", "last"});
  ASSERT_NE(expect_exec({"true", "last"}), nullptr);
  for (const EventRecord& record : batch_.records) {
    ASSERT_NE(record.container, nullptr);
    EXPECT_EQ(record.container->id, bound);
  }
}

}  // namespace

}  // namespace cicd::test

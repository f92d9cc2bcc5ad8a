// SPDX-License-Identifier: Apache-2.0
// The pipeline over the fake and the replay source: order of journal and commit, continuation after
// a death, gaps, the command's end. No root needed.
#include "run/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>

#include "kernel/fake_source.h"
#include "wire/sample_builder.h"

namespace cicd {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using testing::ElementsAre;

constexpr std::uint64_t kRootCgroup = 42;

// Keeps the rows it gets as text.
class RowSink : public ScopeSink {
 public:
  explicit RowSink(std::vector<std::string>& rows) : rows_(rows) {}
  void on_event(const EventRecord& record) override {
    std::string row(info_of(record.type).name);
    row += " " + std::to_string(record.process->pid);
    if (record.type == EventType::kFileOpen) {
      row += " " + std::string(record.text(field::file_open::kPath));
    }
    if (record.type == EventType::kMonitoringGap) {
      row = "monitoring_gap " + std::string(record.text(field::monitoring_gap::kReason)) + " " +
            std::to_string(record.number(field::monitoring_gap::kDurationMs));
    }
    rows_.push_back(std::move(row));
  }
  void on_detection(const EventRecord&, const CompiledRule&, bool) override {}
  void flush() override {}
  LossReport losses() const override { return {}; }

 private:
  std::vector<std::string>& rows_;
};

class EngineTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/cicd-engine-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  EngineSettings settings() {
    EngineSettings settings;
    settings.job.project.emplace();
    settings.job.project->sink = std::make_unique<RowSink>(rows_);
    settings.root_cgroup_id = kRootCgroup;
    settings.root_path = "/job";
    settings.positions = [this] {
      committed_at_block_end_.push_back(source_.committed());
      return RingPositions{.control = source_.polled(), .bulk = 0};
    };
    return settings;
  }

  std::string journal_path() const { return folder_ + "/journal"; }
  RecordingWriter new_journal() const {
    return RecordingWriter::create(journal_path(), {.clock = {}, .slot = 1, .root_cgroup_id = 42})
        .value();
  }

  // A shell that runs and opens a file.
  void push_job(std::uint32_t pid, const std::string& path) {
    const Actor actor{.pid = pid, .start_time_ns = 1'000, .cgroup_id = kRootCgroup};
    source_.push(fork_sample(actor, Actor{.pid = 1, .slot = 0, .cgroup_id = 1}));
    source_.push(exec_sample(actor, {.exec_path = "/bin/sh", .argv = {"sh"}}));
    source_.push(open_sample(actor, {.path = walked(path)}));
  }
  void push_exit(std::uint32_t pid, std::uint32_t status) {
    source_.push(exit_sample(
        Actor{.pid = pid, .start_time_ns = 1'000, .cgroup_id = kRootCgroup}.at(9'000), status));
  }

  std::string folder_;
  std::vector<std::string> rows_;
  std::vector<std::size_t> committed_at_block_end_;
  FakeSource source_;
};

TEST_F(EngineTest, SamplesBecomeRowsOfTheJob) {
  Engine engine(source_, settings());
  push_job(100, "/etc/hostname");
  EXPECT_EQ(engine.step(milliseconds(0)).value(), 3u);
  EXPECT_EQ(source_.committed(), 3u);
  engine.finish({});
  EXPECT_THAT(rows_, ElementsAre("process_exec 100", "file_open 100 /etc/hostname"));
}

TEST_F(EngineTest, NothingIsCommittedBeforeItIsInTheJournal) {
  Engine engine(source_, settings());
  engine.set_journal(new_journal());
  push_job(100, "/a");
  engine.step(milliseconds(0)).value();
  auto journal = RecordingReader::open(journal_path()).value();
  EXPECT_EQ(journal.next_block().value()->size(), 3u);
  EXPECT_EQ(journal.positions().control, 3u);
  EXPECT_EQ(source_.committed(), 3u);

  // The block's positions are asked for while nothing is given back yet.
  EXPECT_THAT(committed_at_block_end_, ElementsAre(0u));

  source_.push_error(Error{ErrorCode::kIo, 0, "broken", {}});
  EXPECT_FALSE(engine.step(milliseconds(0)));
  EXPECT_EQ(source_.committed(), 3u);
}

TEST_F(EngineTest, AnotherEngineGoesOnFromTheJournalWithTheSameRows) {
  {
    Engine first(source_, settings());
    first.set_journal(new_journal());
    push_job(100, "/a");
    first.step(milliseconds(0)).value();
    push_job(101, "/b");
    first.step(milliseconds(0)).value();
    first.finish({});
  }
  const std::vector<std::string> before = std::exchange(rows_, {});

  Engine second(source_, settings());
  auto journal = RecordingReader::open(journal_path()).value();
  ASSERT_TRUE(second.replay(journal));
  second.set_journal(RecordingWriter::resume(journal_path(), journal.good_bytes()).value());
  second.add_gap({"sensor_restarted", 5'000'000, 12'000'000});
  push_job(102, "/c");
  second.step(milliseconds(0)).value();
  const JobSummary summary = second.finish({});

  std::vector<std::string> expected = before;
  expected.insert(expected.end(),
                  {"monitoring_gap sensor_restarted 7", "process_exec 102", "file_open 102 /c"});
  EXPECT_EQ(rows_, expected);
  EXPECT_EQ(summary.processes_total, 3u);
  auto whole = RecordingReader::open(journal_path()).value();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(whole.next_block().value()->size(), 3u) << i;
  EXPECT_FALSE(whole.next_block().value());
}

TEST_F(EngineTest, ATornJournalCountsUpToItsLastGoodBlock) {
  {
    Engine first(source_, settings());
    first.set_journal(new_journal());
    push_job(100, "/a");
    first.step(milliseconds(0)).value();
    push_job(101, "/b");
    first.step(milliseconds(0)).value();
    first.finish({});
  }
  rows_.clear();
  fs::resize_file(journal_path(), fs::file_size(journal_path()) - 5);
  Engine second(source_, settings());
  auto journal = RecordingReader::open(journal_path()).value();
  const auto replayed = second.replay(journal);
  ASSERT_FALSE(replayed);
  EXPECT_EQ(replayed.error().code, ErrorCode::kInvalidInput);
  second.finish({});
  EXPECT_THAT(rows_, ElementsAre("process_exec 100", "file_open 100 /a"));
}

TEST_F(EngineTest, AJournalThatCannotGrowEndsTheJournalOnly) {
  Engine engine(source_, settings());
  engine.set_journal(new_journal());
  // As a full disk does, without one.
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const rlimit none{fs::file_size(journal_path()), before.rlim_max};
  ::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &none), 0);
  push_job(100, "/a");
  const auto stepped = engine.step(milliseconds(0));
  ::setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(stepped.value(), 3u);
  EXPECT_TRUE(engine.journal_error());
  EXPECT_EQ(source_.committed(), 3u);
  push_job(101, "/b");
  EXPECT_TRUE(engine.step(milliseconds(0)));
  engine.finish({});
  EXPECT_EQ(rows_.size(), 4u);
}

TEST_F(EngineTest, TheCommandsEndIsSeenInItsExitEvent) {
  for (const auto& [status, expected] : std::vector<std::pair<std::uint32_t, int>>{
           {7u << 8, 7 << 8}, {9u, 9}, {11u | 0x80u, 11}, {0u, 0}}) {
    Engine engine(source_, settings());
    engine.set_command(100);
    push_job(100, "/a");
    push_job(101, "/b");
    push_exit(101, 3u << 8);
    engine.step(milliseconds(0)).value();
    EXPECT_FALSE(engine.command_status());
    push_exit(100, status);
    engine.step(milliseconds(0)).value();
    EXPECT_EQ(engine.command_status(), expected);
    engine.finish({});
  }
}

TEST_F(EngineTest, LossesOfSourceAndTrackerAreInTheSummary) {
  source_.set_losses(1, {{{"file_open", "ring_full", 5}}, 2});
  source_.set_coverage({{EventType::kFileOpen, "fake", true, "", ""}});
  Engine engine(source_, settings());
  std::vector<std::byte> junk(sizeof(cicd_sample_header));
  cicd_sample_header header{};
  header.size = sizeof(header);
  header.type = CICD_SAMPLE_EXEC;
  header.slot = 1;
  std::memcpy(junk.data(), &header, sizeof(header));
  source_.push(junk);
  engine.step(milliseconds(0)).value();
  const JobSummary summary = engine.finish({});
  EXPECT_EQ(summary.events_dropped, 6u);
  EXPECT_EQ(summary.losses.repeated_sendmsg, 2u);
  ASSERT_EQ(summary.coverage.size(), 1u);
}

TEST_F(EngineTest, ALongReplayDoesNotOverrunTheWorker) {
  constexpr std::uint32_t kOpens = 200'000;
  {
    RecordingWriter journal = new_journal();
    const Actor actor{.pid = 100, .cgroup_id = kRootCgroup};
    for (std::uint32_t i = 0; i < kOpens; ++i) {
      const auto sample = open_sample(actor, {.path = walked("/f" + std::to_string(i))});
      journal.append(sample);
      if (i % 5'000 == 4'999) {
        ASSERT_TRUE(journal.end_block({}));
      }
    }
  }
  Engine engine(source_, settings());
  auto journal = RecordingReader::open(journal_path()).value();
  ASSERT_TRUE(engine.replay(journal));
  const JobSummary summary = engine.finish({});
  EXPECT_EQ(rows_.size(), kOpens);
  for (const LossEntry& loss : summary.losses.entries) {
    EXPECT_NE(loss.reason, "queue_full");
  }
}

}  // namespace
}  // namespace cicd

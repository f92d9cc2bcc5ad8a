// SPDX-License-Identifier: Apache-2.0
#include "agent/job_store.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace cicd {

namespace {

namespace fs = std::filesystem;

class JobStoreTest : public ::testing::Test {
 protected:
  JobStoreTest() {
    char name[] = "/tmp/cicd-store-XXXXXX";
    jobs_dir_ = ::mkdtemp(name);
    fs::create_directory(jobs_dir_ + "/one");
  }
  ~JobStoreTest() override { fs::remove_all(jobs_dir_); }
  JobStore store() const { return JobStore(jobs_dir_ + "/one"); }
  void write(const std::string& text) const { std::ofstream(jobs_dir_ + "/one/job.json") << text; }
  const std::string& jobs_dir() const { return jobs_dir_; }

 private:
  std::string jobs_dir_;
};

StoredJob sample() {
  StoredJob job;
  job.identity.provider = "github";
  job.identity.provider_host = "github.com";
  job.identity.project_path = "octo/\"app\"";
  job.identity.github_run_id = "1";
  job.metadata.ref_name = "main";
  job.slot = 12;
  job.parent = {"/sys/fs/cgroup", "/runner", "/sys/fs/cgroup/runner"};
  job.cgroup_dir = "/sys/fs/cgroup/runner/job";
  job.cgroup_path = "/runner/job";
  job.cgroup_id = 1ull << 40;
  job.start_time_ns = 1'700'000'000'000'000'001;
  job.made_folder = true;
  job.has_host = false;
  job.boot_id = current_boot_id();
  job.losses_before = {{"file_open", "recursion", 7}};
  job.restarts = 2;
  job.problems = {"a step was late", "\"more\""};
  job.marks = {{JournalMark::Kind::kProject, 100},
               {JournalMark::Kind::kGap, 200, {"sensor_restarted", 5, 9}}};
  return job;
}

TEST_F(JobStoreTest, ComesBackAsItWas) {
  ASSERT_TRUE(store().write(sample()));
  const auto read = store().read();
  ASSERT_TRUE(read) << read.error().text;
  const StoredJob want = sample();
  EXPECT_EQ(read->identity, want.identity);
  EXPECT_EQ(read->metadata.ref_name, "main");
  EXPECT_EQ(read->slot, 12u);
  EXPECT_EQ(read->parent.dir, want.parent.dir);
  EXPECT_EQ(read->cgroup_dir, want.cgroup_dir);
  EXPECT_EQ(read->cgroup_path, want.cgroup_path);
  EXPECT_EQ(read->cgroup_id, want.cgroup_id);
  EXPECT_EQ(read->start_time_ns, want.start_time_ns);
  EXPECT_TRUE(read->made_folder);
  EXPECT_FALSE(read->has_host);
  EXPECT_EQ(read->boot_id.size(), 36u);
  EXPECT_EQ(read->boot_id, current_boot_id());
  ASSERT_EQ(read->losses_before.size(), 1u);
  EXPECT_EQ(read->losses_before[0].count, 7u);
  EXPECT_EQ(read->restarts, 2u);
  EXPECT_EQ(read->problems, (std::vector<std::string>{"a step was late", "\"more\""}));
  ASSERT_EQ(read->marks.size(), 2u);
  EXPECT_EQ(read->marks[0].kind, JournalMark::Kind::kProject);
  EXPECT_EQ(read->marks[1].at_bytes, 200u);
  EXPECT_EQ(read->marks[1].gap.reason, "sensor_restarted");
  EXPECT_EQ(read->marks[1].gap.end_ns, 9u);
}

TEST_F(JobStoreTest, WhatIsNoJobIsAnErrorThatNamesTheFile) {
  EXPECT_EQ(store().read().error().code, ErrorCode::kNotFound);
  for (const char* text : {"", "{", "null", "[]", "{\"format\":1}", "{\"format\":2}",
                           "{\"format\":1,\"slot\":\"x\"}"}) {
    write(text);
    const auto read = store().read();
    ASSERT_FALSE(read) << text;
    EXPECT_NE(read.error().text.find("/one/job.json"), std::string::npos) << read.error().text;
  }
}

TEST_F(JobStoreTest, OnlyFoldersWithAJobAreFound) {
  EXPECT_TRUE(stored_jobs(jobs_dir()).empty());
  EXPECT_TRUE(stored_jobs(jobs_dir() + "/nothing").empty());
  ASSERT_TRUE(store().write(sample()));
  ASSERT_EQ(stored_jobs(jobs_dir()).size(), 1u);
  EXPECT_EQ(stored_jobs(jobs_dir())[0].folder(), jobs_dir() + "/one");
}

TEST_F(JobStoreTest, NothingIsLeftOfAJobThatIsOver) {
  ASSERT_TRUE(store().write(sample()));
  ASSERT_TRUE(store().write_request("{}"));
  EXPECT_EQ(store().read_request().value_or(""), "{}");
  EXPECT_FALSE(store().has_journal_ended());
  store().note_journal_ended();
  EXPECT_TRUE(store().has_journal_ended());
  std::ofstream(jobs_dir() + "/one/summary") << "kept";
  store().remove();
  EXPECT_TRUE(fs::exists(jobs_dir() + "/one/summary"));
  EXPECT_EQ(std::distance(fs::directory_iterator(jobs_dir() + "/one"), {}), 1);
}

}  // namespace

}  // namespace cicd

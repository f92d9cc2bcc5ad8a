// SPDX-License-Identifier: Apache-2.0
#include "egress/learn_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace cicd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class LearnStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "learn-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    path_ = folder_ + "/egress.db";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  static LearnedUse use(std::string host, std::uint16_t port = 443, std::uint64_t at_ns = 100) {
    LearnedUse out;
    out.host = std::move(host);
    out.port = port;
    out.proto = "tcp";
    out.count = 2;
    out.first_ns = at_ns;
    out.last_ns = at_ns + 10;
    out.exec_path = "/usr/bin/npm";
    out.step = "install";
    return out;
  }
  std::uint64_t add(LearnedJob job) {
    auto store = LearnStore::open(path_, true);
    EXPECT_TRUE(store) << store.error().text;
    auto added = store->add(job);
    EXPECT_TRUE(added) << added.error().text;
    return added.value_or(UINT64_MAX);
  }
  Learned learned(const std::string& project) {
    auto store = LearnStore::open(path_, false);
    EXPECT_TRUE(store) << store.error().text;
    auto found = store->learned(project);
    EXPECT_TRUE(found) << found.error().text;
    return found.value_or(Learned{});
  }
  static std::vector<std::string> texts(const Learned& learned) {
    std::vector<std::string> out;
    for (const LearnedDestination& each : learned.destinations) {
      out.push_back(each.host + ":" + std::to_string(each.port) +
                    " jobs=" + std::to_string(each.jobs) + " count=" + std::to_string(each.count) +
                    (each.is_new ? " new" : ""));
    }
    return out;
  }

  std::string folder_, path_;
};

TEST_F(LearnStoreTest, JobsAddUp) {
  EXPECT_EQ(add({"acme/web", "1", 1000, {use("a.test"), use("b.test", 80, 50)}}), 2u);
  EXPECT_EQ(add({"acme/web", "2", 2000, {use("a.test", 443, 300), use("c.test")}}), 1u);
  EXPECT_EQ(add({"acme/other", "1", 3000, {use("z.test")}}), 1u);
  const Learned web = learned("acme/web");
  EXPECT_EQ(web.jobs, 2u);
  EXPECT_EQ(web.last_new, 1u);
  EXPECT_THAT(texts(web), ElementsAre("a.test:443 jobs=2 count=4", "b.test:80 jobs=1 count=2",
                                      "c.test:443 jobs=1 count=2 new"));
  EXPECT_EQ(web.destinations[0].first_ns, 100u);
  EXPECT_EQ(web.destinations[0].last_ns, 310u);
  EXPECT_EQ(web.destinations[0].exec_path, "/usr/bin/npm");
  EXPECT_EQ(web.destinations[0].step, "install");
  EXPECT_THAT(*LearnStore::open(path_, false)->projects(), ElementsAre("acme/other", "acme/web"));
  EXPECT_EQ(learned("nobody").jobs, 0u);
}

TEST_F(LearnStoreTest, AJobCountsOnceHoweverOftenItIsTold) {
  const LearnedJob job{"p", "1", 1000, {use("a.test"), use("a.test")}};
  EXPECT_EQ(add(job), 1u);
  EXPECT_EQ(add(job), 1u);
  EXPECT_THAT(texts(learned("p")), ElementsAre("a.test:443 jobs=1 count=4 new"));
}

TEST_F(LearnStoreTest, AProjectIsBounded) {
  LearnedJob job{"p", "1", 1000, {}};
  for (std::size_t i = 0; i < kMaxLearned + 5; ++i) job.uses.push_back(use(std::to_string(i)));
  EXPECT_EQ(add(job), kMaxLearned);
  EXPECT_EQ(learned("p").destinations.size(), kMaxLearned);
  EXPECT_EQ(learned("p").left_out, 5u);
  EXPECT_EQ(add({"q", "1", 1000, {use("a.test")}}), 1u) << "of a project, not of all";
}

TEST_F(LearnStoreTest, ProcessesAtOnce) {
  constexpr int kProcesses = 8, kJobs = 20;
  std::vector<pid_t> children;
  for (int child = 0; child < kProcesses; ++child) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      for (int job = 0; job < kJobs; ++job) {
        auto store = LearnStore::open(path_, true);
        if (!store) ::_exit(1);
        const std::string key = std::to_string(child) + "." + std::to_string(job);
        if (!store->add({"p", key, 1, {use("shared.test"), use("of." + key)}})) ::_exit(2);
      }
      ::_exit(0);
    }
    children.push_back(pid);
  }
  for (const pid_t pid : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
  }
  const Learned all = learned("p");
  EXPECT_EQ(all.jobs, kProcesses * kJobs);
  ASSERT_EQ(all.destinations.size(), kProcesses * kJobs + 1u);
  EXPECT_EQ(all.destinations.back().host, "shared.test");
  EXPECT_EQ(all.destinations.back().jobs, kProcesses * kJobs);
}

TEST_F(LearnStoreTest, DamageIsAnErrorAndStaysAsItIs) {
  add({"p", "1", 1000, {use("a.test")}});
  const auto size = static_cast<std::streamoff>(std::filesystem::file_size(path_));
  for (std::streamoff at = 0; at < size; at += 512) {
    std::filesystem::copy_file(path_, folder_ + "/copy.db",
                               std::filesystem::copy_options::overwrite_existing);
    std::fstream file(folder_ + "/copy.db", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(at);
    file << std::string(512, '\xee');
    file.close();
    auto store = LearnStore::open(folder_ + "/copy.db", true);
    if (store) (void)store->learned("p");  // whatever it says, it ends
    if (store) (void)store->add({"p", "2", 2000, {use("b.test")}});
    if (at == 0) {
      ASSERT_FALSE(store);
      EXPECT_THAT(store.error().text, HasSubstr("damaged"));
    }
  }
}

TEST_F(LearnStoreTest, WhatIsNoneOfOursIsRefused) {
  std::ofstream(path_)
      << "no database at all, but long enough to be read as the head of one ......";
  auto store = LearnStore::open(path_, true);
  ASSERT_FALSE(store);
  EXPECT_THAT(store.error().text, HasSubstr("the file is damaged or no SQLite file"));
  EXPECT_THAT(store.error().hint, HasSubstr("move it away"));

  store = LearnStore::open(folder_ + "/missing/egress.db", true);
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(LearnStore::open(folder_ + "/none.db", false)) << "reading makes none";
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/none.db"));

  std::filesystem::create_symlink(path_, folder_ + "/link.db");
  EXPECT_FALSE(LearnStore::open(folder_ + "/link.db", true)) << "no links";
}

TEST_F(LearnStoreTest, AnotherVersionIsLeftAlone) {
  add({"p", "1", 1000, {use("a.test")}});
  std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(63);  // the last byte of user_version
  file.put('\x02');
  file.close();
  const auto store = LearnStore::open(path_, true);
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(store.error().text, HasSubstr("schema 2"));
}

TEST(LearnTable, MergesFilesInAnyOrder) {
  const auto at = [](std::string host, std::uint64_t ns) {
    LearnedUse use;
    use.host = std::move(host);
    use.port = 443;
    use.proto = "tcp";
    use.count = 1;
    use.first_ns = use.last_ns = ns;
    return use;
  };
  LearnTable table;
  table.add({"p", "2", 2000, {at("a.test", 1500), at("b.test", 1500)}});
  table.add({"p", "1", 1000, {at("a.test", 500)}});
  table.add({"p", "1", 1000, {at("a.test", 500)}});
  const Learned learned = table.learned();
  EXPECT_EQ(learned.jobs, 2u);
  EXPECT_EQ(learned.last_new, 1u);
  ASSERT_EQ(learned.destinations.size(), 2u);
  EXPECT_EQ(learned.destinations[0].jobs, 2u);
  EXPECT_EQ(learned.destinations[0].first_ns, 500u);
  EXPECT_FALSE(learned.destinations[0].is_new);
  EXPECT_TRUE(learned.destinations[1].is_new);
}

}  // namespace
}  // namespace cicd

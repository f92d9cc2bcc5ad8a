// SPDX-License-Identifier: Apache-2.0
#include "agent/process_notes.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace cicd {

namespace {

class ProcessNotesTest : public ::testing::Test {
 protected:
  ProcessNotesTest() : path_("/tmp/cicd-notes-" + std::to_string(::getpid())) {}
  ~ProcessNotesTest() override { std::filesystem::remove(path_); }
  const std::string path_;
};

// Answers once for each process, as one that is gone later.
class OnceReader final : public ProcReader {
 public:
  std::optional<ProcFacts> read(std::uint32_t pid, std::uint64_t) override {
    ++asked;
    if (pid != 7) return std::nullopt;
    return ProcFacts{
        1, 1000, "/bin/\xff", "/", {"a\nb", "\x80\"", ""}, true, std::string("A=b\0", 4)};
  }
  int asked = 0;
};

TEST_F(ProcessNotesTest, AnswersAreThereForTheNextReader) {
  {
    auto notes = ProcessNotes::create(path_);
    ASSERT_TRUE(notes) << notes.error().text;
    NotingProcReader reader(std::make_unique<OnceReader>());
    EXPECT_TRUE(reader.read(7, 70)) << "also when nobody notes it";
    reader.set_notes(notes->get());
    EXPECT_TRUE(reader.read(7, 71));
    EXPECT_FALSE(reader.read(8, 80));
  }
  auto notes = ProcessNotes::resume(path_);
  ASSERT_TRUE(notes) << notes.error().text;
  auto proc = std::make_unique<OnceReader>();
  const OnceReader& asked = *proc;
  NotingProcReader reader(std::move(proc));
  reader.set_notes(notes->get());
  const auto facts = reader.read(7, 71);
  ASSERT_TRUE(facts);
  EXPECT_EQ(asked.asked, 0);
  EXPECT_EQ(facts->parent_pid, 1u);
  EXPECT_EQ(facts->uid, 1000u);
  EXPECT_EQ(facts->exec_path, "/bin/\xff");
  EXPECT_EQ(facts->argv, (std::vector<std::string>{"a\nb", "\x80\"", ""}));
  EXPECT_TRUE(facts->argv_truncated);
  EXPECT_EQ(facts->environment, std::string("A=b\0", 4));
  EXPECT_TRUE(reader.read(7, 72)) << "another process with that pid";
  EXPECT_EQ(asked.asked, 1);
}

TEST_F(ProcessNotesTest, WhatIsCutOrWrongIsLeftOut) {
  std::ofstream(path_) << "{\"pid\":1}\n[]\nnull\n{\"pid\":\"x\"}\n{\"pid\":7,\"sta";
  const auto notes = ProcessNotes::resume(path_);
  ASSERT_TRUE(notes) << notes.error().text;
  EXPECT_FALSE((*notes)->find(7, 71));
  EXPECT_FALSE(ProcessNotes::create("/nonexistent/notes"));
}

}  // namespace

}  // namespace cicd

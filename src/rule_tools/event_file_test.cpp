// SPDX-License-Identifier: Apache-2.0
#include "rule_tools/event_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "evidence/row_writer.h"
#include "rule/test_events.h"

namespace cicd {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

class Events : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "event_file_XXXXXX";
    folder_ = ::mkdtemp(name.data());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string put(const std::string& name, const std::string& text) {
    std::ofstream(folder_ + "/" + name) << text;
    return folder_ + "/" + name;
  }
  static std::string row(const std::string& path) {
    std::string out;
    RowWriter({}).append_event(out, test::open(path, {{"/bin/cat", {"cat"}}}).record());
    return out;
  }
  static std::string path_of(const EventFile& file) {
    return std::string(file.events.at(0).record.text(field::file_open::kPath));
  }
  static std::string error_of(const std::string& argument) {
    const auto file = read_event_file(argument);
    return file ? "no error" : file.error().text;
  }

  std::string folder_;
};

TEST_F(Events, OneRowNeedsNoLine) {
  const auto file = read_event_file(put("e.json", row("/one")));
  ASSERT_TRUE(file) << file.error().text;
  EXPECT_EQ(path_of(*file), "/one");
  std::string wide = row("/two");
  for (std::size_t at = 0; (at = wide.find(",\"", at)) != std::string::npos; at += 3) {
    wide.insert(at + 1, "\n ");
  }
  EXPECT_EQ(path_of(*read_event_file(put("wide.json", wide))), "/two");
}

TEST_F(Events, ALogNeedsALine) {
  const std::string log = put("a:3.jsonl", row("/one") + row("/two") + "{}\n");
  EXPECT_THAT(error_of(log), HasSubstr("more than one row; name one: FILE:LINE"));
  EXPECT_EQ(path_of(*read_event_file(log + ":2")), "/two");
  EXPECT_THAT(error_of(log + ":3"), HasSubstr("no row of the log format"));
  EXPECT_THAT(error_of(log + ":9"), HasSubstr("not JSON"));
  EXPECT_THAT(error_of(log + ":0"), HasSubstr("cannot open"));
  EXPECT_THAT(error_of(folder_ + "/none"), HasSubstr("cannot open"));
  EXPECT_THAT(error_of("/dev/zero"), HasSubstr("more than 4 MiB"));
}

TEST_F(Events, ATestFileNeedsTheLineOfACase) {
  const std::string tests = put("t.yaml",
                                "rules: [baseline, r.yaml]\n"
                                "process: {exec_path: /x}\n"
                                "tests:\n"
                                "- rule: r\n"
                                "  fires:\n"
                                "  - file_open: {path: /one}\n"
                                "  - job:\n"
                                "    - file_open: {path: /two}\n"
                                "    - file_open: {path: /three}\n"
                                "- {event: {file_open: {path: /four}}, expect: []}\n");
  EXPECT_THAT(error_of(tests), HasSubstr("the file has 3 cases; name one by its line"));
  EXPECT_THAT(error_of(tests + ":3"), HasSubstr("no case at line 3"));
  EXPECT_EQ(path_of(*read_event_file(tests + ":6")), "/one");
  EXPECT_EQ(path_of(*read_event_file(tests + ":7")), "/two");
  EXPECT_THAT(read_event_file(tests + ":7")->events, SizeIs(2));
  EXPECT_EQ(path_of(*read_event_file(tests + ":9")), "/three");
  EXPECT_EQ(path_of(*read_event_file(tests + ":10")), "/four");
  EXPECT_EQ(read_event_file(tests + ":6")->rules[1], folder_ + "/r.yaml");
  put("t.yaml", "rules: baseline\n");
  EXPECT_THAT(error_of(tests), HasSubstr("no `tests`"));
}

}  // namespace
}  // namespace cicd

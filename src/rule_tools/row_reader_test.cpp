// SPDX-License-Identifier: Apache-2.0
#include "rule_tools/row_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "evidence/row_writer.h"
#include "rule/test_events.h"

namespace cicd {
namespace {

using test::Event;
using testing::HasSubstr;

RowOptions options(bool redact = false) {
  RowOptions out;
  out.identity.provider = "generic";
  out.identity.provider_host = "local";
  out.identity.project_path = "team/app";
  out.identity.job_key = "run-1";
  out.scope = "project";
  out.runner_type = "machine";
  out.redact_process_args = redact;
  return out;
}

std::string row_of(const EventRecord& record, bool redact = false) {
  std::string out;
  RowWriter(options(redact)).append_event(out, record);
  out.pop_back();
  return out;
}

void expect_same(const EventRecord& read, const EventRecord& written) {
  EXPECT_EQ(read.type, written.type);
  EXPECT_EQ(read.time_ns, written.time_ns);
  EXPECT_EQ(read.marks, written.marks);
  const auto count = static_cast<std::uint8_t>(info_of(written.type).fields.size());
  ASSERT_EQ(read.step != nullptr, written.step != nullptr);
  if (read.step) {
    EXPECT_EQ(read.step->id, written.step->id);
    EXPECT_EQ(read.step->name, written.step->name);
  }
  for (std::uint8_t i = 0; i < count; ++i) {
    EXPECT_EQ(read.text(i), written.text(i));
    EXPECT_EQ(read.number(i), written.number(i));
  }
  const Process* a = read.process.get();
  const Process* b = written.process.get();
  EXPECT_EQ(a->pid, b->pid);
  EXPECT_EQ(a->uid, b->uid);
  for (; a != nullptr && b != nullptr; a = a->parent.get(), b = b->parent.get()) {
    EXPECT_EQ(a->exec_path(), b->exec_path());
    EXPECT_EQ(a->image->argv, b->image->argv);
  }
  EXPECT_EQ(a, nullptr);
  EXPECT_EQ(b, nullptr);
}

// An event with every field set, of bytes that are no UTF-8 too.
Event full_event(EventType type) {
  Event event(type, test::chain({{"/usr/bin/c\xff", {"c\xff", "", "x"}}, {"/bin/sh", {"sh"}}}));
  const EventTypeInfo& info = info_of(type);
  const auto count = static_cast<std::uint8_t>(info.fields.size());
  for (std::uint8_t i = 0; i < count; ++i) {
    if (info.fields[i].type == FieldType::kString) {
      event.text(i, i % 2 == 0 ? "/\xc3\xa9 \"\\\n" : "\xfe");
    } else {
      event.number(i, info.fields[i].type == FieldType::kBool ? 1 : 70000 + i);
    }
  }
  event.step(std::make_shared<const Step>(Step{"__run\xff", "build \"it\""}));
  const_cast<EventRecord&>(event.record()).time_ns = 1'764'000'000'123'456'789;
  const_cast<EventRecord&>(event.record()).marks = kMarkSendmsg | kMarkTruncatedPath;
  return event;
}

TEST(RowReader, ReadsBackWhatTheWriterWrote) {
  RowReader reader;
  for (const EventTypeInfo& info : event_types()) {
    const Event event = full_event(info.type);
    const auto row = reader.read(row_of(event.record()));
    ASSERT_TRUE(row) << info.name << ": " << row.error().text;
    EXPECT_EQ((*row)->kind, LogRow::Kind::kEvent);
    expect_same((*row)->record, event.record());
    EXPECT_EQ((*row)->event_id.size(), 36u);
    EXPECT_FALSE((*row)->has_shortened_arguments);
  }
}

TEST(RowReader, ReadsTheJob) {
  RowReader reader;
  const auto row = reader.read(row_of(full_event(EventType::kMount).record()));
  ASSERT_TRUE(row);
  EXPECT_EQ((*row)->job_name, "team/app run-1");
  EXPECT_EQ((*row)->project.provider_host, "local");
  EXPECT_EQ((*row)->project.project_path, "team/app");
  const std::string key = (*row)->job_key;
  RowOptions other = options();
  other.identity.job_key = "run-2";
  std::string line;
  RowWriter(other).append_event(line, full_event(EventType::kMount).record());
  EXPECT_NE((*reader.read(line))->job_key, key);
  other = options();
  other.scope = "host";
  line.clear();
  RowWriter(other).append_event(line, full_event(EventType::kMount).record());
  EXPECT_NE((*reader.read(line))->job_key, key);
}

TEST(RowReader, ReadsDetections) {
  CompiledRule rule;
  rule.ruleset_id = "set";
  rule.rule.rule_id = "r";
  rule.rule.rule_name = "name";
  std::string line;
  RowWriter(options()).append_detection(line, full_event(EventType::kDomain).record(), rule, false);
  RowReader reader;
  const auto row = reader.read(line);
  ASSERT_TRUE(row);
  EXPECT_EQ((*row)->kind, LogRow::Kind::kDetection);
  EXPECT_EQ((*row)->ruleset_id + "/" + (*row)->rule_id + " " + (*row)->rule_name, "set/r name");
}

TEST(RowReader, SaysWhatRowsDoNotHold) {
  RowReader reader;
  const auto is_shortened = [&](const std::vector<std::string>& argv) {
    const Event event = test::exec({{"/x", {"x"}}, {"/y", argv}});
    const auto row = reader.read(row_of(event.record(), true));
    return row && (*row)->has_shortened_arguments;
  };
  EXPECT_FALSE(is_shortened({"y", "-v"}));
  EXPECT_TRUE(is_shortened({"y", "--token", "x"}));
  EXPECT_TRUE(is_shortened({"y", "0123456789abc"}));
  EXPECT_TRUE(is_shortened({"y", std::string(3000, 'x')}));
  const auto has_most = [&](std::size_t processes) {
    const Event event =
        test::exec(std::vector<test::Program>(processes, test::Program{"/x", {"x"}}));
    const auto row = reader.read(row_of(event.record()));
    return row && (*row)->has_most_ancestors;
  };
  EXPECT_FALSE(has_most(16));
  EXPECT_TRUE(has_most(17));
  EXPECT_TRUE(has_most(30));
}

TEST(RowReader, EqualProcessesAreOne) {
  RowReader reader;
  const Event event = full_event(EventType::kMount);
  const auto first = (*reader.read(row_of(event.record())))->record.process;
  EXPECT_EQ((*reader.read(row_of(event.record())))->record.process, first);
  const Event other = test::exec({{"/x", {"x"}}});
  EXPECT_NE((*reader.read(row_of(other.record())))->record.process, first);
}

TEST(RowReader, OtherRowsAreNoMistakes) {
  RowReader reader;
  const auto row = reader.read(R"({"log_type":"cicd_sensor.summary","result":"passed"})");
  ASSERT_TRUE(row);
  EXPECT_EQ((*row)->kind, LogRow::Kind::kOther);
}

struct Bad {
  const char* from;  // in a good row
  const char* to;
  const char* reason;
};

TEST(RowReader, EveryMistakeHasAReason) {
  RowReader reader;
  Event event = test::open("/a", {{"/x", {"x"}}, {"/y", {"y"}}});
  event.number(field::file_open::kFlags, 5);
  const std::string good = row_of(event.record());
  ASSERT_TRUE(reader.read(good)) << good;
  for (const Bad& bad : std::initializer_list<Bad>{
           {"{\"timestamp", "\"timestamp", "this is not JSON"},
           {"\"file_open\",", "\"file_opened\",", "unknown event type \"file_opened\""},
           {"\"path\":\"/a\"", "\"path\":7", "member path is not a text"},
           {"\"path\":\"/a\"", "\"path\":\"/a\",\"path_base64\":\"?\"",
            "member path_base64 is not base64"},
           {"\"is_read\":true", "\"is_read\":1", "member is_read is not true or false"},
           {"\"flags\":\"5\"", "\"flags\":\"5x\"", "member flags is not a whole number"},
           {"\"flags\":\"5\"", "\"flags\":1.5", "member flags is not a whole number"},
           {"\"flags\":\"5\"", "\"flags\":18446744073709551615", "member flags is not a whole"},
           {"\"argv\":[\"x\"]", "\"argv\":\"x\"", "member argv is not a list"},
           {"\"argv\":[\"x\"]", "\"argv\":[1]", "member argv is not a list of texts"},
           {"\"argv\":[\"x\"]", "\"argv\":[\"x\"],\"argv_base64\":[\"!\"]", "argv_base64"},
           {"\"ancestors\":[{", "\"ancestors\":[[],{", "member ancestors is not a list of objects"},
           {"\"uid\":0", "\"uid\":-1", "member uid is not a number of 32 bits"},
           {"\"timestamp\":\"1970", "\"timestamp\":\"x", "member timestamp is not a time"},
           {"\"process\":", "\"proces\":", "the row has no member process"},
           {"\"event\":", "\"evnt\":", "the row has no member event"},
           {"\"schema_version\":\"v1\"", "\"schema_version\":\"v2\"", "this program reads v1"},
           {"cicd_sensor.runtime", "other.runtime", "this is no row of the log format"}}) {
    std::string line = good;
    const std::size_t at = line.find(bad.from);
    ASSERT_NE(at, std::string::npos) << bad.from << " in " << good;
    line.replace(at, std::string_view(bad.from).size(), bad.to);
    const auto row = reader.read(line);
    ASSERT_FALSE(row) << line;
    EXPECT_THAT(row.error().text, HasSubstr(bad.reason)) << line;
  }
  for (const char* line : {"", "null", "[]", "{}", "\xff", "{\"log_type\":1}"}) {
    EXPECT_FALSE(reader.read(line)) << line;
  }
}

TEST(RowReader, DeepAndLongRowsEnd) {
  RowReader reader;
  const std::string deep(2u << 20, '[');
  EXPECT_FALSE(reader.read(deep));
  EXPECT_FALSE(reader.read("{\"log_type\":\"cicd_sensor.runtime_event\",\"event\":" + deep +
                           std::string(2u << 20, ']') + "}"));
  EXPECT_THAT(reader.read(std::string((4u << 20) + 1, ' ')).error().text, HasSubstr("4 MiB"));
  std::string many = "/x\",\"ancestors\":[{}";
  for (int i = 0; i < 64; ++i) many += ",{}";
  std::string line = row_of(test::exec({{"/x", {}}}).record());
  line.replace(line.find("/x\""), 3, many + "]");
  EXPECT_THAT(reader.read(line).error().text, HasSubstr("more than 64 ancestors"));
}

}  // namespace
}  // namespace cicd

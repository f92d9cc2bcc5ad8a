// SPDX-License-Identifier: Apache-2.0
#include "base/json_writer.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "base/utf8.h"

namespace cicd {
namespace {

std::string quoted(std::string_view text) {
  std::string out;
  JsonWriter(out).string(text);
  return out;
}

TEST(JsonWriter, PutsCommasWhereTheyBelong) {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  json.member("a", "x");
  json.member_number("b", 7);
  json.key("c");
  json.begin_array();
  json.number(1);
  json.begin_object();
  json.end_object();
  json.boolean(true);
  json.begin_array();
  json.end_array();
  json.string("");
  json.end_array();
  json.key("d");
  json.raw("{\"k\":null}");
  json.key("e");
  json.number_string(UINT64_MAX);
  json.member_if("f", "");
  json.member_number("g", INT64_MIN);
  json.end_object();
  EXPECT_EQ(out, R"({"a":"x","b":7,"c":[1,{},true,[],""],"d":{"k":null},)"
                 R"("e":"18446744073709551615","g":-9223372036854775808})");
}

// The last byte of a string's content must not be taken for a bracket.
TEST(JsonWriter, TextThatLooksLikeJsonDoesNotConfuseIt) {
  std::string out;
  JsonWriter json(out);
  json.begin_array();
  for (std::string_view text : {"{", "[", ":", ",", "\n", "\"", "\\"}) json.string(text);
  json.end_array();
  EXPECT_EQ(nlohmann::json::parse(out), nlohmann::json({"{", "[", ":", ",", "\n", "\"", "\\"}));
}

TEST(JsonWriter, EscapesWhatSteersATerminal) {
  EXPECT_EQ(quoted("a\"b\\c\n\r\t"), R"("a\"b\\c\n\r\t")");
  EXPECT_EQ(quoted(std::string_view("\0\x01\x1B\x7F", 4)), R"("\u0000\u0001\u001b\u007f")");
  EXPECT_EQ(quoted("\xC2\x9B"), R"("\u009b")");      // C1: CSI
  EXPECT_EQ(quoted("\xE2\x80\xAE"), R"("\u202e")");  // right-to-left override
  EXPECT_EQ(quoted("\xE2\x80\xA8\xE2\x81\xA6"), R"("\u2028\u2066")");
  EXPECT_EQ(quoted("caf\xC3\xA9 \xE6\xBC\xA2"), "\"caf\xC3\xA9 \xE6\xBC\xA2\"");
}

TEST(JsonWriter, BytesThatAreNoTextAreKeptBesideIt) {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  json.member("path", "/tmp/\xFF\xFEx");
  json.member("other", "fine");
  json.end_object();
  const auto parsed = nlohmann::json::parse(out);
  EXPECT_EQ(parsed["path"], "/tmp/\xEF\xBF\xBD\xEF\xBF\xBDx");
  EXPECT_EQ(parsed["path_base64"],
            "L3RtcC//"
            "/ng=");
  EXPECT_EQ(parsed.size(), 3u);
}

TEST(JsonWriter, RandomBytesAreAlwaysValidJsonAndValidUtf8) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 20'000; ++round) {
    std::string text(random() % 40, '\0');
    for (char& c : text) {
      // Half of the rounds from few bytes, so that nearly valid sequences come up often.
      static constexpr char kNasty[] = "\xC2\xE2\x80\xAE\xF0\x9F\x98\xED\xA0\"\\\n/a\x00\x1F";
      c = round % 2 == 0 ? static_cast<char>(random()) : kNasty[random() % (sizeof(kNasty) - 1)];
    }
    std::string out;
    JsonWriter json(out);
    json.begin_object();
    json.member("t", text);
    json.end_object();
    ASSERT_TRUE(is_valid_utf8(out));
    const auto parsed = nlohmann::json::parse(out, nullptr, false);
    ASSERT_FALSE(parsed.is_discarded()) << out;
    if (is_valid_utf8(text)) {
      ASSERT_EQ(parsed["t"].get<std::string>(), text);
      ASSERT_EQ(parsed.size(), 1u);
    } else {
      std::string encoded;
      append_base64(encoded, text);
      ASSERT_EQ(parsed["t_base64"].get<std::string>(), encoded);
    }
  }
}

TEST(JsonWriter, TimeHasTheFewestDigitsThatLoseNothing) {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  json.time_member("a", 1'795'348'800'000'000'000);
  json.time_member("b", 1'795'348'800'001'000'000);
  json.end_object();
  EXPECT_EQ(out, R"({"a":"2026-11-22T12:00:00Z","b":"2026-11-22T12:00:00.001Z"})");
}

TEST(IndentedJson, IsTheSameTextOnLines) {
  const std::string json = R"({"a":[1,{"b":"x,{\"\\"}],"c":{},"d":[],"e":true})";
  EXPECT_EQ(indented_json(json, 1'000), R"({
  "a": [
    1,
    {
      "b": "x,{\"\\"
    }
  ],
  "c": {},
  "d": [],
  "e": true
})");
  const std::size_t size = indented_json(json, 1'000).size();
  EXPECT_EQ(indented_json(json, size).size(), size);
  EXPECT_EQ(indented_json(json, size - 1), "");
}

}  // namespace
}  // namespace cicd

// SPDX-License-Identifier: Apache-2.0
#include "base/utf8.h"

#include <gtest/gtest.h>

namespace cicd {
namespace {

TEST(Utf8, DecodesEveryLength) {
  EXPECT_EQ(decode_utf8("a").code_point, U'a');
  EXPECT_EQ(decode_utf8("\xC3\xA9x").code_point, 0xE9u);
  EXPECT_EQ(decode_utf8("\xE2\x82\xAC").code_point, 0x20ACu);
  EXPECT_EQ(decode_utf8("\xF0\x9F\x98\x80").code_point, 0x1F600u);
  EXPECT_EQ(decode_utf8("\xF0\x9F\x98\x80").bytes, 4u);
}

TEST(Utf8, RefusesWhatTheStandardRefuses) {
  for (std::string_view bad : {
           std::string_view("\x80"),
           std::string_view("\xC0\x80"),
           std::string_view("\xC1\xBF"),
           std::string_view("\xE0\x9F\xBF"),      // overlong
           std::string_view("\xED\xA0\x80"),      // surrogate
           std::string_view("\xF0\x8F\xBF\xBF"),  // overlong
           std::string_view("\xF4\x90\x80\x80"),  // above U+10FFFF
           std::string_view("\xF5\x80\x80\x80"),
           std::string_view("\xE2\x82"),
           std::string_view("\xC3"),
           std::string_view("\xFF"),
           std::string_view("\xE2\x28\xA1"),
           std::string_view("\xF0\x9F\x98\x28"),
       }) {
    EXPECT_FALSE(decode_utf8(bad).is_valid);
    EXPECT_EQ(decode_utf8(bad).bytes, 1u);
    EXPECT_FALSE(is_valid_utf8(bad));
    EXPECT_FALSE(is_valid_utf8("ok" + std::string(bad) + "ok"));
  }
  EXPECT_TRUE(is_valid_utf8(""));
  EXPECT_TRUE(is_valid_utf8("plain \xC3\xA9 \xED\x9F\xBF \xEE\x80\x80 \xF4\x8F\xBF\xBF"));
}

TEST(Utf8, AppendsWhatItDecodes) {
  for (char32_t c : {U'a', U'\u007f', U'\u0080', U'\u07ff', U'\u0800', U'\uffff', U'\U00010000',
                     U'\U0010ffff'}) {
    std::string text;
    append_utf8(text, c);
    EXPECT_EQ(decode_utf8(text).code_point, c);
    EXPECT_EQ(decode_utf8(text).bytes, text.size());
  }
}

TEST(Utf8, CutsBetweenCharacters) {
  const std::string_view text =
      "ab\xE2\x82\xAC"
      "cd";  // the sign takes bytes 2 to 4
  EXPECT_EQ(cut_utf8(text, 99), text);
  EXPECT_EQ(cut_utf8(text, 7), text);
  EXPECT_EQ(cut_utf8(text, 5), text.substr(0, 5));
  EXPECT_EQ(cut_utf8(text, 4), "ab");
  EXPECT_EQ(cut_utf8(text, 3), "ab");
  EXPECT_EQ(cut_utf8(text, 2), "ab");
  EXPECT_EQ(cut_utf8(text, 0), "");
  EXPECT_EQ(cut_utf8("\xFF\xFF\xFF\xFF", 2), "\xFF\xFF");  // no character to spare
}

TEST(Utf8, KnowsWhatMustNotBeShown) {
  for (char32_t c : {0x1Bu, 0x7Fu, 0x9Bu, 0xADu, 0x200Bu, 0x202Eu, 0x2066u, 0xFEFFu, 0xE0041u,
                     0xE000u, 0x10FFFFu}) {
    EXPECT_TRUE(is_unsafe_to_show(c)) << std::hex << static_cast<unsigned>(c);
  }
  for (char32_t c : {U' ', U'~', U'é', U'€', U'漢', U'😀'}) EXPECT_FALSE(is_unsafe_to_show(c));
}

// RFC 4648, section 10.
TEST(Base64, TestVectors) {
  const std::pair<const char*, const char*> kVectors[] = {
      {"", ""},
      {"f", "Zg=="},
      {"fo", "Zm8="},
      {"foo", "Zm9v"},
      {"foob", "Zm9vYg=="},
      {"fooba", "Zm9vYmE="},
      {"foobar", "Zm9vYmFy"},
  };
  for (const auto& [plain, encoded] : kVectors) {
    std::string out;
    append_base64(out, plain);
    EXPECT_EQ(out, encoded);
    EXPECT_EQ(decode_base64(encoded), plain);
  }
  std::string out;
  append_base64(out, "\xFB\xFF\xFE");
  EXPECT_EQ(out, "+//+");
  EXPECT_EQ(decode_base64("+//+"), "\xFB\xFF\xFE");
}

TEST(Base64, RefusesWhatIsNone) {
  for (const char* text : {"A", "AA", "AAA", "Zg=", "Zh==", "Zm9=", "====", "Z===", "Zg==Zg==",
                           "Zm 9", "Zm9-", "Zm9v\n"}) {
    EXPECT_EQ(decode_base64(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace cicd

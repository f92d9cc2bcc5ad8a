// SPDX-License-Identifier: Apache-2.0
#include "report/terminal_text.h"

#include <gtest/gtest.h>

#include <random>

#include "base/utf8.h"

namespace cicd {
namespace {

TEST(TerminalText, EscapesWhatIsNotPlainText) {
  EXPECT_EQ(escape_for_terminal("plain ~ text"), "plain ~ text");
  EXPECT_EQ(escape_for_terminal("a\nb\r\t\x1b[31m\x7f"), "a\\nb\\r\\t\\x1b[31m\\x7f");
  EXPECT_EQ(escape_for_terminal(std::string_view("\0", 1)), "\\x00");
  EXPECT_EQ(escape_for_terminal("\xFF/\xC3"), "\\xff/\\xc3");
  EXPECT_EQ(escape_for_terminal("\xC2\x9B"
                                "2J"),
            "\\u{9b}2J");  // C1 CSI
  EXPECT_EQ(escape_for_terminal("a\xE2\x80\xAE"
                                "b"),
            "a\\u{202e}b");                                          // override
  EXPECT_EQ(escape_for_terminal("\xE2\x80\x8B"), "\\u{200b}");       // zero width space
  EXPECT_EQ(escape_for_terminal("\xF3\xA0\x81\x81"), "\\u{e0041}");  // tag
  EXPECT_EQ(escape_for_terminal("\xEE\x80\x80"), "\\u{e000}");       // private use
  EXPECT_EQ(escape_for_terminal("\xCD\xB8"), "\\u{378}");            // unassigned
  EXPECT_EQ(escape_for_terminal("caf\xC3\xA9 \xE6\xBC\xA2"), "caf\xC3\xA9 \xE6\xBC\xA2");
}

TEST(TerminalText, OnlyTwoMarksOnACharacterAndNoneOnNothing) {
  const std::string mark = "\xCC\x81";
  EXPECT_EQ(escape_for_terminal("e" + mark + "x"), "e" + mark + "x");
  EXPECT_EQ(escape_for_terminal("e" + mark + mark + mark), "e" + mark + mark + "\\u{301}");
  EXPECT_EQ(escape_for_terminal(mark), "\\u{301}");
  EXPECT_EQ(escape_for_terminal("\n" + mark), "\\n\\u{301}");
}

TEST(TerminalText, WidthsOfCharacters) {
  EXPECT_EQ(display_width("abc"), 3);
  EXPECT_EQ(display_width("\xE6\xBC\xA2\xE5\xAD\x97"), 4);
  EXPECT_EQ(display_width("\xF0\x9F\x98\x80"), 2);
  EXPECT_EQ(display_width("e\xCC\x81"), 1);
}

TEST(TerminalText, CutsInTheMiddleAndKeepsTheEnd) {
  EXPECT_EQ(fit("/usr/bin/cc", 11), "/usr/bin/cc");
  EXPECT_EQ(fit("/usr/lib/gcc/x86_64/12/cc1plus", 20), "/usr/l.../12/cc1plus");
  EXPECT_EQ(fit("abcdef", 4), "...f");
  EXPECT_EQ(fit("abcdef", 2), "..");
  EXPECT_EQ(fit("abcdef", 0), "");
  EXPECT_EQ(fit_left("ab", 4), "ab  ");
  EXPECT_EQ(fit_right("ab", 4), "  ab");
}

TEST(TerminalText, WideCharactersAreNeverTornApart) {
  std::string wide;
  for (int i = 0; i < 20; ++i) wide += "\xE6\xBC\xA2";
  for (int columns = 1; columns < 45; ++columns) {
    const std::string text = fit(wide, columns);
    EXPECT_TRUE(is_valid_utf8(text));
    EXPECT_LE(display_width(text), columns);
    EXPECT_EQ(display_width(fit_left(wide, columns)), columns);
    EXPECT_EQ(display_width(fit_right(wide, columns)), columns);
  }
}

TEST(TerminalText, RandomBytesNeverGetTooWideOrUnsafe) {
  std::mt19937_64 random(5);
  static constexpr char kNasty[] =
      "\xCC\x81\xE2\x80\xAE\xE6\xBC\xA2\xF0\x9F\x98\x80\x1B[\n\xC2\x9B\xFF/abc";
  for (int round = 0; round < 5'000; ++round) {
    std::string text(random() % 80, '\0');
    for (char& c : text) {
      c = round % 2 == 0 ? static_cast<char>(random()) : kNasty[random() % (sizeof(kNasty) - 1)];
    }
    const int columns = static_cast<int>(random() % 40);
    const std::string shown = fit(text, columns);
    ASSERT_LE(display_width(shown), columns);
    ASSERT_TRUE(is_valid_utf8(shown));
    for (std::string_view rest = shown; !rest.empty();) {
      const Utf8Char c = decode_utf8(rest);
      ASSERT_FALSE(is_unsafe_to_show(c.code_point));
      rest.remove_prefix(c.bytes);
    }
  }
}

TEST(TerminalText, NumbersAreReadable) {
  EXPECT_EQ(with_separators(0), "0");
  EXPECT_EQ(with_separators(999), "999");
  EXPECT_EQ(with_separators(1'000), "1,000");
  EXPECT_EQ(with_separators(1'234'567), "1,234,567");
  EXPECT_EQ(with_separators(UINT64_MAX), "18,446,744,073,709,551,615");
}

}  // namespace
}  // namespace cicd

// SPDX-License-Identifier: Apache-2.0
#include "report/page_text.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "base/utf8.h"

namespace cicd {
namespace {

std::string json(std::string_view text) {
  std::string out;
  append_page_json(out, text);
  return out;
}
std::string html(std::string_view text, bool marked = true) {
  std::string out;
  append_page_html(out, text, marked);
  return out;
}
std::string marked(std::string_view escape) {
  return std::string("\xEE\x80\x80").append(escape).append("\xEE\x80\x81");
}

TEST(PageText, PlainTextStaysAsItIs) {
  EXPECT_EQ(json("/usr/lib/gcc/a-b_c.h: 12%"), "/usr/lib/gcc/a-b_c.h: 12%");
  EXPECT_EQ(html("/usr/lib"), "/usr/lib");
  EXPECT_EQ(json("\xC3\xA4\xE6\x97\xA5"), "\xC3\xA4\xE6\x97\xA5");
}

TEST(PageText, NothingEndsAnElementOrAString) {
  EXPECT_EQ(json("</script><!--"), "\\u003c/script>\\u003c!--");
  EXPECT_EQ(json("a\"b\\c"), "a\\\"b\\\\c");
  EXPECT_EQ(html("<b a=\"x\" c='y'>&amp;"), "&lt;b a=&quot;x&quot; c=&#39;y&#39;&gt;&amp;amp;");
}

TEST(PageText, WhatCannotBeShownIsSpelledOutAndMarked) {
  EXPECT_EQ(json("a\nb"), "a" + marked("\\\\n") + "b");
  EXPECT_EQ(json("\x1b[31m"), marked("\\\\x1b") + "[31m");
  EXPECT_EQ(json("\xFF"), marked("\\\\xff"));
  EXPECT_EQ(json("a\xE2\x80\xAE"), "a" + marked("\\\\u{202e}"));
  EXPECT_EQ(json("\xE2\x80\xA8"), marked("\\\\u{2028}"));
  EXPECT_EQ(html("\r\t"), "<i class=\"esc\">\\r</i><i class=\"esc\">\\t</i>");
  EXPECT_EQ(html("\x01", false), "\\x01");
  EXPECT_EQ(html(std::string_view("\0", 1)), "<i class=\"esc\">\\x00</i>");
}

TEST(PageText, NobodyCanWriteTheMarks) {
  EXPECT_EQ(json("\xEE\x80\x80\\n\xEE\x80\x81"),
            marked("\\\\u{e000}") + "\\\\n" + marked("\\\\u{e001}"));
}

TEST(PageText, MarksPileUpToTwo) {
  const std::string acute = "\xCC\x81";
  EXPECT_EQ(json("e" + acute + acute), "e" + acute + acute);
  EXPECT_EQ(json("e" + acute + acute + acute), "e" + acute + acute + marked("\\\\u{301}"));
  EXPECT_EQ(json(acute), marked("\\\\u{301}")) << "a mark with nothing to stand on";
}

TEST(PageText, AnyBytesAreJsonAndShowNothingUnsafe) {
  std::mt19937 random(7);
  const std::string_view nasty[] = {"<",
                                    "\"",
                                    "\\",
                                    "\xE2\x80\xAE",
                                    "\xF3\xA0\x81\x81",
                                    "\xC2\x85",
                                    "\xED\xA0\x80",
                                    "\xEE\x80\x80",
                                    "e",
                                    "\xCC\x81",
                                    "&",
                                    "\0"};
  for (int round = 0; round < 2'000; ++round) {
    std::string text;
    for (int i = 0; i < 12; ++i) {
      if (random() % 2 == 0) {
        text += nasty[random() % std::size(nasty)];
      } else {
        text.push_back(static_cast<char>(random()));
      }
    }
    const std::string written = json(text);
    ASSERT_EQ(written.find('<'), std::string::npos);
    const auto parsed = nlohmann::json::parse("\"" + written + "\"", nullptr, false);
    ASSERT_FALSE(parsed.is_discarded()) << written;
    const std::string shown = parsed.get<std::string>();
    for (std::string_view rest = shown; !rest.empty();) {
      const Utf8Char c = decode_utf8(rest);
      ASSERT_TRUE(c.is_valid);
      const bool is_ours = c.code_point == 0xE000 || c.code_point == 0xE001;
      ASSERT_TRUE(is_ours || !is_unsafe_to_show(c.code_point)) << written;
      rest.remove_prefix(c.bytes);
    }
    const std::string page = html(text);
    ASSERT_TRUE(is_valid_utf8(page));
    ASSERT_EQ(page.find("<b"), std::string::npos);
  }
}

}  // namespace
}  // namespace cicd

// SPDX-License-Identifier: Apache-2.0
// TextMatcher and IpIndex against the plain meaning of each pattern and range.
#include "rule/text_matcher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "rule/ip_index.h"
#include "rule/text_pattern.h"

namespace cicd {
namespace {

using Kind = TextPattern::Kind;

struct Random {
  explicit Random(std::uint32_t seed) : engine(seed) {}
  int pick(int count) { return std::uniform_int_distribution<int>(0, count - 1)(engine); }
  std::string word(const std::string& letters, int most) {
    std::string out;
    for (int i = pick(most + 1); i > 0; --i) {
      out += letters[static_cast<std::size_t>(pick(static_cast<int>(letters.size())))];
    }
    return out;
  }
  std::mt19937 engine;
};

void expect_agreement(const std::vector<std::pair<Kind, std::string>>& patterns,
                      const std::vector<std::string>& texts) {
  std::vector<TextMatcher::Pattern> given;
  for (std::uint32_t i = 0; i < patterns.size(); ++i) {
    given.push_back({patterns[i].first, patterns[i].second, i});
  }
  const TextMatcher matcher(given);
  TextMatcher::Seen seen;
  for (const std::string& text : texts) {
    std::set<std::uint32_t> expected;
    for (std::uint32_t i = 0; i < patterns.size(); ++i) {
      if (fits(patterns[i].first, patterns[i].second, text)) expected.insert(i);
    }
    std::vector<std::uint32_t> found;
    matcher.visit(text, seen, [&](std::uint32_t value) {
      found.push_back(value);
      return false;
    });
    const std::set<std::uint32_t> distinct(found.begin(), found.end());
    ASSERT_EQ(distinct, expected) << text;
    ASSERT_EQ(found.size(), distinct.size()) << "found more than once in " << text;
    ASSERT_EQ(matcher.fits_any(text), !expected.empty()) << text;
  }
}

TEST(TextMatcher, FindsExactlyThePatternsThatFit) {
  const std::string letters = std::string("ab/\xc3\x89\xff\0", 7);
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    Random random(seed);
    std::vector<std::pair<Kind, std::string>> patterns;
    for (int i = random.pick(40); i > 0; --i) {
      const auto kind = static_cast<Kind>(random.pick(4));
      const std::string literal = random.word(letters, 5);
      if (kind == Kind::kEqual || !literal.empty()) patterns.emplace_back(kind, literal);
    }
    std::vector<std::string> texts;
    for (int i = 0; i < 60; ++i) texts.push_back(random.word(letters, 12));
    expect_agreement(patterns, texts);
  }
}

// Too many for a table of all transitions, and with every byte there is.
TEST(TextMatcher, LargeSetsOfEveryByte) {
  std::string letters;
  for (int byte = 0; byte < 256; ++byte) letters += static_cast<char>(byte);
  Random random(1);
  std::vector<std::pair<Kind, std::string>> patterns;
  for (int i = 0; i < 2000; ++i) {
    const std::string literal = random.word(letters, 6) + random.word("ab", 6) + "a";
    patterns.emplace_back(static_cast<Kind>(i % 4), literal);
  }
  std::vector<std::string> texts;
  for (int i = 0; i < 400; ++i) {
    const std::string& known = patterns[static_cast<std::size_t>(random.pick(2000))].second;
    texts.push_back(random.word("ab", 8) + known + random.word(letters, i % 2 == 0 ? 0 : 9));
    texts.push_back(known);
  }
  expect_agreement(patterns, texts);
}

TEST(TextMatcher, LiteralsInEachOtherAreNotWalkedAtEachPlace) {
  std::vector<std::pair<Kind, std::string>> patterns;
  for (std::size_t size = 1; size <= 2000; ++size) {
    patterns.emplace_back(Kind::kContains, std::string(size, 'a'));
  }
  expect_agreement(patterns, {std::string(1, 'a'), std::string(1999, 'a'), std::string(9000, 'a')});
}

TEST(IpIndex, FindsExactlyTheRangesAnAddressIsIn) {
  Random random(1);
  const std::vector<std::string> addresses = {"0.0.0.0",
                                              "10.0.0.1",
                                              "10.0.1.1",
                                              "10.1.2.3",
                                              "10.255.255.255",
                                              "11.0.0.0",
                                              "192.0.2.1",
                                              "::",
                                              "255.255.255.255",
                                              "::ffff:10.0.0.1",
                                              "fe80::1",
                                              "2001:db8::1",
                                              "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"};
  for (int round = 0; round < 300; ++round) {
    std::vector<IpPrefix> prefixes;
    for (int i = random.pick(20); i > 0; --i) {
      const std::string& address = addresses[static_cast<std::size_t>(random.pick(13))];
      const bool is_v6 = address.find(':') != std::string::npos;
      const int bits = random.pick(is_v6 ? 129 : 33);
      prefixes.push_back(*parse_cidr(address + "/" + std::to_string(bits)));
    }
    const IpIndex index(prefixes);
    for (const std::string& text : addresses) {
      const IpBytes ip = *parse_ip(text);
      std::set<std::uint32_t> expected;
      for (std::uint32_t i = 0; i < prefixes.size(); ++i) {
        if (prefixes[i].contains(ip)) expected.insert(i);
      }
      std::set<std::uint32_t> found;
      index.visit(ip, [&](std::uint32_t number) { EXPECT_TRUE(found.insert(number).second); });
      ASSERT_EQ(found, expected) << text << " in round " << round;
    }
  }
}

}  // namespace
}  // namespace cicd

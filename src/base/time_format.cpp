// SPDX-License-Identifier: Apache-2.0
#include "base/time_format.h"

#include <chrono>
#include <cstdio>
#include <ctime>

namespace cicd {

namespace {

std::uint64_t now_ns(clockid_t clock) {
  std::timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace

void Rfc3339Formatter::append(std::string& out, std::uint64_t realtime_ns) {
  constexpr std::uint64_t kSecond = 1'000'000'000;
  const std::uint64_t second = realtime_ns / kSecond;
  auto fraction = static_cast<std::uint32_t>(realtime_ns % kSecond);
  if (second != second_) {
    const auto seconds = static_cast<std::time_t>(second);
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    ::strftime(text_, sizeof(text_), "%Y-%m-%dT%H:%M:%S", &parts);
    second_ = second;
  }
  out.append(text_);
  if (fraction != 0) {
    int digits = 9;
    while (digits > 3 && fraction % 1000 == 0) {
      fraction /= 1000;
      digits -= 3;
    }
    char text[10];
    text[0] = '.';
    for (int i = digits; i > 0; --i) {
      text[i] = static_cast<char>('0' + fraction % 10);
      fraction /= 10;
    }
    out.append(text, static_cast<std::size_t>(digits) + 1);
  }
  out.push_back('Z');
}

std::string format_rfc3339(std::uint64_t realtime_ns) {
  std::string out;
  Rfc3339Formatter().append(out, realtime_ns);
  return out;
}

std::uint64_t realtime_now_ns() { return now_ns(CLOCK_REALTIME); }

std::uint64_t boottime_now_ns() { return now_ns(CLOCK_BOOTTIME); }

std::optional<std::uint64_t> parse_rfc3339(const std::string& text) {
  int year = 0;
  unsigned month = 0, day = 0, hour = 0, minute = 0, second = 0;
  int used = 0;
  const int read = std::sscanf(text.c_str(), "%4d-%2u-%2uT%2u:%2u:%2u%n", &year, &month, &day,
                               &hour, &minute, &second, &used);
  // In 2554 the nanoseconds of 64 bits end.
  if (read != 6 || year < 1970 || year > 2553 || month > 12 || day > 31) return std::nullopt;
  if (hour > 23 || minute > 59 || second > 60) return std::nullopt;
  const auto date = std::chrono::year(year) / std::chrono::month(month) / std::chrono::day(day);
  if (!date.ok()) return std::nullopt;
  const auto days = std::chrono::sys_days(date).time_since_epoch().count();
  auto out = static_cast<std::uint64_t>(days) * 86'400 + hour * 3'600 + minute * 60 + second;
  out *= 1'000'000'000;
  auto at = static_cast<std::size_t>(used);
  if (at < text.size() && text[at] == '.') {
    std::uint64_t unit = 100'000'000;
    for (++at; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, unit /= 10) {
      out += static_cast<std::uint64_t>(text[at] - '0') * unit;
    }
  }
  if (at + 1 != text.size() || text[at] != 'Z') return std::nullopt;
  return out;
}

}  // namespace cicd

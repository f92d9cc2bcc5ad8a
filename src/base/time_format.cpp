// SPDX-License-Identifier: Apache-2.0
#include "base/time_format.h"

#include <ctime>

namespace cicd {

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

std::uint64_t realtime_now_ns() {
  std::timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace cicd

// SPDX-License-Identifier: Apache-2.0
#include "docker/build_output.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace cicd {

namespace {

using nlohmann::json;

constexpr std::string_view kMark = " ---> Running in ";
constexpr std::size_t kShortIdDigits = 12;

// The head of an id, "" when the line says something else.
std::string running_in(std::string_view line) {
  // The arrow may be escaped in it; most lines have neither.
  if (line.find("Running in ") == std::string_view::npos) return {};
  const json document = json::parse(line, nullptr, false);
  if (!document.is_object()) return {};
  const auto stream = document.find("stream");
  if (stream == document.end() || !stream->is_string()) return {};
  std::string_view text = stream->get_ref<const std::string&>();
  if (!text.starts_with(kMark)) return {};
  text.remove_prefix(kMark.size());
  const std::string_view id = text.substr(0, kShortIdDigits);
  const bool is_id = id.size() == kShortIdDigits && std::ranges::all_of(id, [](char c) {
                       return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
                     });
  return is_id && text.substr(kShortIdDigits) == "\n" ? std::string(id) : std::string();
}

}  // namespace

std::vector<std::string> BuildOutput::take(std::string_view bytes) {
  std::vector<std::string> ids;
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view part = bytes.substr(0, end);
    is_too_long_ = is_too_long_ || line_.size() + part.size() > kMostLineBytes;
    if (!is_too_long_) line_ += part;
    if (end == std::string_view::npos) break;
    bytes.remove_prefix(end + 1);
    if (!is_too_long_) {
      if (std::string id = running_in(line_); !id.empty()) ids.push_back(std::move(id));
    }
    line_.clear();
    is_too_long_ = false;
  }
  return ids;
}

}  // namespace cicd

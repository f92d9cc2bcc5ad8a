// SPDX-License-Identifier: Apache-2.0
#include "report/string_table.h"

#include <functional>

#include "base/utf8.h"
#include "report/page_text.h"

namespace cicd {

namespace {

// U+E000, the cut, U+E001: it shows like an escape, so no name can pretend to be cut.
constexpr std::string_view kCutMark = "\xEE\x80\x80...\xEE\x80\x81";

std::uint64_t hash_text(std::string_view json, std::uint32_t folder) {
  return std::hash<std::string_view>()(json) + folder * 0x9E3779B97F4A7C15u;
}

}  // namespace

StringTable::StringTable() { entries_.push_back({"", 0, 0}); }

std::uint64_t StringTable::hash_of(std::uint32_t index) const {
  return hash_text(json_of(index), folder_of(index));
}

std::uint32_t StringTable::intern(std::string_view text) { return intern_below(text, 0); }

std::uint32_t StringTable::intern_path(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  const bool has_folder = slash != std::string_view::npos && slash > 0 && slash < kMaxTextBytes;
  if (!has_folder || path.size() > kMaxTextBytes) return intern(path);
  const std::uint32_t folder = intern_below(path.substr(0, slash), 0);
  return intern_below(path.substr(slash + 1), folder);
}

std::uint32_t StringTable::intern_below(std::string_view text, std::uint32_t folder) {
  if (text.empty() && folder == 0) return 0;
  const std::string_view kept = cut_utf8(text, kMaxTextBytes);
  const bool is_cut = kept.size() < text.size();
  std::string_view json = kept;
  if (is_cut || !is_plain_page_json(kept)) {
    scratch_.clear();
    append_page_json(scratch_, kept);
    if (is_cut) scratch_.append(kCutMark);
    json = scratch_;
  }
  const std::uint32_t found = index_.find(hash_text(json, folder), [&](std::uint32_t index) {
    return entries_[index].folder == folder && json_of(index) == json;
  });
  if (found != IndexTable::kNone) return found;
  const std::string_view stored = arena_.store(json);
  // Quotes and a comma, and the folder as the difference to the one before with a comma.
  const auto difference = std::int64_t{folder} - std::int64_t{entries_.back().folder};
  page_bytes_ += json.size() + 4 + decimal_length(difference);
  const auto added = static_cast<std::uint32_t>(entries_.size());
  entries_.push_back({stored.data(), static_cast<std::uint32_t>(stored.size()), folder});
  index_.insert(added, [this](std::uint32_t index) { return hash_of(index); });
  return added;
}

}  // namespace cicd

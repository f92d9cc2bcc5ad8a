// SPDX-License-Identifier: Apache-2.0
// StringTable: every text of a report once, in the form in which the page holds it (page_text.h).
// A path is kept as its folder and its name, so that the thousand headers of one folder cost their
// names only.
//
// Index 0 is the empty text. Threads: belongs to one thread. Lifetime: views die with the table.
// Allocates only for a text it has not seen (and while the scratch buffer grows).
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "base/arena.h"
#include "report/index_table.h"

namespace cicd {

class StringTable {
 public:
  StringTable();

  // What comes behind kMaxTextBytes of `text` is cut off, and seen to be.
  static constexpr std::size_t kMaxTextBytes = 1'024;
  std::uint32_t intern(std::string_view text);
  // The same for a path: folder and name are told apart.
  std::uint32_t intern_path(std::string_view path);

  std::size_t size() const { return entries_.size(); }
  // 0: none. Else the text starts with that of the folder and a slash.
  std::uint32_t folder_of(std::uint32_t index) const { return entries_[index].folder; }
  // Inside of a JSON string, without the folder.
  std::string_view json_of(std::uint32_t index) const {
    return {entries_[index].text, entries_[index].bytes};
  }
  // How long all of it is on the page.
  std::size_t page_bytes() const { return page_bytes_; }

 private:
  struct Entry {
    const char* text;
    std::uint32_t bytes;
    std::uint32_t folder;
  };
  std::uint32_t intern_below(std::string_view text, std::uint32_t folder);
  std::uint64_t hash_of(std::uint32_t index) const;

  std::deque<Entry> entries_;
  Arena arena_;
  IndexTable index_;
  std::string scratch_;
  std::size_t page_bytes_ = 0;
};

}  // namespace cicd

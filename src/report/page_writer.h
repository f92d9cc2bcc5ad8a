// SPDX-License-Identifier: Apache-2.0
// PageWriter: a buffer of a page that is handed on whenever it has grown, and the few forms in
// which the page's JSON is written. Belongs to one thread.
#pragma once

#include <charconv>
#include <concepts>
#include <string>
#include <string_view>

#include "report/html_report.h"
#include "report/page_text.h"

namespace cicd {

class PageWriter {
 public:
  explicit PageWriter(PageOutput output) : output_(output) {}
  PageWriter(const PageWriter&) = delete;
  PageWriter& operator=(const PageWriter&) = delete;

  // What is ours: it goes out as it is.
  PageWriter& raw(std::string_view text) {
    buffer_.append(text);
    if (buffer_.size() >= kPieceBytes) flush();
    return *this;
  }
  // What may be a job's.
  PageWriter& html(std::string_view text) {
    append_page_html(buffer_, text);
    return *this;
  }
  template <std::integral T>
  PageWriter& number(T value) {
    char digits[24];
    return raw({digits, std::to_chars(digits, digits + sizeof(digits), value).ptr});
  }
  // A JSON string.
  PageWriter& quoted(std::string_view text) {
    buffer_.push_back('"');
    append_page_json(buffer_, text);
    buffer_.push_back('"');
    return *this;
  }
  PageWriter& key(std::string_view name) {
    comma();
    return raw("\"").raw(name).raw("\":");
  }
  PageWriter& member(std::string_view name, std::string_view text) {
    return key(name).quoted(text);
  }
  template <std::integral T>
  PageWriter& member_number(std::string_view name, T value) {
    return key(name).number(value);
  }
  PageWriter& member_bool(std::string_view name, bool value) {
    return key(name).raw(value ? "true" : "false");
  }
  // Before the next element or member; nothing at the start of one.
  void comma() {
    const char last = buffer_.empty() ? last_ : buffer_.back();
    if (last != '{' && last != '[' && last != ':' && last != ',') buffer_.push_back(',');
  }
  // name:[...], `write` writes an element.
  template <typename Items, typename Write>
  void array(std::string_view name, const Items& items, Write write) {
    key(name).raw("[");
    bool is_first = true;
    for (const auto& item : items) {
      if (!is_first) raw(",");
      is_first = false;
      write(item);
    }
    raw("]");
  }
  // The same of objects.
  template <typename Items, typename Write>
  void objects(std::string_view name, const Items& items, Write write) {
    array(name, items, [&](const auto& item) {
      raw("{");
      write(item);
      raw("}");
    });
  }
  template <typename Items>
  void strings(std::string_view name, const Items& items) {
    array(name, items, [&](const auto& item) { quoted(item); });
  }

  void flush() {
    if (buffer_.empty()) return;
    last_ = buffer_.back();
    output_(buffer_);
    buffer_.clear();
  }

 private:
  static constexpr std::size_t kPieceBytes = 64 * 1024;
  PageOutput output_;
  std::string buffer_;
  char last_ = '\n';  // of what was handed on
};

}  // namespace cicd

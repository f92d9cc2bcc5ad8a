// SPDX-License-Identifier: Apache-2.0
// JsonWriter: appends JSON to a buffer of the caller, without a document in memory. For rows that
// are written by the million; small documents may use a library.
//
//   JsonWriter json(buffer);
//   json.begin_object();
//   json.member("path", path);          // also "path_base64" when the bytes are no UTF-8
//   json.key("argv"); json.begin_array(); ... json.end_array();
//   json.end_object();
//
// Output is always valid JSON in valid UTF-8, whatever the bytes: a byte that is no UTF-8 becomes
// U+FFFD; controls (C0, DEL, C1), line separators and bidirectional controls are written as \u....
// Commas are put by looking at the last byte of the buffer, so a rendered fragment can be
// appended at any time and the writer has no state. Trap: a fragment must not end in , : [ {
//
// Threads: belongs to one thread. Allocates only when the buffer has to grow.
#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace cicd {

class JsonWriter {
 public:
  explicit JsonWriter(std::string& out) : out_(out) {}

  void begin_object() { open('{'); }
  void end_object() { out_.push_back('}'); }
  void begin_array() { open('['); }
  void end_array() { out_.push_back(']'); }

  // `name` is one of ours: printable ASCII without quotes and backslashes.
  void key(std::string_view name) {
    separate();
    out_.push_back('"');
    out_.append(name);
    out_.append("\":");
  }

  // Key "<name>_base64".
  void key_base64(std::string_view name) {
    separate();
    out_.push_back('"');
    out_.append(name);
    out_.append("_base64\":");
  }

  // False when the bytes were not valid UTF-8, so that what was written is not what was given.
  bool string(std::string_view text) {
    separate();
    return append_quoted(text);
  }
  void base64(std::string_view bytes);
  void boolean(bool value) {
    separate();
    out_.append(value ? "true" : "false");
  }
  template <std::integral T>
  void number(T value) {
    separate();
    append_number(value);
  }
  // proto3 JSON: 64-bit numbers are strings.
  template <std::integral T>
  void number_string(T value) {
    separate();
    out_.push_back('"');
    append_number(value);
    out_.push_back('"');
  }
  // A rendered value or list of members.
  void raw(std::string_view json) {
    separate();
    out_.append(json);
  }

  // With a sibling "<name>_base64" of the exact bytes when they are not valid UTF-8.
  void member(std::string_view name, std::string_view text);
  // The same, but nothing at all for an empty text.
  void member_if(std::string_view name, std::string_view text) {
    if (!text.empty()) member(name, text);
  }
  // RFC 3339, UTC, 0, 3, 6 or 9 fraction digits; nanoseconds since 1970.
  void time_member(std::string_view name, std::uint64_t realtime_ns);
  template <std::integral T>
  void member_number(std::string_view name, T value) {
    key(name);
    number(value);
  }

 private:
  void separate() {
    if (out_.empty()) return;
    switch (out_.back()) {
      case '{':
      case '[':
      case ':':
      case ',':
      case '\n':
        return;
      default:
        out_.push_back(',');
    }
  }
  void open(char bracket) {
    separate();
    out_.push_back(bracket);
  }
  template <std::integral T>
  void append_number(T value) {
    char digits[24];
    const auto end = std::to_chars(digits, digits + sizeof(digits), value).ptr;
    out_.append(digits, static_cast<std::size_t>(end - digits));
  }
  bool append_quoted(std::string_view text);
  // Writes what stands at `text`'s head and is not plain; returns how many bytes that was.
  std::size_t append_special(std::string_view text, bool& is_valid);

  std::string& out_;
};

// A JSON text of JsonWriter again, two blanks a level, for people; "" when that takes more than
// `max_bytes`.
std::string indented_json(std::string_view json, std::size_t max_bytes);

}  // namespace cicd

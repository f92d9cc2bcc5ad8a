// SPDX-License-Identifier: Apache-2.0
#include "console.h"

#include <unistd.h>

#include <cerrno>
#include <string>

namespace cicd {

namespace {

void write_whole(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;  // nobody reads it any more
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

// Names and paths come from the caller; they must not steer a terminal or fake a second line.
void append_safe(std::string& out, std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      out += c;
      continue;
    }
    out += "\\x";
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
}

}  // namespace

void print_error(const Error& error) {
  std::string text = "cicd-sensor: ";
  append_safe(text, error.text);
  text += '\n';
  if (!error.hint.empty()) {
    text += "hint: ";
    append_safe(text, error.hint);
    text += '\n';
  }
  write_whole(STDERR_FILENO, text);
}

void print_line(std::string_view text) {
  std::string line;
  append_safe(line, text);
  line += '\n';
  write_whole(STDERR_FILENO, line);
}

void print_text(std::string_view text) { write_whole(STDERR_FILENO, text); }

void print_out(std::string_view text) { write_whole(STDOUT_FILENO, text); }

}  // namespace cicd

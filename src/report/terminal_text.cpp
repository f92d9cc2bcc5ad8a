// SPDX-License-Identifier: Apache-2.0
#include "report/terminal_text.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <vector>

#include "base/utf8.h"

namespace cicd {

namespace {

constexpr std::string_view kGap = "...";
constexpr int kMaxMarks = 2;  // combining marks on one character

// One character as it is shown: never torn apart by a cut.
struct Cell {
  std::string text;
  int width;
};

std::string escape_byte(unsigned char byte) {
  switch (byte) {
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      return fmt::format("\\x{:02x}", byte);
  }
}

std::vector<Cell> cells_of(std::string_view text) {
  std::vector<Cell> cells;
  int marks = kMaxMarks;  // a mark at the head has no character to stand on
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    const std::string_view bytes = text.substr(0, c.bytes);
    text.remove_prefix(c.bytes);
    const auto escaped = [&](std::string shown) {
      const int width = static_cast<int>(shown.size());
      cells.push_back({std::move(shown), width});
      marks = kMaxMarks;
    };
    if (!c.is_valid || c.code_point < 0x20 || c.code_point == 0x7F) {
      escaped(escape_byte(static_cast<unsigned char>(bytes[0])));
      continue;
    }
    const auto code_point = static_cast<utf8proc_int32_t>(c.code_point);
    const int width = utf8proc_charwidth(code_point);
    const bool is_mark = width == 0;
    if (!is_shown_as_is(c.code_point) || (is_mark && marks >= kMaxMarks)) {
      escaped(fmt::format("\\u{{{:x}}}", static_cast<std::uint32_t>(c.code_point)));
    } else if (is_mark) {
      cells.back().text.append(bytes);
      ++marks;
    } else {
      cells.push_back({std::string(bytes), width});
      marks = 0;
    }
  }
  return cells;
}

int width_of(const std::vector<Cell>& cells) {
  int width = 0;
  for (const Cell& cell : cells) width += cell.width;
  return width;
}

std::string cut_middle(const std::vector<Cell>& cells, int columns) {
  const int gap = std::min(columns, static_cast<int>(kGap.size()));
  const int room = columns - gap;
  int head_room = room * 2 / 5;  // the end of a path or command tells more
  std::string head;
  int used = 0;
  std::size_t i = 0;
  for (; i < cells.size() && used + cells[i].width <= head_room; ++i) {
    head += cells[i].text;
    used += cells[i].width;
  }
  std::size_t tail = cells.size();
  while (tail > i && used + cells[tail - 1].width <= room) used += cells[--tail].width;
  std::string out = head + std::string(kGap.substr(0, static_cast<std::size_t>(gap)));
  for (; tail < cells.size(); ++tail) out += cells[tail].text;
  return out;
}

}  // namespace

bool is_shown_as_is(char32_t code_point) {
  if (is_unsafe_to_show(code_point)) return false;
  const utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(code_point));
  return category != UTF8PROC_CATEGORY_CN && category != UTF8PROC_CATEGORY_CF &&
         category != UTF8PROC_CATEGORY_CC;
}

std::string escape_for_terminal(std::string_view text) {
  std::string out;
  for (const Cell& cell : cells_of(text)) out += cell.text;
  return out;
}

int display_width(std::string_view escaped) {
  int width = 0;
  while (!escaped.empty()) {
    const Utf8Char c = decode_utf8(escaped);
    width += c.is_valid ? utf8proc_charwidth(static_cast<utf8proc_int32_t>(c.code_point)) : 1;
    escaped.remove_prefix(c.bytes);
  }
  return width;
}

std::string fit(std::string_view text, int columns) {
  if (columns <= 0) return {};
  const std::vector<Cell> cells = cells_of(text);
  if (width_of(cells) > columns) return cut_middle(cells, columns);
  std::string out;
  for (const Cell& cell : cells) out += cell.text;
  return out;
}

std::string fit_left(std::string_view text, int columns) {
  std::string out = fit(text, columns);
  out.append(static_cast<std::size_t>(std::max(0, columns - display_width(out))), ' ');
  return out;
}

std::string fit_right(std::string_view text, int columns) {
  const std::string shown = fit(text, columns);
  const int room = std::max(0, columns - display_width(shown));
  return std::string(static_cast<std::size_t>(room), ' ') + shown;
}

std::string with_separators(unsigned long long number) {
  std::string out = std::to_string(number);
  for (std::size_t i = out.size(); i > 3; i -= 3) out.insert(i - 3, ",");
  return out;
}

}  // namespace cicd

// SPDX-License-Identifier: Apache-2.0
#include "report/process_chain.h"

#include <algorithm>
#include <vector>

#include "report/terminal_text.h"

namespace cicd {

namespace {

constexpr std::string_view kArrow = " -> ";
constexpr int kMaxNameColumns = 24;

std::string chain_text(const std::vector<std::string>& names, std::size_t left_out) {
  std::string out = names.front();
  if (left_out > 0) out.append(kArrow).append("...");
  for (std::size_t i = 1 + left_out; i < names.size(); ++i) out.append(kArrow).append(names[i]);
  return out;
}

}  // namespace

std::string program_name(std::string_view exec_path) {
  if (exec_path.empty()) return "(unknown)";
  const std::size_t slash = exec_path.rfind('/');
  const std::string_view name =
      slash == std::string_view::npos ? exec_path : exec_path.substr(slash + 1);
  return std::string(name.empty() ? exec_path : name);
}

std::string process_chain(const Process& process, int columns) {
  std::vector<std::string> names;
  const ExecImage* last = nullptr;
  for (const Process* link = &process; link != nullptr; link = link->parent.get()) {
    if (link->image.get() == last) continue;
    last = link->image.get();
    const std::string& path = last->script_path.empty() ? last->exec_path : last->script_path;
    names.push_back(fit(program_name(path), kMaxNameColumns));
  }
  std::ranges::reverse(names);
  for (std::size_t left_out = 0; left_out + 1 < names.size(); ++left_out) {
    std::string text = chain_text(names, left_out);
    if (display_width(text) <= columns) return text;
  }
  return fit(names.back(), columns);
}

}  // namespace cicd

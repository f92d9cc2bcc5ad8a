// SPDX-License-Identifier: Apache-2.0
#include "track/container_name.h"

#include <algorithm>

namespace cicd {

namespace {

constexpr std::size_t kIdDigits = 64;
constexpr std::size_t kMinBuildIdLetters = 20;
constexpr std::string_view kSystemdBuild = ".slice:docker:";
constexpr std::size_t kMaxNameBytes = 255;

bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }
bool is_letter_or_digit(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z'); }

bool is_id(std::string_view text) {
  return text.size() == kIdDigits && std::ranges::all_of(text, is_hex);
}

// What containerd takes as the id of a container that a person named.
bool is_free_name(std::string_view text) {
  if (text.empty() || text.size() > kMaxNameBytes || text.front() == '.') return false;
  // A file of the cgroup tree of a service is no container.
  if (text.ends_with(".scope") || text.ends_with(".slice") || text.ends_with(".service")) {
    return false;
  }
  return std::ranges::all_of(text, [](char c) {
    return is_letter_or_digit(c) || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '.';
  });
}

bool is_build_id(std::string_view text) {
  return text.size() >= kMinBuildIdLetters && std::ranges::all_of(text, is_letter_or_digit);
}

bool remove_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

struct Prefix {
  std::string_view text;
  std::string_view runtime;
};
constexpr Prefix kPrefixes[] = {
    {"docker-", "docker"},      {"cri-containerd-", "containerd"},
    {"nerdctl-", "containerd"}, {"crio-", "cri-o"},
    {"libpod-", "podman"},
};

// One component, the one above it, and whether that one is at the top.
ContainerName container_of_component(std::string_view name, std::string_view above,
                                     bool is_second) {
  if (is_id(name)) {
    if (above == "docker") return {name, "docker"};
    if (is_second && (above == "k8s.io" || above == "default" || above == "moby")) {
      return {name, "containerd"};
    }
    return {name, {}};
  }
  std::string_view rest = name;
  if (rest.ends_with(".scope")) rest.remove_suffix(std::string_view(".scope").size());
  for (const Prefix& prefix : kPrefixes) {
    std::string_view id = rest;
    if (remove_prefix(id, prefix.text) && is_id(id)) return {id, prefix.runtime};
  }
  if (remove_prefix(rest, "lxc.payload.") && is_free_name(rest)) return {rest, "lxc"};
  if (above == "buildkit" && is_build_id(name)) return {name, "buildkit"};
  // BuildKit asks systemd's way and means a folder: ":" and all.
  if (const std::size_t mark = name.find(kSystemdBuild); mark != std::string_view::npos) {
    const std::string_view id = name.substr(mark + kSystemdBuild.size());
    if (is_build_id(id)) return {id, "buildkit"};
  }
  if (is_second && above == "default" && is_free_name(name)) return {name, "containerd"};
  return {};
}

}  // namespace

ContainerName container_of_cgroup(std::string_view path) {
  ContainerName innermost;
  std::string_view above;
  for (int depth = 0; remove_prefix(path, "/"); ++depth) {
    const std::string_view name = path.substr(0, path.find('/'));
    path.remove_prefix(name.size());
    const ContainerName found = container_of_component(name, above, depth == 1);
    if (!found.id.empty()) innermost = found;
    above = name;
  }
  return innermost;
}

}  // namespace cicd

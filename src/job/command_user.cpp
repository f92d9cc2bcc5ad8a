// SPDX-License-Identifier: Apache-2.0
#include "job/command_user.h"

#include <grp.h>
#include <pwd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <optional>

namespace cicd {

namespace {

std::optional<std::uint32_t> parse_id(const std::string& text) {
  std::uint32_t id = 0;
  const char* end = text.data() + text.size();
  const auto [next, error] = std::from_chars(text.data(), end, id);
  // The largest number means "no id" to the kernel.
  const bool is_good = error == std::errc{} && next == end && !text.empty() &&
                       id != std::numeric_limits<std::uint32_t>::max();
  return is_good ? std::optional(id) : std::nullopt;
}

std::vector<gid_t> groups_of(const std::string& name, gid_t gid) {
  std::vector<gid_t> groups(64);
  int count = static_cast<int>(groups.size());
  while (::getgrouplist(name.c_str(), gid, groups.data(), &count) < 0) {
    if (count <= static_cast<int>(groups.size())) return {gid};
    groups.resize(static_cast<std::size_t>(count));
  }
  groups.resize(static_cast<std::size_t>(count));
  return groups;
}

std::vector<gid_t> own_groups() {
  std::vector<gid_t> groups(static_cast<std::size_t>(std::max(::getgroups(0, nullptr), 0)));
  const int count = ::getgroups(static_cast<int>(groups.size()), groups.data());
  groups.resize(static_cast<std::size_t>(std::max(count, 0)));
  return groups;
}

struct PasswordEntry {
  passwd entry{};
  std::vector<char> text;
};

// One entry by name or id, nullopt when there is none.
template <typename Key, typename Lookup>
std::optional<PasswordEntry> look_up(Key key, Lookup lookup) {
  PasswordEntry found;
  found.text.resize(1024);
  for (;;) {
    passwd* result = nullptr;
    const int error = lookup(key, &found.entry, found.text.data(), found.text.size(), &result);
    if (error == ERANGE && found.text.size() < (1u << 20)) {
      found.text.resize(found.text.size() * 2);
      continue;
    }
    if (error != 0 || result == nullptr) return std::nullopt;
    return found;
  }
}

CommandUser from_entry(const passwd& entry, gid_t gid) {
  CommandUser user;
  user.uid = entry.pw_uid;
  user.gid = gid;
  user.name = entry.pw_name;
  user.home = entry.pw_dir;
  user.groups = groups_of(user.name, gid);
  user.is_switched = true;
  return user;
}

}  // namespace

Result<CommandUser> invoking_user(const std::string& sudo_uid, const std::string& sudo_gid) {
  CommandUser self;
  self.uid = ::getuid();
  self.gid = ::getgid();
  self.groups = own_groups();
  self.drops_capabilities = self.uid != 0;
  if (self.uid != 0 || sudo_uid.empty()) return self;

  const auto uid = parse_id(sudo_uid);
  const auto gid = parse_id(sudo_gid);
  if (!uid || !gid) {
    return fail(ErrorCode::kUsage, "SUDO_UID or SUDO_GID is not a number",
                "unset them, or name the user with --user");
  }
  if (*uid == 0) return self;
  const auto entry = look_up(uid_t{*uid}, ::getpwuid_r);
  if (entry) return from_entry(entry->entry, *gid);
  CommandUser user;
  user.uid = *uid;
  user.gid = *gid;
  user.groups = {*gid};
  user.is_switched = true;
  return user;
}

Result<CommandUser> user_by_name(const std::string& name) {
  if (::geteuid() != 0) {
    return fail(ErrorCode::kPermission, "--user needs root", "put sudo in front");
  }
  if (const auto entry = look_up(name.c_str(), ::getpwnam_r)) {
    return from_entry(entry->entry, entry->entry.pw_gid);
  }
  const auto uid = parse_id(name);
  if (!uid) {
    return fail(ErrorCode::kUsage, "--user: there is no user '" + name + "'",
                "getent passwd lists the users");
  }
  if (const auto entry = look_up(uid_t{*uid}, ::getpwuid_r)) {
    return from_entry(entry->entry, entry->entry.pw_gid);
  }
  CommandUser user;
  user.uid = *uid;
  user.gid = *uid;
  user.groups = {*uid};
  user.is_switched = true;
  return user;
}

std::vector<std::string> environment_of(const CommandUser& user,
                                        std::vector<std::string> environment) {
  if (user.name.empty()) return environment;
  const std::pair<std::string, std::string> values[] = {
      {"HOME=", user.home}, {"USER=", user.name}, {"LOGNAME=", user.name}};
  for (const auto& [name, value] : values) {
    std::erase_if(environment, [&](const std::string& item) { return item.starts_with(name); });
    environment.push_back(name + value);
  }
  return environment;
}

// The raw calls act on the calling thread; the C library's wrappers would change all of them.
ActAs::ActAs(const CommandUser& user) : is_switched_(user.is_switched) {
  if (!is_switched_) return;
  own_groups_ = own_groups();
  ::syscall(SYS_setgroups, user.groups.size(), user.groups.data());
  ::syscall(SYS_setfsgid, user.gid);
  ::syscall(SYS_setfsuid, user.uid);
}

ActAs::~ActAs() {
  if (!is_switched_) return;
  ::syscall(SYS_setfsuid, ::geteuid());
  ::syscall(SYS_setfsgid, ::getegid());
  ::syscall(SYS_setgroups, own_groups_.size(), own_groups_.data());
}

}  // namespace cicd

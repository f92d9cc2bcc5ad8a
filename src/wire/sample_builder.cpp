// SPDX-License-Identifier: Apache-2.0
#include "wire/sample_builder.h"

#include <arpa/inet.h>

#include <cstring>
#include <initializer_list>

namespace cicd {

namespace {

cicd_sample_header header_of(const Actor& actor, std::uint16_t type, std::uint16_t flags) {
  cicd_sample_header header{};
  header.type = type;
  header.flags = flags;
  header.time_ns = actor.time_ns;
  header.start_time_ns = actor.start_time_ns;
  header.cgroup_id = actor.cgroup_id;
  header.slot = actor.slot;
  header.pid = actor.pid;
  header.tid = actor.tid == 0 ? actor.pid : actor.tid;
  header.exec_id = actor.exec_id;
  return header;
}

cicd_string describe(const StringPart& part) {
  return {static_cast<std::uint32_t>(part.bytes.size()), part.flags};
}

template <typename Fixed>
SampleBuffer assemble(Fixed fixed, std::initializer_list<const StringPart*> strings) {
  std::size_t size = sizeof(Fixed);
  for (const StringPart* part : strings) size += part->bytes.size();
  fixed.header.size = static_cast<std::uint32_t>(size);
  SampleBuffer out(size);
  std::memcpy(out.data(), &fixed, sizeof(Fixed));
  std::size_t offset = sizeof(Fixed);
  for (const StringPart* part : strings) {
    if (part->bytes.empty()) continue;
    std::memcpy(out.data() + offset, part->bytes.data(), part->bytes.size());
    offset += part->bytes.size();
  }
  return out;
}

}  // namespace

SampleBuffer assemble_sample(const Actor& actor, std::uint16_t type, std::uint16_t flags,
                             std::span<const std::byte> fixed,
                             const std::vector<StringPart>& strings) {
  SampleBuffer out(fixed.begin(), fixed.end());
  std::size_t at = fixed.size() - strings.size() * sizeof(cicd_string);
  for (const StringPart& part : strings) {
    const cicd_string string = describe(part);
    std::memcpy(out.data() + at, &string, sizeof(string));
    at += sizeof(string);
    const auto* bytes = reinterpret_cast<const std::byte*>(part.bytes.data());
    out.insert(out.end(), bytes, bytes + part.bytes.size());
  }
  cicd_sample_header header = header_of(actor, type, flags);
  header.size = static_cast<std::uint32_t>(out.size());
  std::memcpy(out.data(), &header, sizeof(header));
  return out;
}

SampleBuffer egress_sample(const Actor& actor, cicd_sample_egress fixed, std::string_view name) {
  fixed.name_bytes = static_cast<__u8>(name.size());
  SampleBuffer bytes(sizeof(fixed));
  std::memcpy(bytes.data(), &fixed, sizeof(fixed));
  const auto* text = reinterpret_cast<const std::byte*>(name.data());
  bytes.insert(bytes.end(), text, text + name.size());
  return assemble_sample(actor, CICD_SAMPLE_EGRESS, fixed.header.flags, bytes, {});
}

StringPart walked(std::string_view absolute_path, std::uint32_t extra_flags) {
  StringPart part{{}, CICD_STRING_COMPONENTS | extra_flags};
  std::size_t end = absolute_path.size();
  while (end > 0) {
    const std::size_t slash = absolute_path.rfind('/', end - 1);
    const std::size_t start = slash == std::string_view::npos ? 0 : slash + 1;
    if (start < end) part.bytes.append(absolute_path.substr(start, end - start)).push_back('\0');
    if (slash == std::string_view::npos) break;
    end = slash;
  }
  return part;
}

StringPart arguments(const std::vector<std::string>& argv, std::uint32_t flags) {
  StringPart part{{}, flags};
  for (const std::string& argument : argv) part.bytes.append(argument).push_back('\0');
  return part;
}

SampleBuffer fork_sample(const Actor& child, const Actor& parent, std::uint32_t uid) {
  cicd_sample_fork fixed{};
  fixed.header = header_of(child, CICD_SAMPLE_FORK, 0);
  fixed.parent_start_time_ns = parent.start_time_ns;
  fixed.parent_cgroup_id = parent.cgroup_id;
  fixed.parent_pid = parent.pid;
  fixed.parent_tid = parent.tid == 0 ? parent.pid : parent.tid;
  fixed.parent_exec_id = parent.exec_id;
  fixed.uid = uid;
  return assemble(fixed, {});
}

SampleBuffer exec_sample(const Actor& actor, const ExecParts& parts) {
  return exec_sample(
      actor, parts,
      {walked(parts.exec_path), raw(parts.filename.empty() ? parts.exec_path : parts.filename),
       walked(parts.cwd), arguments(parts.argv), arguments(parts.environment)});
}

SampleBuffer exec_sample(const Actor& actor, const ExecParts& parts, const ExecStrings& strings) {
  cicd_sample_exec fixed{};
  fixed.header = header_of(actor, CICD_SAMPLE_EXEC, parts.flags);
  fixed.uid = parts.uid;
  fixed.gid = parts.uid;
  fixed.inode = 7;
  fixed.old_tid = fixed.header.tid;
  fixed.exec_path = describe(strings.exec_path);
  fixed.filename = describe(strings.filename);
  fixed.cwd = describe(strings.cwd);
  fixed.argv = describe(strings.argv);
  fixed.environment = describe(strings.environment);
  return assemble(fixed, {&strings.exec_path, &strings.filename, &strings.cwd, &strings.argv,
                          &strings.environment});
}

SampleBuffer exit_sample(const Actor& actor, std::uint32_t status) {
  cicd_sample_exit fixed{};
  fixed.header = header_of(actor, CICD_SAMPLE_EXIT, 0);
  fixed.status = status;
  return assemble(fixed, {});
}

SampleBuffer connect_sample(const Actor& actor, const ConnectParts& parts) {
  cicd_sample_connect fixed{};
  fixed.header = header_of(actor, CICD_SAMPLE_CONNECT, parts.flags);
  fixed.socket_cookie = 1;
  fixed.remote_port = parts.remote_port;
  fixed.protocol = parts.protocol;
  fixed.socket_type = parts.protocol == IPPROTO_UDP ? SOCK_DGRAM : SOCK_STREAM;
  const bool is_v6 = parts.remote_ip.find(':') != std::string::npos;
  fixed.family = is_v6 ? AF_INET6 : AF_INET;
  ::inet_pton(fixed.family, parts.remote_ip.c_str(), fixed.remote_ip);
  return assemble(fixed, {});
}

SampleBuffer open_sample(const Actor& actor, const OpenParts& parts) {
  cicd_sample_open fixed{};
  fixed.header = header_of(actor, CICD_SAMPLE_OPEN, parts.flags);
  fixed.inode = parts.error == 0 ? parts.inode : 0;
  fixed.open_flags = parts.open_flags;
  fixed.call = parts.call;
  fixed.error = parts.error;
  fixed.path = describe(parts.path);
  fixed.base = describe(parts.base);
  return assemble(fixed, {&parts.path, &parts.base});
}

SampleBuffer cgroup_sample(const Actor& actor, std::uint16_t type, const CgroupParts& parts) {
  cicd_sample_cgroup fixed{};
  fixed.header = header_of(actor, type, parts.flags);
  fixed.target_cgroup_id = parts.target_cgroup_id;
  fixed.from_cgroup_id = parts.from_cgroup_id;
  const StringPart path = raw(parts.path);
  fixed.path = describe(path);
  return assemble(fixed, {&path});
}

}  // namespace cicd

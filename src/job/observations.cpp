// SPDX-License-Identifier: Apache-2.0
#include "job/observations.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <tuple>

#include "job/sensitive_files.h"

namespace cicd {

namespace {

// False when the list is full and `path` is not in it.
bool add_distinct(std::vector<std::string>& paths, std::string_view path) {
  if (std::ranges::find(paths, path) != paths.end()) return true;
  if (paths.size() >= kMaxObservedProcesses) return false;
  paths.emplace_back(path);
  return true;
}

template <typename Map>
auto values_of(const Map& map) {
  std::vector<typename Map::mapped_type> out;
  out.reserve(map.size());
  for (const auto& [key, value] : map) out.push_back(value);
  return out;
}

}  // namespace

void Observations::add(const EventRecord& record) {
  switch (record.type) {
    case EventType::kProcessExec:
      return add_program(record);
    case EventType::kNetworkConnect:
      return add_destination(record);
    case EventType::kDomain:
      return add_domain(record);
    case EventType::kFileOpen:
      return add_open(record);
    default:
      return;
  }
}

template <typename V>
V* Observations::entry(Map<V>& map, std::string_view key, bool& is_new) {
  is_new = false;
  if (const auto found = map.find(key); found != map.end()) return &found->second;
  if (map.size() >= kMaxObservations) {
    ++overflow_;
    return nullptr;
  }
  is_new = true;
  return &map.emplace(key, V{}).first->second;
}

void Observations::add_program(const EventRecord& record) {
  bool is_new = false;
  if (std::uint64_t* count = entry(programs_, record.process->exec_path(), is_new)) ++*count;
}

// Allocates nothing for a process that is listed.
void Observations::add_process(ProcessUse& use, const Process& process) {
  const ProcessTraces& known = traces_.data();
  for (const std::uint32_t trace : use.traces) {
    const ProcessTraces::Trace& other = known.traces[trace];
    // A process has several pictures; those with another program are listed apart.
    if (other.pid == process.pid && other.start_time_ns == process.start_time_ns &&
        known.exec_path(trace) == process.exec_path()) {
      return;
    }
  }
  const std::uint32_t trace = use.traces.size() < kMaxObservedProcesses
                                  ? traces_.find_or_add(process)
                                  : ProcessTraces::kNone;
  if (trace == ProcessTraces::kNone) {
    ++use.unlisted_count;
  } else {
    use.traces.push_back(trace);
  }
}

void Observations::add_destination(const EventRecord& record) {
  namespace f = field::network_connect;
  char port[24];
  const auto end = std::to_chars(port, port + sizeof(port), record.number(f::kRemotePort)).ptr;
  key_.assign(record.text(f::kProtocol));
  key_.push_back(' ');
  key_.append(port, static_cast<std::size_t>(end - port));
  key_.push_back(' ');
  key_.append(record.text(f::kRemoteIp));
  key_.push_back(' ');
  key_.append(record.text(f::kDomain));
  bool is_new = false;
  DestinationUse* use = entry(destinations_, key_, is_new);
  if (use == nullptr) return;
  if (is_new) {
    use->remote_ip = record.text(f::kRemoteIp);
    use->protocol = record.text(f::kProtocol);
    use->domain = record.text(f::kDomain);
    use->remote_port = static_cast<std::uint16_t>(record.number(f::kRemotePort));
    use->first_ns = record.time_ns;
    if (record.step) use->step = record.step->id;
  }
  use->last_ns = std::max(use->last_ns, record.time_ns);
  if ((record.marks & kMarkAmbiguousDomain) != 0) use->is_ambiguous = true;
  ++use->count;
  if (!add_distinct(use->exec_paths, record.process->exec_path())) ++use->process_overflow_count;
  add_process(use->processes, *record.process);
}

void Observations::add(const Violation& violation) {
  char port[24];
  const auto end = std::to_chars(port, port + sizeof(port), violation.port).ptr;
  key_.clear();
  key_.append(name_of(violation.verdict)).push_back(' ');
  key_.append(name_of(violation.reason)).push_back(' ');
  key_.append(violation.protocol).push_back(' ');
  key_.append(port, static_cast<std::size_t>(end - port));
  for (const std::string_view word : {violation.ip, violation.host, violation.rule_id}) {
    key_.push_back(' ');
    key_.append(word);
  }
  bool is_new = false;
  ViolationUse* use = entry(violations_, key_, is_new);
  if (use == nullptr) return;
  if (is_new) {
    use->verdict = violation.verdict;
    use->reason = violation.reason;
    use->rule_id = violation.rule_id;
    use->host = violation.host;
    use->ip = violation.ip;
    use->port = violation.port;
    use->protocol = violation.protocol;
  }
  use->count += violation.count;
  const Process& process = *violation.record->process;
  if (!add_distinct(use->exec_paths, process.exec_path())) ++use->process_overflow_count;
  add_process(use->processes, process);
}

void Observations::add_domain(const EventRecord& record) {
  namespace f = field::domain;
  if (!record.text(f::kResult).empty()) return;  // the answer: the question was counted
  const std::string_view domain = record.text(f::kDomain);
  bool is_new = false;
  DomainUse* use = entry(domains_, domain, is_new);
  if (use == nullptr) return;
  if (is_new) use->domain = domain;
  ++use->count;
  if (!add_distinct(use->exec_paths, record.process->exec_path())) ++use->process_overflow_count;
  add_process(use->processes, *record.process);
}

void Observations::add_open(const EventRecord& record) {
  namespace f = field::file_open;
  const bool is_read = record.number(f::kIsRead) != 0;
  const bool is_write = record.number(f::kIsWrite) != 0;
  // Nothing came out of a failed open or one with O_PATH.
  if (!record.text(f::kError).empty() || (!is_read && !is_write)) return;
  const std::string_view path = record.text(f::kPath);
  const std::string_view kind = sensitive_kind(path);
  if (kind.empty()) return;
  bool is_new = false;
  SensitiveFileUse* use = entry(sensitive_files_, path, is_new);
  if (use == nullptr) return;
  if (is_new) {
    use->path = path;
    use->kind = kind;
  }
  use->reads += is_read;
  use->writes += is_write;
  add_distinct(use->exec_paths, record.process->exec_path());
}

std::vector<ProgramUse> Observations::programs() const {
  std::vector<ProgramUse> out;
  out.reserve(programs_.size());
  for (const auto& [path, count] : programs_) out.push_back({path, count});
  std::ranges::sort(out, [](const ProgramUse& a, const ProgramUse& b) {
    return a.count != b.count ? a.count > b.count : a.exec_path < b.exec_path;
  });
  return out;
}

std::vector<DestinationUse> Observations::destinations() const {
  std::vector<DestinationUse> out = values_of(destinations_);
  std::ranges::sort(out, [](const DestinationUse& a, const DestinationUse& b) {
    if (a.count != b.count) return a.count > b.count;
    return std::tie(a.remote_ip, a.remote_port, a.protocol, a.domain) <
           std::tie(b.remote_ip, b.remote_port, b.protocol, b.domain);
  });
  return out;
}

std::vector<ViolationUse> Observations::violations() const {
  std::vector<ViolationUse> out = values_of(violations_);
  std::ranges::sort(out, [](const ViolationUse& a, const ViolationUse& b) {
    if (a.count != b.count) return a.count > b.count;
    return std::tie(a.host, a.ip, a.port, a.protocol, a.reason, a.verdict, a.rule_id) <
           std::tie(b.host, b.ip, b.port, b.protocol, b.reason, b.verdict, b.rule_id);
  });
  return out;
}

std::vector<DomainUse> Observations::domains() const {
  std::vector<DomainUse> out = values_of(domains_);
  std::ranges::sort(out, [](const DomainUse& a, const DomainUse& b) {
    return a.count != b.count ? a.count > b.count : a.domain < b.domain;
  });
  return out;
}

std::vector<SensitiveFileUse> Observations::sensitive_files() const {
  std::vector<SensitiveFileUse> out = values_of(sensitive_files_);
  std::ranges::sort(out, {}, &SensitiveFileUse::path);
  return out;
}

void add_traffic(std::vector<DestinationUse>& destinations, const std::vector<FlowTraffic>& flows) {
  using Key = std::tuple<std::string_view, std::uint16_t, std::string_view>;
  std::map<Key, std::size_t> places;
  destinations.reserve(destinations.size() + flows.size());  // the keys point into it
  for (std::size_t i = 0; i < destinations.size(); ++i) {
    const DestinationUse& use = destinations[i];
    places.try_emplace(Key{use.remote_ip, use.remote_port, use.protocol}, i);
  }
  for (const FlowTraffic& flow : flows) {
    const auto found = places.find(Key{flow.remote_ip, flow.remote_port, flow.protocol});
    if (found != places.end()) {
      destinations[found->second].traffic = flow.traffic;
    } else if (destinations.size() < kMaxObservations) {
      DestinationUse& use = destinations.emplace_back();
      use.remote_ip = flow.remote_ip;
      use.remote_port = flow.remote_port;
      use.protocol = flow.protocol;
      use.traffic = flow.traffic;
    }
  }
}

}  // namespace cicd

// SPDX-License-Identifier: Apache-2.0
#include "egress/resolver_core.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/time_format.h"
#include "egress/resolver_tags.h"

namespace cicd {

namespace {

constexpr std::uint64_t kMillisecondNs = 1'000'000;
constexpr std::uint64_t kReapPauseNs = 1'000 * kMillisecondNs;
constexpr std::size_t kMaxServersOfJob = 8;

}  // namespace

ResolverCore::ResolverCore(EgressControl& control, ResolverEvents& events, ResolverOptions options)
    : control_(control),
      events_(events),
      options_(std::move(options)),
      flights_(std::min<std::size_t>(options_.max_open, 16'384)),
      cache_(options_.cache_bytes) {
  if (!options_.clock) options_.clock = boottime_now_ns;
}

ResolverCore::~ResolverCore() {
  is_over_ = true;
  wake();
  worker_.join();
  // Jobs that are left are asked to fail: their questions must not find another way.
  if (!jobs_.empty()) return;
  for (const auto& port : ports_) {
    if (port) control_.stop_serving(port->netns);
  }
}

Result<> ResolverCore::start() {
  epoll_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  wake_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll_ || !wake_) return fail_errno(errno, "epoll of the resolver");
  epoll_event event{.events = EPOLLIN, .data = {.u64 = tag_of(ResolverTag::kWake)}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) != 0) {
    return fail_errno(errno, "epoll_ctl of the resolver");
  }
  spare_ = UniqueFd(::fcntl(wake_.get(), F_DUPFD_CLOEXEC, 0));
  streams_ = std::make_unique<Streams>(epoll_.get(), tag_of(ResolverTag::kStream));
  CICD_ASSIGN(ListenerSockets sockets, open_listeners(-1, {options_.port, options_.port_tries}));
  port_ = sockets.port;
  own_netns_ = sockets.netns;
  {
    const std::lock_guard lock(mutex_);
    CICD_TRY(add_ports(std::move(sockets)));
  }
  worker_.start("resolver", [this] { run(); });
  return {};
}

void ResolverCore::wake() const {
  if (wake_) ::eventfd_write(wake_.get(), 1);
}

void ResolverCore::run() {
  std::array<epoll_event, 64> events{};
  while (!is_over_) {
    int timeout_ms = 0;
    {
      const std::lock_guard lock(mutex_);
      timeout_ms = wait_ms();
    }
    const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), timeout_ms);
    const std::lock_guard lock(mutex_);
    now_ns_ = now();
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      dispatch(event.data.u64, event.events);
    }
    expire_flights();
    serve_touched();
    reap_tables();
    close_idle_streams();
    flush_upstreams();
    flush_replies();
  }
}

int ResolverCore::wait_ms() {
  const std::uint64_t next_ns = std::min({flights_.next_end_ns(), next_reap_ns_, next_sweep_ns_});
  if (next_ns == UINT64_MAX) return -1;
  const std::uint64_t now_ns = now();
  if (next_ns <= now_ns) return 0;
  return static_cast<int>(std::min<std::uint64_t>((next_ns - now_ns) / kMillisecondNs + 1, 60'000));
}

void ResolverCore::dispatch(std::uint64_t tag, std::uint32_t events) {
  const std::uint32_t number = number_of(tag);
  switch (kind_of(tag)) {
    case ResolverTag::kWake: {
      eventfd_t value = 0;
      ::eventfd_read(wake_.get(), &value);
      return;
    }
    case ResolverTag::kPort:
      if (number >= ports_.size() || !ports_[number]) return;
      ports_[number]->is_stream ? accept_streams(number) : receive_asks(number);
      return;
    case ResolverTag::kStream:
      on_stream(number, events);
      return;
    case ResolverTag::kUpstream:
      on_upstream(number);
      return;
    case ResolverTag::kCall:
      on_call(number);
      return;
  }
}

void ResolverCore::reap_tables() {
  if (now_ns_ < next_reap_ns_) return;
  next_reap_ns_ = UINT64_MAX;
  for (const auto& [slot, job] : jobs_) {
    job->table.reap(*job->judge, now_ns_);
    next_reap_ns_ = std::min(next_reap_ns_, job->table.next_end_ns());
  }
  if (next_reap_ns_ != UINT64_MAX) {
    next_reap_ns_ = std::max(next_reap_ns_, now_ns_ + kReapPauseNs);
  }
}

ResolverCore::Job* ResolverCore::job_of(std::uint32_t slot) {
  const auto place = jobs_.find(slot);
  return place == jobs_.end() ? nullptr : place->second.get();
}

ResolverCore::Job* ResolverCore::job_of(std::uint32_t slot, std::uint64_t number) {
  Job* job = job_of(slot);
  return job != nullptr && job->number == number ? job : nullptr;
}

bool ResolverCore::is_ourselves(const SocketAddress& server) const {
  return server.is_loopback() && server.port() == port_;
}

Result<std::vector<SocketAddress>> ResolverCore::servers_for(const NameJudge& judge) const {
  std::vector<std::string> texts = judge.upstreams();
  if (texts.empty()) texts = options_.upstreams;
  std::vector<SocketAddress> servers;
  for (const std::string& text : texts) {
    const auto server = parse_server(text);
    if (!server) {
      return fail(ErrorCode::kInvalidInput, "'" + text + "' is no address of a DNS server",
                  "write it like 192.0.2.1, 192.0.2.1:5353 or [2001:db8::1]:53");
    }
    servers.push_back(*server);
  }
  if (texts.empty()) servers = servers_of(options_.resolv_conf);
  std::erase_if(servers, [&](const SocketAddress& server) { return is_ourselves(server); });
  if (servers.size() > kMaxServersOfJob) servers.resize(kMaxServersOfJob);
  if (servers.empty()) {
    return fail(ErrorCode::kNotFound,
                "there is no DNS server to ask: " + options_.resolv_conf + " names none",
                "name one in the policy: dns.upstream");
  }
  return servers;
}

Upstream* ResolverCore::upstream_of(const SocketAddress& address) {
  std::size_t free = upstreams_.size();
  for (std::size_t i = 0; i < upstreams_.size(); ++i) {
    if (upstreams_[i] && upstreams_[i]->address() == address) return upstreams_[i].get();
    if (!upstreams_[i] && free == upstreams_.size()) free = i;
  }
  if (free == upstreams_.size()) upstreams_.emplace_back();
  upstreams_[free] = std::make_unique<Upstream>(
      address, epoll_.get(), tag_of(ResolverTag::kUpstream, free * Upstream::kSockets));
  return upstreams_[free].get();
}

// An upstream that nobody uses any more takes its sockets with it. Nothing can wait on it: the
// flights of its last job are gone.
void ResolverCore::leave_upstreams(Job& job) {
  for (Upstream* upstream : std::exchange(job.upstreams, {})) {
    if (--upstream->jobs > 0) continue;
    for (auto& owned : upstreams_) {
      if (owned.get() == upstream) owned.reset();
    }
  }
}

Result<> ResolverCore::set_judge(Job& job, std::shared_ptr<const NameJudge> judge) {
  CICD_ASSIGN(const std::vector<SocketAddress> servers, servers_for(*judge));
  std::vector<Upstream*> upstreams;
  std::string group;
  for (const SocketAddress& server : servers) {
    upstreams.push_back(upstream_of(server));
    ++upstreams.back()->jobs;
    group += text_of(server) + " ";
  }
  if (upstreams != job.upstreams) forget_flights(job);  // they point to the old ones
  leave_upstreams(job);
  job.upstreams = std::move(upstreams);
  job.preferred = 0;
  job.group = groups_.try_emplace(group, static_cast<std::uint32_t>(groups_.size())).first->second;
  job.judge = std::move(judge);
  return {};
}

Result<> ResolverCore::add_job(std::uint32_t slot, std::shared_ptr<const NameJudge> judge,
                               bool adopts) {
  const std::lock_guard lock(mutex_);
  if (jobs_.contains(slot)) return fail(ErrorCode::kInternal, "the resolver has this job already");
  auto job = std::make_unique<Job>(control_, slot, options_.max_addresses);
  job->number = ++last_job_number_;
  CICD_TRY(set_judge(*job, std::move(judge)));
  if (adopts) {
    job->table.adopt(now());
    next_reap_ns_ = std::min(next_reap_ns_, job->table.next_end_ns());
  }
  jobs_.emplace(slot, std::move(job));
  wake();
  return {};
}

// Questions that are on their way were let pass by the policy before; what they lead to is judged
// by the new one.
Result<> ResolverCore::replace_policy(std::uint32_t slot, std::shared_ptr<const NameJudge> judge) {
  const std::lock_guard lock(mutex_);
  Job* job = job_of(slot);
  if (job == nullptr) return fail(ErrorCode::kNotFound, "the resolver has no such job");
  now_ns_ = now();
  CICD_TRY(set_judge(*job, std::move(judge)));
  job->counters.inserts_failed += job->table.replace_policy(*job->judge, now_ns_);
  return {};
}

void ResolverCore::forget_flights(Job& job) {
  flights_.for_each([&](Flight& flight) {
    if (flight.job_number == job.number) end_flight(flight);
  });
}

ResolverCounters ResolverCore::remove_job(std::uint32_t slot) {
  const std::lock_guard lock(mutex_);
  const auto place = jobs_.find(slot);
  if (place == jobs_.end()) return {};
  Job& job = *place->second;
  streams_->for_each([&](Stream& stream) {
    if (stream.job_number == job.number) close_stream(stream);
  });
  forget_flights(job);
  leave_upstreams(job);
  job.table.clear();
  const ResolverCounters counters = job.counters;
  others_ += counters;
  jobs_.erase(place);
  return counters;
}

ResolverCounters ResolverCore::counters() const {
  const std::lock_guard lock(mutex_);
  ResolverCounters out = others_;
  for (const auto& [slot, job] : jobs_) out += job->counters;
  return out;
}

ResolverCounters ResolverCore::counters(std::uint32_t slot) const {
  const std::lock_guard lock(mutex_);
  const auto place = jobs_.find(slot);
  return place == jobs_.end() ? ResolverCounters{} : place->second->counters;
}

}  // namespace cicd

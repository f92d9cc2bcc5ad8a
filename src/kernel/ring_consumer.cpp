// SPDX-License-Identifier: Apache-2.0
#include "kernel/ring_consumer.h"

#include <linux/bpf.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "wire/sample.h"

namespace cicd {

namespace {

// Format of a record: bpf(2) documentation, "BPF ring buffer".
constexpr std::size_t kRecordHeaderBytes = BPF_RINGBUF_HDR_SZ;
constexpr int kBusyTries = 200;

std::uint64_t load_acquire(const std::byte* at) {
  return __atomic_load_n(reinterpret_cast<const std::uint64_t*>(at), __ATOMIC_ACQUIRE);
}

std::uint64_t time_of(SampleBytes sample) {
  std::uint64_t time_ns = 0;
  if (sample.size() >= sizeof(cicd_sample_header)) {
    std::memcpy(&time_ns, sample.data() + offsetof(cicd_sample_header, time_ns), sizeof(time_ns));
  }
  return time_ns;
}

}  // namespace

Result<MappedRing> MappedRing::map(int map_fd, std::size_t bytes) {
  MappedRing ring;
  ring.page_bytes_ = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  void* consumer = ::mmap(nullptr, ring.page_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
  if (consumer == MAP_FAILED) return fail_errno(errno, "map the ring's consumer page");
  ring.consumer_page_ = static_cast<std::byte*>(consumer);
  // The kernel maps the data twice in a row, so that a record is always in one piece.
  ring.ring_bytes_ = bytes;
  void* producer = ::mmap(nullptr, ring.page_bytes_ + 2 * bytes, PROT_READ, MAP_SHARED, map_fd,
                          static_cast<off_t>(ring.page_bytes_));
  if (producer == MAP_FAILED) return fail_errno(errno, "map the ring's data");
  ring.producer_page_ = static_cast<std::byte*>(producer);
  ring.next_ = ring.consumer();
  return ring;
}

MappedRing::MappedRing(MappedRing&& other) noexcept
    : consumer_page_(std::exchange(other.consumer_page_, nullptr)),
      producer_page_(std::exchange(other.producer_page_, nullptr)),
      page_bytes_(other.page_bytes_),
      ring_bytes_(other.ring_bytes_),
      next_(other.next_),
      limit_(other.limit_) {}

MappedRing::~MappedRing() {
  if (consumer_page_ != nullptr) ::munmap(consumer_page_, page_bytes_);
  if (producer_page_ != nullptr) ::munmap(producer_page_, page_bytes_ + 2 * ring_bytes_);
}

std::uint64_t MappedRing::producer() const { return load_acquire(producer_page_); }
std::uint64_t MappedRing::consumer() const { return load_acquire(consumer_page_); }

std::optional<std::uint64_t> MappedRing::position_of(SampleBytes sample) const {
  const std::byte* data = producer_page_ + page_bytes_;
  if (sample.data() < data || sample.data() >= data + 2 * ring_bytes_) return std::nullopt;
  const auto offset = static_cast<std::uint64_t>(sample.data() - data) - kRecordHeaderBytes;
  const std::uint64_t committed = consumer();
  return committed + ((offset - committed) & (ring_bytes_ - 1));
}

void MappedRing::take_snapshot() {
  const std::uint64_t committed = consumer();
  if (next_ < committed) next_ = committed;
  limit_ = producer();
}

bool MappedRing::has_data() const {
  const std::uint64_t committed = consumer();
  return producer() != (next_ < committed ? committed : next_);
}

MappedRing::Head MappedRing::head(SampleBytes* sample) {
  while (next_ < limit_) {
    const std::byte* record = producer_page_ + page_bytes_ + (next_ & (ring_bytes_ - 1));
    const std::uint32_t length =
        __atomic_load_n(reinterpret_cast<const std::uint32_t*>(record), __ATOMIC_ACQUIRE);
    if (length & BPF_RINGBUF_BUSY_BIT) return Head::kBusy;
    *sample = {record + kRecordHeaderBytes, length & ~BPF_RINGBUF_DISCARD_BIT};
    if ((length & BPF_RINGBUF_DISCARD_BIT) == 0) return Head::kSample;
    pop();
  }
  return Head::kEmpty;
}

void MappedRing::pop() {
  const std::byte* record = producer_page_ + page_bytes_ + (next_ & (ring_bytes_ - 1));
  const std::uint32_t length =
      __atomic_load_n(reinterpret_cast<const std::uint32_t*>(record), __ATOMIC_RELAXED) &
      ~BPF_RINGBUF_DISCARD_BIT;
  next_ += (kRecordHeaderBytes + length + 7) / 8 * 8;
}

void MappedRing::set_position(std::uint64_t position) {
  // Only forward, and never beyond what there is: a journal may be older than the last commit.
  if (position > consumer() && position <= producer()) next_ = position;
}

void MappedRing::commit() {
  if (next_ > consumer()) {
    __atomic_store_n(reinterpret_cast<std::uint64_t*>(consumer_page_), next_, __ATOMIC_RELEASE);
  }
}

// A record is busy for the moment between its room being taken and its bytes being there.
MappedRing::Head RingConsumer::wait_while_busy(MappedRing& ring, SampleBytes* sample) {
  MappedRing::Head head = ring.head(sample);
  for (int i = 0; head == MappedRing::Head::kBusy && i < kBusyTries; ++i) {
    ::sched_yield();
    head = ring.head(sample);
  }
  return head;
}

std::size_t RingConsumer::drain(SampleSink sink, std::size_t most) {
  bulk_.take_snapshot();
  control_.take_snapshot();
  std::size_t count = 0;
  while (count < most) {
    SampleBytes control;
    SampleBytes bulk;
    const MappedRing::Head control_head = wait_while_busy(control_, &control);
    // Nothing may overtake a control sample that is still being written.
    if (control_head == MappedRing::Head::kBusy) return count;
    const MappedRing::Head bulk_head = bulk_.head(&bulk);
    const bool has_control = control_head == MappedRing::Head::kSample;
    const bool has_bulk = bulk_head == MappedRing::Head::kSample;
    if (!has_control && !has_bulk) return count;
    if (has_control && (!has_bulk || time_of(control) <= time_of(bulk))) {
      control_.pop();
      sink(control);
    } else {
      bulk_.pop();
      sink(bulk);
    }
    ++count;
  }
  return count;
}

void RingConsumer::commit() {
  control_.commit();
  bulk_.commit();
}

void RingConsumer::set_positions(const RingPositions& positions) {
  control_.set_position(positions.control);
  bulk_.set_position(positions.bulk);
}

bool RingConsumer::is_before(SampleBytes sample, const RingPositions& positions) const {
  if (const auto control = control_.position_of(sample)) return *control < positions.control;
  const auto bulk = bulk_.position_of(sample);
  return bulk && *bulk < positions.bulk;
}

}  // namespace cicd

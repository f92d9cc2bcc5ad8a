// SPDX-License-Identifier: Apache-2.0
// The consumer over rings that the test fills itself, in the kernel's layout; no root needed.
#include "kernel/ring_consumer.h"

#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "base/unique_fd.h"
#include "wire/sample.h"

namespace cicd {
namespace {

constexpr std::size_t kRingBytes = 4096;

// The producer's side: consumer page, producer page, data and once more the data, in a memfd. The
// kernel maps the same pages twice; here every byte is written twice.
class FakeRing {
 public:
  FakeRing() : fd_(::memfd_create("ring", MFD_CLOEXEC)), page_(::sysconf(_SC_PAGESIZE)) {
    const auto size = static_cast<std::size_t>(2 * page_) + 2 * kRingBytes;
    if (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0) ADD_FAILURE();
    void* at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
    memory_ = static_cast<std::byte*>(at);
  }

  MappedRing map() {
    Result<MappedRing> ring = MappedRing::map(fd_.get(), kRingBytes);
    EXPECT_TRUE(ring);
    return std::move(*ring);
  }

  // A sample of `bytes` bytes with this time; returns the position of its record.
  std::uint64_t add(std::uint64_t time_ns, std::size_t bytes = 64, std::uint32_t bits = 0) {
    std::vector<std::byte> sample(bytes);
    std::memcpy(sample.data() + offsetof(cicd_sample_header, time_ns), &time_ns, sizeof(time_ns));
    const std::uint64_t at = producer_;
    set_length(at, static_cast<std::uint32_t>(bytes) | bits);
    for (std::size_t i = 0; i < bytes; ++i) put(at + BPF_RINGBUF_HDR_SZ + i, sample[i]);
    producer_ += (BPF_RINGBUF_HDR_SZ + bytes + 7) / 8 * 8;
    std::memcpy(memory_ + page_, &producer_, sizeof(producer_));
    return at;
  }
  void set_length(std::uint64_t at, std::uint32_t length) {
    std::byte bytes[sizeof(length)];
    std::memcpy(bytes, &length, sizeof(length));
    for (std::size_t i = 0; i < sizeof(length); ++i) put(at + i, bytes[i]);
  }
  std::uint64_t consumer() const {
    std::uint64_t position = 0;
    std::memcpy(&position, memory_, sizeof(position));
    return position;
  }
  std::uint64_t producer() const { return producer_; }

 private:
  void put(std::uint64_t position, std::byte value) {
    const std::size_t at = static_cast<std::size_t>(2 * page_) + position % kRingBytes;
    memory_[at] = value;
    memory_[at + kRingBytes] = value;
  }

  UniqueFd fd_;
  long page_;
  std::byte* memory_ = nullptr;
  std::uint64_t producer_ = 0;
};

class RingConsumerTest : public ::testing::Test {
 protected:
  std::vector<std::uint64_t> drain(std::size_t most = SIZE_MAX) {
    std::vector<std::uint64_t> times;
    const std::size_t count = rings_.drain(
        [&](SampleBytes bytes) {
          std::uint64_t time_ns = 0;
          std::memcpy(&time_ns, bytes.data() + offsetof(cicd_sample_header, time_ns),
                      sizeof(time_ns));
          times.push_back(time_ns);
        },
        most);
    EXPECT_EQ(count, times.size());
    return times;
  }
  using Times = std::vector<std::uint64_t>;

  FakeRing control_;
  FakeRing bulk_;
  RingConsumer rings_{control_.map(), bulk_.map()};
};

TEST_F(RingConsumerTest, EmptyRingsGiveNothing) {
  EXPECT_FALSE(rings_.has_data());
  EXPECT_EQ(drain(), Times{});
}

TEST_F(RingConsumerTest, WhatIsBehindTheMostIsLeftForTheNextTime) {
  for (const std::uint64_t time : {10u, 30u}) control_.add(time);
  for (const std::uint64_t time : {5u, 20u, 40u}) bulk_.add(time);
  EXPECT_EQ(drain(3), (Times{5, 10, 20}));
  EXPECT_TRUE(rings_.has_data());
  rings_.commit();
  EXPECT_LT(bulk_.consumer(), bulk_.producer()) << "room of what was handed out, not more";
  EXPECT_EQ(drain(3), (Times{30, 40}));
  EXPECT_FALSE(rings_.has_data());
}

TEST_F(RingConsumerTest, MergesByTimeAndPutsControlFirst) {
  for (const std::uint64_t time : {10u, 30u, 50u}) control_.add(time);
  for (const std::uint64_t time : {5u, 30u, 40u, 60u}) bulk_.add(time);
  EXPECT_TRUE(rings_.has_data());
  EXPECT_EQ(drain(), (Times{5, 10, 30, 30, 40, 50, 60}));
  EXPECT_FALSE(rings_.has_data());
}

TEST_F(RingConsumerTest, RoomIsGivenBackAtCommitOnly) {
  control_.add(1);
  bulk_.add(2);
  EXPECT_EQ(drain().size(), 2u);
  EXPECT_EQ(control_.consumer(), 0u);
  EXPECT_EQ(bulk_.consumer(), 0u);
  EXPECT_EQ(drain(), Times{}) << "not handed out twice";
  rings_.commit();
  EXPECT_EQ(control_.consumer(), control_.producer());
  EXPECT_EQ(bulk_.consumer(), bulk_.producer());
}

TEST_F(RingConsumerTest, DiscardedRecordsAreSkipped) {
  control_.add(1, 64, BPF_RINGBUF_DISCARD_BIT);
  control_.add(2);
  control_.add(3, 200, BPF_RINGBUF_DISCARD_BIT);
  EXPECT_EQ(drain(), (Times{2}));
  rings_.commit();
  EXPECT_EQ(control_.consumer(), control_.producer());
}

TEST_F(RingConsumerTest, NothingOvertakesAControlSampleInWork) {
  control_.add(1);
  const std::uint64_t busy = control_.add(2, 64, BPF_RINGBUF_BUSY_BIT);
  control_.add(3);
  bulk_.add(4);
  EXPECT_EQ(drain(), (Times{1}));
  control_.set_length(busy, 64);
  EXPECT_EQ(drain(), (Times{2, 3, 4}));
}

TEST_F(RingConsumerTest, ABusyOpenHoldsUpOnlyOpens) {
  const std::uint64_t busy = bulk_.add(1, 64, BPF_RINGBUF_BUSY_BIT);
  bulk_.add(2);
  control_.add(3);
  EXPECT_EQ(drain(), (Times{3}));
  bulk_.set_length(busy, 64);
  EXPECT_EQ(drain(), (Times{1, 2}));
}

TEST_F(RingConsumerTest, RecordsAcrossTheEndOfTheRingAreWhole) {
  std::uint64_t time = 0;
  for (int round = 0; round < 50; ++round) {
    Times expected;
    for (int i = 0; i < 3; ++i) {
      control_.add(++time, 1000);
      expected.push_back(time);
    }
    EXPECT_EQ(drain(), expected);
    rings_.commit();
  }
  EXPECT_GT(control_.producer(), 10 * kRingBytes);
}

TEST_F(RingConsumerTest, PositionsGoForwardWithinWhatThereIs) {
  control_.add(1);
  const std::uint64_t second = control_.add(2);
  rings_.set_positions({second, 0});
  EXPECT_EQ(drain(), (Times{2})) << "the first is in the journal already";
  rings_.commit();
  control_.add(3);
  rings_.set_positions({0, 0});
  EXPECT_EQ(drain(), (Times{3})) << "an older journal does not bring back what was committed";
  rings_.set_positions({std::uint64_t{1} << 40, std::uint64_t{1} << 40});
  control_.add(4);
  EXPECT_EQ(drain(), (Times{4})) << "a position beyond the end is no position";
}

TEST_F(RingConsumerTest, ASecondConsumerGoesOnAtTheCommit) {
  control_.add(1);
  EXPECT_EQ(drain().size(), 1u);
  RingConsumer other(control_.map(), bulk_.map());
  control_.add(2);
  Times times;
  other.drain([&](SampleBytes) { times.push_back(0); });
  EXPECT_EQ(times.size(), 2u) << "nothing was committed";
  other.commit();
  control_.add(3);
  EXPECT_EQ(drain(), (Times{3})) << "catches up with the other's commit";
}

}  // namespace
}  // namespace cicd

// SPDX-License-Identifier: Apache-2.0
// Recordings whole, cut, damaged, resumed, and on a disk that is full.
#include "kernel/recording.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>

#include "kernel/recording_format.h"
#include "kernel/recording_test_support.h"
#include "wire/sample_builder.h"

namespace cicd {
namespace {

using namespace recording;

const RecordingInfo kInfo{.clock = {.realtime_offset_ns = -7},
                          .kernel_release = "6.18.0",
                          .slot = 3,
                          .root_cgroup_id = 4711,
                          .job_name = "group/project"};

RecordingWriter make_writer(const TemporaryFile& file) {
  auto writer = RecordingWriter::create(file.path(), kInfo);
  if (!writer) ADD_FAILURE() << writer.error().text;
  return std::move(*writer);
}

// Three blocks of one, two and one samples; returns the file offset after each.
std::vector<std::uint64_t> write_three_blocks(const TemporaryFile& file) {
  RecordingWriter writer = make_writer(file);
  std::vector<std::uint64_t> ends;
  const auto end_block = [&](std::uint64_t position) {
    EXPECT_TRUE(writer.end_block({.control = position, .bulk = position + 1}));
    ends.push_back(writer.bytes_written());
  };
  writer.append(exit_sample({}));
  end_block(10);
  writer.append(exec_sample({}, {.argv = {"odd length"}}));
  writer.append(exec_sample({}, {}));
  end_block(20);
  writer.append(exit_sample({}));
  end_block(30);
  return ends;
}

struct Reading {
  std::vector<std::size_t> blocks;  // samples in each
  std::optional<Error> error;
  std::uint64_t good_bytes = 0;
  RingPositions positions;
};
Reading read_all(const TemporaryFile& file) {
  Reading reading;
  auto reader = RecordingReader::open(file.path());
  if (!reader) {
    reading.error = reader.error();
    return reading;
  }
  for (;;) {
    auto block = reader->next_block();
    if (!block) {
      reading.error = block.error();
      const auto again = reader->next_block();
      EXPECT_FALSE(again);
      EXPECT_EQ(again.error().text, block.error().text);
      break;
    }
    if (!*block) break;
    reading.blocks.push_back((*block)->size());
  }
  reading.good_bytes = reader->good_bytes();
  reading.positions = reader->positions();
  return reading;
}

void patch(const TemporaryFile& file, std::size_t offset, std::string_view bytes) {
  std::string content = file.read();
  ASSERT_LE(offset + bytes.size(), content.size());
  content.replace(offset, bytes.size(), bytes);
  file.write(content);
}

template <typename T>
std::string_view bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

// Gives the file header at the start of `file` a CRC that fits.
void fix_header_crc(const TemporaryFile& file) {
  std::string content = file.read();
  const std::uint32_t zero = 0;
  content.replace(offsetof(FileHeader, crc), 4, bytes_of(zero));
  const auto crc = static_cast<std::uint32_t>(
      ::crc32_z(0, reinterpret_cast<const Bytef*>(content.data()), sizeof(FileHeader)));
  content.replace(offsetof(FileHeader, crc), 4, bytes_of(crc));
  file.write(content);
}

TEST(Recording, InfoComesBack) {
  const TemporaryFile file;
  make_writer(file);
  auto reader = RecordingReader::open(file.path());
  ASSERT_TRUE(reader) << reader.error().text;
  EXPECT_EQ(reader->info().clock.realtime_offset_ns, -7);
  EXPECT_EQ(reader->info().kernel_release, "6.18.0");
  EXPECT_EQ(reader->info().slot, 3u);
  EXPECT_EQ(reader->info().root_cgroup_id, 4711u);
  EXPECT_EQ(reader->info().job_name, "group/project");
  EXPECT_EQ(reader->good_bytes(), sizeof(FileHeader));
  const auto block = reader->next_block();
  ASSERT_TRUE(block);
  EXPECT_FALSE(*block);
}

TEST(Recording, BlocksComeBackWithPositions) {
  const TemporaryFile file;
  const auto ends = write_three_blocks(file);
  const Reading reading = read_all(file);
  EXPECT_FALSE(reading.error) << reading.error->text;
  EXPECT_EQ(reading.blocks, (std::vector<std::size_t>{1, 2, 1}));
  EXPECT_EQ(reading.good_bytes, ends[2]);
  EXPECT_EQ(reading.positions.control, 30u);
  EXPECT_EQ(reading.positions.bulk, 31u);
  EXPECT_EQ(file.read().size(), ends[2]);
}

TEST(Recording, BytesOfSamplesAreKeptMalformedOnesToo) {
  const TemporaryFile file;
  RecordingWriter writer = make_writer(file);
  const std::vector<SampleBuffer> samples = {SampleBuffer(1, std::byte{0xff}), SampleBuffer(),
                                             open_sample({}, {.path = walked("/a/b")}),
                                             SampleBuffer(kSampleBytesMax, std::byte{7})};
  for (const SampleBuffer& sample : samples) writer.append(sample);
  ASSERT_TRUE(writer.end_block({}));
  auto reader = RecordingReader::open(file.path());
  ASSERT_TRUE(reader);
  const auto block = reader->next_block();
  ASSERT_TRUE(block && *block);
  ASSERT_EQ((*block)->size(), samples.size());
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const SampleBytes bytes = (**block)[i];
    EXPECT_EQ(SampleBuffer(bytes.begin(), bytes.end()), samples[i]);
  }
}

// Blocks of many parts, of writers that share the memory for them and grow in turn.
TEST(Recording, SamplesOfAnyLengthAreReadAsTheyWereWritten) {
  const TemporaryFile files[2];
  RecordingWriter writers[2] = {make_writer(files[0]), make_writer(files[1])};
  const auto pool = std::make_shared<BlockPool>(std::size_t{1} << 20);
  for (RecordingWriter& writer : writers) writer.share_memory(pool);
  std::mt19937 random(1);
  std::vector<SampleBuffer> samples;
  for (int i = 0; i < 6'000; ++i) {
    samples.emplace_back(random() % 1'000, static_cast<std::byte>(random()));
  }
  for (int block = 0; block < 2; ++block) {
    for (const SampleBuffer& sample : samples) {
      for (RecordingWriter& writer : writers) writer.append(sample);
    }
    for (RecordingWriter& writer : writers) ASSERT_TRUE(writer.end_block({}));
  }
  for (const TemporaryFile& file : files) {
    auto reader = RecordingReader::open(file.path());
    ASSERT_TRUE(reader);
    for (int block = 0; block < 2; ++block) {
      const auto read = reader->next_block();
      ASSERT_TRUE(read && *read);
      ASSERT_EQ((*read)->size(), samples.size());
      for (std::size_t i = 0; i < samples.size(); ++i) {
        ASSERT_TRUE(std::ranges::equal((**read)[i], samples[i])) << i;
      }
    }
    EXPECT_EQ(reader->good_bytes(), file.read().size());
  }
}

TEST(Recording, AnEmptyBlockWritesNothing) {
  const TemporaryFile file;
  RecordingWriter writer = make_writer(file);
  ASSERT_TRUE(writer.end_block({.control = 5, .bulk = 5}));
  EXPECT_EQ(file.read().size(), sizeof(FileHeader));
}

// Wherever it is cut, every whole block is read, and the error says where the rest should be.
TEST(Recording, CutAtEveryByte) {
  const TemporaryFile file;
  const auto ends = write_three_blocks(file);
  const std::string whole = file.read();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    file.write(whole.substr(0, size));
    const Reading reading = read_all(file);
    if (size < sizeof(FileHeader)) {
      ASSERT_TRUE(reading.error);
      continue;
    }
    std::uint64_t good = sizeof(FileHeader);
    std::size_t blocks = 0;
    while (blocks < ends.size() && ends[blocks] <= size) good = ends[blocks++];
    ASSERT_EQ(reading.blocks.size(), blocks) << size;
    ASSERT_EQ(reading.good_bytes, good);
    ASSERT_EQ(reading.error.has_value(), good != size) << size;
    if (!reading.error) continue;
    ASSERT_EQ(reading.error->code, ErrorCode::kInvalidInput);
    const std::string place = file.path() + ": offset " + std::to_string(good);
    if (size - good >= sizeof(BlockHeader)) {
      ASSERT_NE(reading.error->text.find(place), std::string::npos) << reading.error->text;
    }
  }
}

TEST(Recording, EveryFlippedByteIsFound) {
  const TemporaryFile file;
  const auto ends = write_three_blocks(file);
  const std::string whole = file.read();
  for (std::size_t offset = 0; offset < whole.size(); ++offset) {
    // The page of info is large and mostly zeros: one in 16 of it is enough.
    if (offset > 64 && offset < sizeof(FileHeader) && offset % 16 != 0) continue;
    std::string damaged = whole;
    damaged[offset] = static_cast<char>(damaged[offset] ^ 0x40);
    file.write(damaged);
    const Reading reading = read_all(file);
    ASSERT_TRUE(reading.error) << "offset " << offset;
    if (offset < sizeof(FileHeader)) continue;
    const std::size_t block = offset < ends[0] ? 0 : offset < ends[1] ? 1 : 2;
    ASSERT_EQ(reading.blocks.size(), block) << "offset " << offset;
  }
}

TEST(Recording, LengthsFromAHostileFileAskForNoMemory) {
  const TemporaryFile file;
  write_three_blocks(file);
  for (const std::uint64_t bytes :
       {std::uint64_t{kBlockBytesMax}, std::uint64_t{kBlockBytesMax} + 1, ~std::uint64_t{0}}) {
    patch(file, sizeof(FileHeader) + offsetof(BlockHeader, bytes), bytes_of(bytes));
    const Reading reading = read_all(file);
    ASSERT_TRUE(reading.error);
    EXPECT_NE(reading.error->text.find("by its header, the file has"), std::string::npos);
  }
}

TEST(Recording, FilesThatAreNoRecording) {
  const TemporaryFile file;
  file.write(std::string(5'000, '{'));
  Reading reading = read_all(file);
  ASSERT_TRUE(reading.error);
  EXPECT_NE(reading.error->text.find("not a recording"), std::string::npos);
  EXPECT_FALSE(RecordingReader::open("/dev/zero"));
  EXPECT_FALSE(RecordingReader::open("/proc/self"));
  const auto missing = RecordingReader::open(file.path() + ".none");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
}

TEST(Recording, OtherVersionsAndByteOrders) {
  const TemporaryFile file;
  write_three_blocks(file);
  const std::string whole = file.read();
  for (const std::size_t offset :
       {offsetof(FileHeader, version), offsetof(FileHeader, wire_version)}) {
    file.write(whole);
    patch(file, offset, bytes_of(std::uint32_t{99}));
    const Reading reading = read_all(file);
    ASSERT_TRUE(reading.error);
    EXPECT_EQ(reading.error->code, ErrorCode::kUnsupported);
    EXPECT_NE(reading.error->text.find("99"), std::string::npos);
  }
  file.write(whole);
  patch(file, offsetof(FileHeader, byte_order), bytes_of(kByteOrderSwapped));
  const Reading reading = read_all(file);
  ASSERT_TRUE(reading.error);
  EXPECT_NE(reading.error->text.find("byte order"), std::string::npos);
}

TEST(Recording, LengthsInTheInfoAreChecked) {
  const TemporaryFile file;
  write_three_blocks(file);
  patch(file, offsetof(FileHeader, job_name_bytes), bytes_of(std::uint32_t{1'000'000}));
  fix_header_crc(file);
  const Reading reading = read_all(file);
  ASSERT_TRUE(reading.error);
  EXPECT_EQ(reading.error->code, ErrorCode::kInvalidInput);
}

TEST(Recording, ResumeGoesOnBehindTheGoodPart) {
  const TemporaryFile file;
  const auto ends = write_three_blocks(file);
  file.truncate(ends[2] - 1);
  auto writer = RecordingWriter::resume(file.path(), read_all(file).good_bytes);
  ASSERT_TRUE(writer) << writer.error().text;
  writer->append(exit_sample({}));
  writer->append(exit_sample({}));
  writer->append(exit_sample({}));
  ASSERT_TRUE(writer->end_block({.control = 77, .bulk = 78}));
  const Reading reading = read_all(file);
  EXPECT_FALSE(reading.error);
  EXPECT_EQ(reading.blocks, (std::vector<std::size_t>{1, 2, 3}));
  EXPECT_EQ(reading.positions.control, 77u);
  EXPECT_EQ(reading.good_bytes, writer->bytes_written());
}

TEST(Recording, ResumeRefusesWhatCannotBe) {
  const TemporaryFile file;
  const auto ends = write_three_blocks(file);
  EXPECT_FALSE(RecordingWriter::resume(file.path(), ends[2] + 1));
  EXPECT_FALSE(RecordingWriter::resume(file.path(), 5));
  EXPECT_FALSE(RecordingWriter::resume(file.path() + ".none", 4096));
}

TEST(Recording, CreateRefusesWhatCannotBe) {
  EXPECT_FALSE(RecordingWriter::create("/dev/null", kInfo));
  const auto missing = RecordingWriter::create("/nonexistent/x", kInfo);
  ASSERT_FALSE(missing);
  EXPECT_FALSE(missing.error().hint.empty());
  const TemporaryFile file;
  RecordingInfo info = kInfo;
  info.job_name.assign(kJobNameMax + 1, 'x');
  EXPECT_FALSE(RecordingWriter::create(file.path(), info));
}

// A file that grows while it is read: the end of now is not the end for ever.
TEST(Recording, ReaderFollowsAGrowingFile) {
  const TemporaryFile file;
  RecordingWriter writer = make_writer(file);
  auto reader = RecordingReader::open(file.path());
  ASSERT_TRUE(reader);
  ASSERT_FALSE(*reader->next_block());
  writer.append(exit_sample({}));
  ASSERT_TRUE(writer.end_block({}));
  const auto block = reader->next_block();
  ASSERT_TRUE(block && *block);
  EXPECT_EQ((*block)->size(), 1u);
}

// Lowers the largest size of a file for its lifetime: a write beyond it is cut short, then fails,
// as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(std::uint64_t bytes) {
    old_handler_ = ::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit limit{bytes, old_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &old_);
    ::signal(SIGXFSZ, old_handler_);
  }

 private:
  rlimit old_{};
  sighandler_t old_handler_;
};

TEST(Recording, AFullDiskLeavesCompleteBlocks) {
  const TemporaryFile file;
  RecordingWriter writer = make_writer(file);
  writer.append(exit_sample({}));
  ASSERT_TRUE(writer.end_block({.control = 1, .bulk = 1}));
  const std::uint64_t good = writer.bytes_written();
  {
    const FileSizeLimit limit(good + 100);
    for (int i = 0; i < 10; ++i) writer.append(exec_sample({}, {}));
    const auto failed = writer.end_block({.control = 2, .bulk = 2});
    ASSERT_FALSE(failed);
    EXPECT_NE(failed.error().text.find(file.path()), std::string::npos);
    EXPECT_NE(failed.error().text.find(std::to_string(good)), std::string::npos);
  }
  EXPECT_EQ(file.read().size(), good);
  EXPECT_EQ(writer.bytes_written(), good);
  // There is room again, but a recording has no holes.
  writer.append(exit_sample({}));
  EXPECT_FALSE(writer.end_block({.control = 3, .bulk = 3}));
  const Reading reading = read_all(file);
  EXPECT_FALSE(reading.error);
  EXPECT_EQ(reading.positions.control, 1u);
}

TEST(Recording, ASampleThatIsTooBigEndsIt) {
  const TemporaryFile file;
  RecordingWriter writer = make_writer(file);
  writer.append(SampleBuffer(kSampleBytesMax + 1));
  EXPECT_FALSE(writer.end_block({}));
  EXPECT_EQ(file.read().size(), sizeof(FileHeader));
}

}  // namespace
}  // namespace cicd

// SPDX-License-Identifier: Apache-2.0
// Any bytes as a recording. The first byte of the input chooses: the rest is a file as it is, or a
// valid file whose blocks' payloads and headers come from the input with CRCs made to fit, so that
// what lies behind the CRC is reached too.
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>

#include "kernel/recording.h"
#include "kernel/recording_format.h"
#include "wire/sample.h"

namespace {

using namespace cicd::recording;

std::uint32_t crc_of(const std::string& bytes) {
  return static_cast<std::uint32_t>(
      ::crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

template <typename Fixed>
void append(std::string& file, Fixed fixed, std::string_view payload = {}) {
  fixed.crc = 0;
  std::string bytes(reinterpret_cast<const char*>(&fixed), sizeof(fixed));
  bytes += payload;
  fixed.crc = crc_of(bytes);
  std::memcpy(bytes.data(), &fixed, sizeof(fixed));
  file += bytes;
}

std::string make_file(std::string_view input) {
  FileHeader info{};
  std::memcpy(info.magic, kMagic, sizeof(kMagic));
  info.byte_order = kByteOrder;
  info.version = kRecordingVersion;
  info.wire_version = CICD_WIRE_VERSION;
  std::string file;
  append(file, info);
  while (input.size() >= 4) {
    BlockHeader block{};
    block.magic = kBlockMagic;
    block.kind = static_cast<std::uint8_t>(input[0]) < 250 ? kBlockSamples : 2;
    block.count = static_cast<std::uint8_t>(input[1]);
    const std::size_t bytes =
        std::min<std::size_t>(static_cast<std::uint8_t>(input[2]) * 8u, input.size() - 4);
    block.bytes = bytes + (static_cast<std::uint8_t>(input[3]) > 250 ? 8 : 0);
    append(file, block, input.substr(4, bytes));
    input.remove_prefix(4 + bytes);
  }
  return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  static const int fd = ::memfd_create("fuzz", MFD_CLOEXEC);
  static const std::string path = "/proc/self/fd/" + std::to_string(fd);
  const std::string_view rest(reinterpret_cast<const char*>(data + 1), size - 1);
  const std::string file = data[0] % 2 == 0 ? std::string(rest) : make_file(rest);
  if (::ftruncate(fd, 0) != 0 ||
      ::pwrite(fd, file.data(), file.size(), 0) != static_cast<ssize_t>(file.size())) {
    std::abort();
  }
  auto reader = cicd::RecordingReader::open(path);
  if (!reader) return 0;
  std::uint64_t good = reader->good_bytes();
  volatile std::uint8_t sum = 0;  // so that every byte is really read
  for (;;) {
    auto block = reader->next_block();
    if (!block || !*block) break;
    for (const cicd::SampleBytes sample : **block) {
      for (const std::byte byte : sample) sum = sum ^ static_cast<std::uint8_t>(byte);
    }
    if (reader->good_bytes() <= good || reader->good_bytes() > file.size()) std::abort();
    good = reader->good_bytes();
  }
  // What was read is good to go on from.
  if (!cicd::RecordingWriter::resume(path, good)) std::abort();
  return 0;
}

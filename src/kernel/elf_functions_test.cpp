// SPDX-License-Identifier: Apache-2.0
#include "kernel/elf_functions.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <random>
#include <string>

#include "base/unique_fd.h"
#include "kernel/library_prober.h"

namespace cicd {

namespace {

constexpr std::array<std::string_view, 3> kNames = {"getaddrinfo", "no_such_function", "malloc"};

// Of the library itself: a sanitizer has functions of these names in front of it.
void* in_libc(const char* name) {
  void* library = ::dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
  void* function = library == nullptr ? nullptr : ::dlsym(library, name);
  if (library != nullptr) ::dlclose(library);
  return function;
}

std::string libc_path() {
  Dl_info info{};
  ::dladdr(in_libc("getaddrinfo"), &info);
  return info.dli_fname;
}

UniqueFd file_of(std::string_view bytes) {
  UniqueFd fd(::memfd_create("elf", MFD_CLOEXEC));
  EXPECT_EQ(::pwrite(fd.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  return fd;
}

std::string read_all(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string bytes(static_cast<std::size_t>(::lseek(fd.get(), 0, SEEK_END)), '\0');
  EXPECT_EQ(::pread(fd.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  return bytes;
}

TEST(ElfFunctions, FindsTheCodeOfTheLibraryInUse) {
  void* self = in_libc("getaddrinfo");
  ASSERT_NE(self, nullptr);
  UniqueFd fd(::open(libc_path().c_str(), O_RDONLY | O_CLOEXEC));
  const auto offsets = find_elf_functions(fd.get(), kNames);
  ASSERT_TRUE(offsets) << offsets.error().text;
  EXPECT_EQ((*offsets)[1], 0u);
  std::array<char, 16> code{};
  ASSERT_EQ(::pread(fd.get(), code.data(), code.size(), static_cast<off_t>((*offsets)[0])), 16);
  // But for the first byte: a sensor that runs now has its breakpoint there.
  EXPECT_EQ(std::memcmp(code.data() + 1, static_cast<char*>(self) + 1, code.size() - 1), 0)
      << "the same instructions as in memory";
}

TEST(ElfFunctions, RefusesWhatIsNoLibrary) {
  for (const std::string& bytes : {std::string(), std::string("\x7f"),
                                   std::string("\x7f"
                                               "ELF"),
                                   std::string(5000, 'x'), std::string(64, '\0')}) {
    EXPECT_FALSE(find_elf_functions(file_of(bytes).get(), kNames)) << bytes.size();
  }
}

TEST(ElfFunctions, TruncatedAnywhereIsNoCrash) {
  const std::string whole = read_all(libc_path());
  for (std::size_t size = 1; size < whole.size(); size = size * 3 / 2 + 1) {
    const auto offsets = find_elf_functions(file_of(whole.substr(0, size)).get(), kNames);
    EXPECT_FALSE(offsets) << "the section headers are at the end";
  }
}

TEST(ElfFunctions, DamagedHeadersAreNoCrashAndNoOffsetOutsideOfCode) {
  std::string bytes = read_all(libc_path());
  Elf64_Ehdr header{};
  std::memcpy(&header, bytes.data(), sizeof(header));
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    std::string damaged = bytes;
    for (int i = 0; i < 8; ++i) {
      const bool in_sections = random() % 2 == 0;
      const std::size_t at =
          in_sections ? header.e_shoff + random() % (header.e_shnum * sizeof(Elf64_Shdr))
                      : random() % (sizeof(header) + header.e_phnum * sizeof(Elf64_Phdr));
      damaged[at] = static_cast<char>(random());
    }
    const auto offsets = find_elf_functions(file_of(damaged).get(), kNames);
    if (offsets) {
      EXPECT_EQ((*offsets)[1], 0u);
    }
  }
}

TEST(LibraryNames, OfEachKind) {
  for (const char* path : {"/lib/x86_64-linux-gnu/libc.so.6", "/lib/libc-2.31.so", "libc.so",
                           "/lib/libc.musl-x86_64.so.1", "/lib/ld-musl-aarch64.so.1"}) {
    EXPECT_TRUE(library_name(path).is_libc) << path;
  }
  for (const char* path :
       {"/usr/lib/libssl.so.3", "/x/libssl-81ffa89e.so.1.1", "/usr/lib/libgnutls.so.30"}) {
    EXPECT_TRUE(library_name(path).is_known) << path;
    EXPECT_FALSE(library_name(path).is_libc) << path;
  }
  for (const char* path : {"", "/", "/libc.so.6/x", "/lib/libcrypt.so.1", "/lib/libc-client.so"}) {
    EXPECT_FALSE(library_name(path).is_known) << path;
  }
}

}  // namespace

}  // namespace cicd

// SPDX-License-Identifier: Apache-2.0
#include "call32.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace cicd::test {

namespace {

// A bump allocator in `page`; tests need a few hundred bytes each.
constexpr std::size_t kPageBytes = 65536;

std::size_t put(char* page, const std::string& text) {
  static std::size_t used = 0;
  const std::size_t at = used;
  std::memcpy(page + at, text.c_str(), text.size() + 1);
  used += text.size() + 1;
  return at;
}

}  // namespace

#if defined(__x86_64__)

long low(const std::string& text) {
  static char* page = static_cast<char*>(::mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE,
                                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0));
  return reinterpret_cast<long>(page + put(page, text));
}

long call32(long number, long a, long b, long c, long d, long e) {
  long result = number;
  asm volatile("int $0x80"
               : "+a"(result)
               : "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
               : "memory", "r8", "r9", "r10", "r11");
  return static_cast<int>(result);
}

std::string why_no_call32() {
  constexpr long kGetpid = 20;
  return call32(kGetpid) == -ENOSYS ? "the kernel has no 32-bit system calls" : "";
}

#else

namespace {

// The program, as it lies in its file and in memory: one call, whose negated error is its status.
struct Program {
  Elf32_Ehdr header;
  Elf32_Phdr segment;
  std::uint32_t code[7];
  std::uint32_t registers[7];  // r0 to r5, and r7: the number
  char strings[kPageBytes];
};

constexpr std::uint32_t kBase = 0x20000;
constexpr std::uint32_t kCode[] = {
    0xe28f8014,  // add r8, pc, #20: `registers`
    0xe89800bf,  // ldm r8, {r0-r5, r7}
    0xef000000,  // svc 0
    0xe2700000,  // rsbs r0, r0, #0
    0xb3a00000,  // movlt r0, #0
    0xe3a07001,  // mov r7, #1: exit
    0xef000000,  // svc 0
};
constexpr Elf32_Word kEabi5 = 0x05000000;

Program& program() {
  static Program made = [] {
    Program out{};
    const unsigned char ident[] = {ELFMAG0,    ELFMAG1,     ELFMAG2,   ELFMAG3,
                                   ELFCLASS32, ELFDATA2LSB, EV_CURRENT};
    std::memcpy(out.header.e_ident, ident, sizeof(ident));
    out.header.e_type = ET_EXEC;
    out.header.e_machine = EM_ARM;
    out.header.e_version = EV_CURRENT;
    out.header.e_flags = kEabi5;
    out.header.e_entry = kBase + offsetof(Program, code);
    out.header.e_phoff = offsetof(Program, segment);
    out.header.e_ehsize = sizeof(Elf32_Ehdr);
    out.header.e_phentsize = sizeof(Elf32_Phdr);
    out.header.e_phnum = 1;
    out.segment.p_type = PT_LOAD;
    out.segment.p_vaddr = out.segment.p_paddr = kBase;
    out.segment.p_filesz = out.segment.p_memsz = sizeof(Program);
    out.segment.p_flags = PF_R | PF_W | PF_X;
    out.segment.p_align = 0x10000;
    std::memcpy(out.code, kCode, sizeof(kCode));
    return out;
  }();
  return made;
}

[[noreturn]] void become(int file) {
  char name[] = "call32";
  char* arguments[] = {name, nullptr};
  char* environment[] = {nullptr};
  ::syscall(SYS_execveat, file, "", arguments, environment, AT_EMPTY_PATH);
  ::_exit(ENOEXEC);
}

}  // namespace

long low(const std::string& text) {
  return static_cast<long>(kBase + offsetof(Program, strings) + put(program().strings, text));
}

long call32(long number, long a, long b, long c, long d, long e) {
  const long registers[] = {a, b, c, d, e, 0, number};
  for (int i = 0; i < 7; ++i) {
    program().registers[i] = static_cast<std::uint32_t>(registers[i]);
  }
  const int file = static_cast<int>(::syscall(SYS_memfd_create, "call32", MFD_CLOEXEC));
  const auto written = ::write(file, &program(), sizeof(Program));
  int status = -1;
  if (written == static_cast<ssize_t>(sizeof(Program))) {
    const pid_t child = ::fork();
    if (child == 0) become(file);
    ::waitpid(child, &status, 0);
  }
  ::close(file);
  return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

std::string why_no_call32() {
  constexpr long kGetpid = 20;
  return call32(kGetpid) == 0 ? "" : "the processor or the kernel runs no 32-bit programs";
}

#endif

}  // namespace cicd::test

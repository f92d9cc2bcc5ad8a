// SPDX-License-Identifier: Apache-2.0
#include "kernel/elf_functions.h"

#include <elf.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

namespace cicd {

namespace {

constexpr std::size_t kMaxSegments = 256;
constexpr std::size_t kMaxSections = 8'192;
constexpr std::uint64_t kMaxSymbolBytes = std::uint64_t{8} << 20;
constexpr std::uint64_t kMaxStringBytes = std::uint64_t{8} << 20;

std::unexpected<Error> malformed(const char* what) {
  return fail(ErrorCode::kUnsupported, std::string("not a library we can read: ") + what);
}

Result<> read_at(int fd, std::uint64_t offset, std::span<std::byte> into) {
  if (offset > std::uint64_t{INT64_MAX} - into.size()) return malformed("an offset");
  while (!into.empty()) {
    const ssize_t bytes = ::pread(fd, into.data(), into.size(), static_cast<off_t>(offset));
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return fail_errno(errno, "read library");
    if (bytes == 0) return malformed("it ends too early");
    into = into.subspan(static_cast<std::size_t>(bytes));
    offset += static_cast<std::uint64_t>(bytes);
  }
  return {};
}

template <typename T>
Result<std::vector<T>> read_table(int fd, std::uint64_t offset, std::size_t count) {
  std::vector<T> table(count);
  Result<> done = read_at(fd, offset, std::as_writable_bytes(std::span(table)));
  if (!done) return std::unexpected(std::move(done).error());
  return table;
}

Result<Elf64_Ehdr> read_header(int fd) {
  Result<std::vector<Elf64_Ehdr>> read = read_table<Elf64_Ehdr>(fd, 0, 1);
  if (!read) return std::unexpected(std::move(read).error());
  const Elf64_Ehdr& header = read->front();
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return malformed("no ELF file");
  static_assert(std::endian::native == std::endian::little);
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB) {
    return malformed("not 64-bit little-endian");
  }
  if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum == 0 ||
      header.e_phnum > kMaxSegments) {
    return malformed("its segments");
  }
  if (header.e_shentsize != sizeof(Elf64_Shdr) || header.e_shnum == 0 ||
      header.e_shnum > kMaxSections) {
    return malformed("its sections");
  }
  return header;
}

// 0: the address is in no code of the file.
std::uint64_t file_offset(std::span<const Elf64_Phdr> segments, std::uint64_t address) {
  for (const Elf64_Phdr& segment : segments) {
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0) continue;
    if (address < segment.p_vaddr || address - segment.p_vaddr >= segment.p_filesz) continue;
    const std::uint64_t offset = address - segment.p_vaddr;
    return segment.p_offset > UINT64_MAX - offset ? 0 : segment.p_offset + offset;
  }
  return 0;
}

struct Symbols {
  std::vector<Elf64_Sym> symbols;
  std::vector<char> strings;  // ends with a NUL

  std::string_view name_of(const Elf64_Sym& symbol) const {
    return symbol.st_name < strings.size() ? std::string_view(strings.data() + symbol.st_name)
                                           : std::string_view();
  }
};

Result<Symbols> read_symbols(int fd, const Elf64_Ehdr& header) {
  auto sections = read_table<Elf64_Shdr>(fd, header.e_shoff, header.e_shnum);
  if (!sections) return std::unexpected(std::move(sections).error());
  const auto table = std::ranges::find(*sections, std::uint32_t{SHT_DYNSYM}, &Elf64_Shdr::sh_type);
  if (table == sections->end() || table->sh_link >= sections->size()) {
    return malformed("no dynamic symbols");
  }
  const Elf64_Shdr& names = (*sections)[table->sh_link];
  if (table->sh_size > kMaxSymbolBytes || names.sh_size > kMaxStringBytes) {
    return malformed("too many symbols");
  }
  Symbols out;
  auto symbols = read_table<Elf64_Sym>(fd, table->sh_offset, table->sh_size / sizeof(Elf64_Sym));
  if (!symbols) return std::unexpected(std::move(symbols).error());
  auto strings = read_table<char>(fd, names.sh_offset, names.sh_size);
  if (!strings) return std::unexpected(std::move(strings).error());
  out.symbols = std::move(*symbols);
  out.strings = std::move(*strings);
  out.strings.push_back('\0');
  return out;
}

}  // namespace

Result<std::vector<std::uint64_t>> find_elf_functions(int fd,
                                                      std::span<const std::string_view> names) {
  Result<Elf64_Ehdr> header = read_header(fd);
  if (!header) return std::unexpected(std::move(header).error());
  auto segments = read_table<Elf64_Phdr>(fd, header->e_phoff, header->e_phnum);
  if (!segments) return std::unexpected(std::move(segments).error());
  Result<Symbols> table = read_symbols(fd, *header);
  if (!table) return std::unexpected(std::move(table).error());
  std::vector<std::uint64_t> offsets(names.size());
  for (const Elf64_Sym& symbol : table->symbols) {
    if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_shndx == SHN_UNDEF) continue;
    const auto found = std::ranges::find(names, table->name_of(symbol));
    if (found == names.end()) continue;
    std::uint64_t& offset = offsets[static_cast<std::size_t>(found - names.begin())];
    if (offset == 0) offset = file_offset(*segments, symbol.st_value);
  }
  return offsets;
}

}  // namespace cicd

// SPDX-License-Identifier: Apache-2.0
#include "kernel/trampoline_probe.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <linux/bpf.h>

#include <cerrno>
#include <fstream>

#include "kernel/attach.h"

namespace cicd {

namespace {

// There in every kernel, and seldom called.
constexpr const char* kFunction = "commit_creds";
constexpr bpf_insn kReturnZero[] = {
    {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
    {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
};

}  // namespace

Result<> probe_trampolines(const btf* kernel_types) {
  const int id = ::btf__find_by_name_kind(kernel_types, kFunction, BTF_KIND_FUNC);
  if (id < 0) return fail(ErrorCode::kUnsupported, "this kernel's BTF names no functions");
  bpf_prog_load_opts opts{};
  opts.sz = sizeof(opts);
  opts.expected_attach_type = BPF_TRACE_FENTRY;
  opts.attach_btf_id = static_cast<__u32>(id);
  const UniqueFd program(::bpf_prog_load(BPF_PROG_TYPE_TRACING, "trampolines", "GPL", kReturnZero,
                                         sizeof(kReturnZero) / sizeof(kReturnZero[0]), &opts));
  if (!program) return fail_errno(errno, "this kernel refuses trampolines");
  const Result<UniqueFd> link = attach_tracing(program.get());
  if (!link) return fail_errno(link.error().sys_errno, "this kernel attaches no trampolines");
  return {};
}

std::set<std::string, std::less<>> split_functions(const std::set<std::string_view>& functions,
                                                   const char* symbols) {
  std::set<std::string, std::less<>> found;
  std::ifstream file(symbols, std::ios::binary);
  // "ffffffff81000000 t vfs_rmdir.part.0"
  for (std::string line; std::getline(file, line);) {
    const std::size_t dot = line.find('.');
    if (dot == std::string::npos) continue;
    const std::string_view suffix = std::string_view(line).substr(dot);
    if (!suffix.starts_with(".part.") && !suffix.starts_with(".isra.") &&
        !suffix.starts_with(".constprop.")) {
      continue;
    }
    const std::size_t begin = line.rfind(' ', dot);
    if (begin == std::string::npos) continue;
    const std::string_view name = std::string_view(line).substr(begin + 1, dot - begin - 1);
    if (functions.contains(name)) found.emplace(name);
  }
  return found;
}

}  // namespace cicd

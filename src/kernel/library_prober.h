// SPDX-License-Identifier: Apache-2.0
// LibraryProber: puts probes (uprobes) into the libraries a job uses, one file at a time: C
// libraries for getaddrinfo, and TLS libraries when that is wanted. The host's own are probed at
// start(); the others (containers, chroots, musl) when a sample says that a job mapped one, and for
// the program interpreter, which the kernel maps without a system call, at the first exec of a
// program.
//
// Threads: note() and the rest are the pipeline thread's. The work is done by a thread of its own,
// because opening a job's file can take as long as the job wants (FUSE); note() never waits. That
// thread is started by the first note(): nothing may fork() between that and stop(). One that hangs
// at stop() is left behind; it holds its own state.
// What could not be probed is counted.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "kernel/event_source.h"
#include "kernel/program_set.h"

namespace cicd {

class LibraryProber {
 public:
  // `programs` must live until stop(). `pins` (may be null): where probes outlive the process;
  // those that an earlier one left there are taken over by start().
  LibraryProber(const ProgramSet& programs, bool tls_capture, const PinFolder* pins);
  ~LibraryProber();
  LibraryProber(const LibraryProber&) = delete;
  LibraryProber& operator=(const LibraryProber&) = delete;

  // Probes the libraries of the host. The error says why probes are not possible here at all.
  Result<> start();
  // Detaches everything; does not wait for the kernel.
  void stop();

  // Looks at every sample that goes by.
  void note(SampleBytes sample);

  // Another job has the slot now.
  void forget(std::uint32_t slot);

  // Files of a job that look like libraries and could not be probed.
  std::uint64_t not_probed(std::uint32_t slot) const;

 private:
  struct State;

  void note_exec(SampleBytes sample);
  void note_library(SampleBytes sample);
  void start_thread();

  const ProgramSet& programs_;
  const PinFolder* pins_;
  bool tls_capture_;
  bool is_threaded_ = false;
  std::shared_ptr<State> state_;
  std::array<std::uint64_t, 4096> seen_programs_{};  // by hash; a collision costs a second look
};

// Whether the last component of a path is the name of a library to look into, as in
// library.bpf.c. Of C libraries only: `is_libc`.
struct LibraryName {
  bool is_known = false;
  bool is_libc = false;
};
LibraryName library_name(std::string_view path);

}  // namespace cicd

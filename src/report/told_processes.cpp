// SPDX-License-Identifier: Apache-2.0
#include "report/told_processes.h"

#include <algorithm>
#include <vector>

#include "evidence/row_writer.h"

namespace cicd {

namespace {

// Arguments that tell one chain from another; later ones may be cut in an ancestor.
constexpr std::size_t kComparedArguments = 8;

// One program of a chain, for comparing.
std::string link_text(const ExecImage& image) {
  std::string out = image.exec_path;
  for (std::size_t i = 0; i < std::min(image.argv.size(), kComparedArguments); ++i) {
    out.append(1, '\0').append(image.argv[i]);
  }
  return out.append(1, '\1');
}

// Of a process and its ancestors, as many as a row has.
std::string chain_of(const Process& process) {
  std::string out;
  int links = 0;
  for (const Process* at = &process; at != nullptr && links < kMaxAncestorsInRow; ++links) {
    out += link_text(*at->image);
    at = at->parent.get();
  }
  return out;
}

bool is_same(const ExecImage& known, const ExecImage& seen) {
  if (seen.argv.empty()) return known.exec_path == seen.exec_path;
  return link_text(known) == link_text(seen);
}

}  // namespace

ProcessRef ToldProcesses::of(const Process& seen) {
  const std::string identity = std::to_string(seen.pid) + ' ' + std::to_string(seen.start_time_ns);
  ProcessRef& known = by_identity_[identity];
  if (known && is_same(*known->image, *seen.image)) return known;
  auto process = std::make_shared<Process>();
  process->pid = seen.pid;
  process->uid = seen.uid;
  process->start_time_ns = seen.start_time_ns;
  process->parent = known ? known->parent : parent_of(seen);
  add(*process, seen.image);
  known = process;
  by_chain_[chain_of(*process)] = process;
  return process;
}

void ToldProcesses::add(Process& process, std::shared_ptr<const ExecImage> image) {
  process.id = ++last_id_;
  process.image = std::move(image);
  process.depth = process.parent ? process.parent->depth + 1 : 0;
}

ProcessRef ToldProcesses::parent_of(const Process& seen) {
  std::vector<std::shared_ptr<const ExecImage>> chain;
  for (const Process* at = seen.parent.get(); at != nullptr && chain.size() < kMaxAncestorsInRow;
       at = at->parent.get()) {
    chain.push_back(at->image);
  }
  // From the oldest: each is the process that has this chain, or one that no row told of.
  ProcessRef parent;
  for (std::size_t i = chain.size(); i-- > 0;) {
    std::string wanted;
    for (std::size_t k = i; k < chain.size(); ++k) wanted += link_text(*chain[k]);
    ProcessRef& known = by_chain_[wanted];
    if (!known) {
      auto made = std::make_shared<Process>();
      made->parent = parent;
      made->start_time_ns = last_id_ + 1;  // with pid 0 nobody else's
      add(*made, chain[i]);
      known = made;
    }
    parent = known;
  }
  return parent;
}

}  // namespace cicd

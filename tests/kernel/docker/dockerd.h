// SPDX-License-Identifier: Apache-2.0
// A dockerd of the test's own: private mount and network namespaces, its state in a folder of its
// own, everything it starts below one cgroup. Nothing of the machine's own Docker is touched.
//
// Threads: one. The destructor ends the daemon and all it started, whatever became of the test.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "support.h"

namespace cicd::test {

struct Output {
  int status = 0;  // as wait(2) gives it
  std::string text;
};
// Runs a program and collects what it prints, errors too.
Output run_and_read(const std::vector<std::string>& argv);

class Dockerd {
 public:
  // What is missing on this machine to run one; empty when nothing is.
  static std::string missing();

  Dockerd();
  ~Dockerd();
  Dockerd(const Dockerd&) = delete;
  Dockerd& operator=(const Dockerd&) = delete;

  // Waits until it answers; false with the end of its log in `why`.
  bool wait_until_ready(std::string* why) const;
  // An image "busybox", made of the machine's own static busybox.
  bool make_image() const;
  // `docker ARGUMENTS...`; adds a failure and returns "" when it fails. Without the last newline.
  std::string docker(const std::vector<std::string>& arguments) const;
  // Removes a container with all that runs in it.
  void remove(const std::string& container) const;

  // The cgroup that containers are made in: its name is "docker", as Docker's own is.
  const Cgroup& parent() const { return *containers_; }
  // For --cgroup-parent.
  std::string parent_path() const { return containers_->path_below_root(); }

 private:
  int serve() const;
  std::string socket() const { return "unix://" + folder_ + "/docker.sock"; }
  std::string log_end() const;

  std::string folder_;
  std::unique_ptr<Cgroup> all_;
  std::unique_ptr<Cgroup> containers_;
  std::unique_ptr<Cgroup> daemon_;
  pid_t pid_ = -1;
};

}  // namespace cicd::test

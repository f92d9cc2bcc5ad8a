// SPDX-License-Identifier: Apache-2.0
// CommandUser: who the command runs as and who owns the output files; and ActAs, which lets the
// calling thread use the file system as that user.
//
// Why ActAs: a root process that writes where a user points it could be led by a symbolic link to
// write anywhere. With the user's own identity the kernel checks every step, and what is made
// belongs to the user at once.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"

namespace cicd {

struct CommandUser {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
  std::string name;  // with home: empty when the environment stays as it is
  std::string home;
  bool is_switched = false;         // ids are others than the caller's
  bool drops_capabilities = false;  // the caller has capabilities that its user has not
};

// The user behind this process: SUDO_UID and SUDO_GID when it is root through sudo, else the real
// user. `sudo_uid`, `sudo_gid`: values of the variables, or empty.
Result<CommandUser> invoking_user(const std::string& sudo_uid, const std::string& sudo_gid);

// By name or number, as --user has it. Needs to be root.
Result<CommandUser> user_by_name(const std::string& name);

// HOME, USER and LOGNAME of `environment` set to those of the user, where it has any.
std::vector<std::string> environment_of(const CommandUser& user,
                                        std::vector<std::string> environment);

// While it lives, the calling thread (only that one) has the user's file system identity: ids,
// groups, and none of root's rights over files. Never nest; the destructor goes back.
class ActAs {
 public:
  explicit ActAs(const CommandUser& user);
  ~ActAs();
  ActAs(const ActAs&) = delete;
  ActAs& operator=(const ActAs&) = delete;

 private:
  bool is_switched_;
  std::vector<gid_t> own_groups_;
};

}  // namespace cicd

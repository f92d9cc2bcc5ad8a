// SPDX-License-Identifier: Apache-2.0
// How many files this process may have open. Thread: the main one, before the first is needed.
#pragma once

namespace cicd {

// Raises the limit as far as the system lets us: a shell or a service manager gives 1,024, which
// the programs and maps of two sources use up, or the connections of some hundred clients. What is
// to run with the limits we were given must have them put back (InheritedState).
void allow_many_descriptors();

}  // namespace cicd

// SPDX-License-Identifier: Apache-2.0
// Names of hosts: DNS, the resolver of the C library, HTTP.
#include "track/tracker_impl.h"

namespace cicd {

void Tracker::Impl::on(const GetaddrinfoSample&, const Context& context) { owner_of(context); }

}  // namespace cicd

// SPDX-License-Identifier: Apache-2.0
// Names of files: remove, move, link, mount, and Unix sockets.
#include "track/tracker_impl.h"

namespace cicd {

void Tracker::Impl::on(const PathsSample&, const Context& context) { owner_of(context); }
void Tracker::Impl::on(const UnixConnectSample&, const Context& context) { owner_of(context); }

}  // namespace cicd

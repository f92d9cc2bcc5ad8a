// SPDX-License-Identifier: Apache-2.0
// What attackers do: privileges, namespaces, the kernel.
#include "track/tracker_impl.h"

namespace cicd {

void Tracker::Impl::on(const PrivilegeSample&, const Context& context) { owner_of(context); }
void Tracker::Impl::on(const NamespaceSample&, const Context& context) { owner_of(context); }
void Tracker::Impl::on(const ModuleSample&, const Context& context) { owner_of(context); }
void Tracker::Impl::on(const BpfSample&, const Context& context) { owner_of(context); }
void Tracker::Impl::on(const IoUringSample&, const Context& context) { owner_of(context); }

}  // namespace cicd

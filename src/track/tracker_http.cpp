// SPDX-License-Identifier: Apache-2.0
// Requests over HTTP/1.x. The kernel side has cut them: there is no query in a sample.
#include "track/path_text.h"
#include "track/tracker_impl.h"

namespace cicd {

namespace {

std::string_view source_text(std::uint32_t source) {
  switch (source) {
    case CICD_HTTP_OPENSSL:
      return "openssl";
    case CICD_HTTP_GNUTLS:
      return "gnutls";
    default:
      return "http";
  }
}

}  // namespace

void Tracker::Impl::on(const HttpSample& sample, const Context& context) {
  namespace f = field::http_request;
  const Owner owner = owner_of(context);
  EventRecord* record = add_record(EventType::kHttpRequest, context, owner.entry, owner.picture);
  if (record == nullptr) return;
  Arena& arena = context.batch->arena;
  if (sample.path.has(CICD_STRING_TRUNCATED)) record->marks |= kMarkTruncatedPath;
  record->fields[f::kMethod] = arena.store(raw_text(sample.method));
  record->fields[f::kPath] = arena.store(raw_text(sample.path));
  record->fields[f::kHost] = arena.store(raw_text(sample.host));
  record->fields[f::kSource] = source_text(sample.fixed.source);
}

// For the prober of src/kernel; the tracker learns of the process only.
void Tracker::Impl::on(const LibrarySample&, const Context& context) { owner_of(context); }

}  // namespace cicd

// SPDX-License-Identifier: Apache-2.0
// The fields of an event as a result document has them: one JSON object, names as rules have them,
// in alphabetical order; those that every implementation has always, those that are only ours when
// they are not empty. Pure; any thread; allocates.
#pragma once

#include <string>

#include "event/event_record.h"

namespace cicd {

std::string payload_json(const EventRecord& record);

}  // namespace cicd

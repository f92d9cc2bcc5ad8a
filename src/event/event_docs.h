// SPDX-License-Identifier: Apache-2.0
// The table of event types, written out for people (docs/reference/events.md) and for programs.
// A test holds the page to the table. Any thread; allocates.
#pragma once

#include <string>
#include <string_view>

#include "event/event_type.h"

namespace cicd {

// Name of a type as rules and docs have it: "string", "bool", "int".
std::string_view name_of(FieldType type);

// The whole of docs/reference/events.md.
std::string event_reference_page();

}  // namespace cicd

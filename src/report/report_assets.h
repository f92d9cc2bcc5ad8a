// SPDX-License-Identifier: Apache-2.0
// The files of src/report/html/, built in by cmake/CicdEmbedReport.cmake. Pure functions.
#pragma once

#include <string_view>

namespace cicd {

// With the places {{csp}}, {{title}}, {{style}}, {{static}}, {{data}}, {{script}}.
std::string_view report_template();
std::string_view report_style();
std::string_view report_script();

}  // namespace cicd

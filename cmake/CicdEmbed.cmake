# SPDX-License-Identifier: Apache-2.0
# Script (cmake -P): writes the text of FILES (separated by |) into a C++ source that defines the
# function FUNCTION of HEADER, which gives a vector of TYPE: name and text of each. Without these
# cicd::detail::embedded_rules(), see src/rule/baseline.cpp; also src/egress/policy_bases.cpp.
if(NOT HEADER)
  set(HEADER rule/embedded_rules.h)
  set(TYPE EmbeddedRules)
  set(FUNCTION embedded_rules)
endif()
set(out "// Made by cmake/CicdEmbed.cmake from YAML files.\n#include \"${HEADER}\"\n\n")
string(APPEND out "namespace cicd::detail {\n\nstd::vector<${TYPE}> ${FUNCTION}() {\n  return {\n")
string(REPLACE "|" ";" files "${FILES}")
foreach(file IN LISTS files)
  get_filename_component(name "${file}" NAME)
  file(READ "${file}" hex HEX)
  string(LENGTH "${hex}" digits)
  math(EXPR bytes "${digits} / 2")
  # Bytes as escapes: no character of a rule file can end the literal or confuse this script.
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "\\\\x\\1" escaped "${hex}")
  string(APPEND out "      {\"${name}\", std::string_view(\"${escaped}\", ${bytes})},\n")
endforeach()
string(APPEND out "  };\n}\n\n}  // namespace cicd::detail\n")
file(WRITE "${OUTPUT}" "${out}")

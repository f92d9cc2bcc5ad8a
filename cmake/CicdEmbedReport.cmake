# SPDX-License-Identifier: Apache-2.0
# Script (cmake -P): writes the page of the HTML report, src/report/html/, into a C++ source that
# defines the functions of src/report/report_assets.h. SCRIPTS (separated by |) become one script in
# this order, in one function of its own, so that they share names with each other and nobody else.
function(embed_function name text)
  string(HEX "${text}" hex)
  string(LENGTH "${hex}" digits)
  math(EXPR bytes "${digits} / 2")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "\\\\x\\1" escaped "${hex}")
  file(APPEND "${OUTPUT}"
       "std::string_view ${name}() {\n  return std::string_view(\"${escaped}\", ${bytes});\n}\n\n")
endfunction()

file(WRITE "${OUTPUT}" "// Made by cmake/CicdEmbedReport.cmake from src/report/html/.\n"
     "#include \"report/report_assets.h\"\n\nnamespace cicd {\n\n")
# As one text each: a list of cmake would fall apart at semicolons and brackets.
file(READ "${TEMPLATE}" template)
embed_function(report_template "${template}")
file(READ "${STYLE}" style)
embed_function(report_style "${style}")
set(script "'use strict';\n(() => {\n")
string(REPLACE "|" ";" files "${SCRIPTS}")
foreach(file IN LISTS files)
  file(READ "${file}" part)
  string(APPEND script "${part}")
endforeach()
string(APPEND script "start();\n})();\n")
embed_function(report_script "${script}")
file(APPEND "${OUTPUT}" "}  // namespace cicd\n")

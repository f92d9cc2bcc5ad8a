# SPDX-License-Identifier: Apache-2.0
# Script (cmake -P): writes OUT, a C++ source with the rule files of the folder RULES as strings.
# Their tests, *.test.yaml, stay out.

file(GLOB files ${RULES}/*.yaml)
list(SORT files)
set(arrays "")
set(entries "")
set(count 0)
foreach(file ${files})
  get_filename_component(name ${file} NAME)
  if(name MATCHES "\\.test\\.yaml$")
    continue()
  endif()
  # As bytes: a string literal has a limit and raw ones an end mark that a file could hold.
  file(READ ${file} bytes HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${bytes}")
  string(APPEND arrays "constexpr char kFile${count}[] = {${bytes}0};\n")
  string(APPEND entries "    {\"baseline/${name}\", {kFile${count}, sizeof(kFile${count}) - 1}},\n")
  math(EXPR count "${count} + 1")
endforeach()
if(count EQUAL 0)
  set(body "std::span<const BaselineFile> baseline_files() { return {}; }\n")
else()
  set(body "${arrays}\nconstexpr BaselineFile kFiles[] = {\n${entries}};\n\n}  // namespace\n
std::span<const BaselineFile> baseline_files() { return kFiles; }\n")
  set(body "namespace {\n\n${body}")
endif()
file(WRITE ${OUT}.new "// Made by cmake/CicdEmbedRules.cmake from rules/.
#include \"run/baseline.h\"\n\nnamespace cicd {\n\n${body}\n}  // namespace cicd\n")
file(COPY_FILE ${OUT}.new ${OUT} ONLY_IF_DIFFERENT)

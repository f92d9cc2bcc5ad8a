# SPDX-License-Identifier: Apache-2.0
# The kinds of target: the library of a folder of src/ with its unit tests beside it, root tests of
# whole programs, fuzzers, benchmarks. Where each ends up is what tools/run-tests looks for.

find_package(GTest REQUIRED)
find_package(PkgConfig REQUIRED)

# Most of the time that a test takes to compile goes into headers of libraries. Not where ccache
# keeps what is built: it would compile each test again. In CI nothing has been built before.
if("$ENV{CI}" STREQUAL "true")
  set(pch_by_default ON)
else()
  set(pch_by_default OFF)
endif()
option(CICD_TEST_PCH "Compile the headers of tests once a program" ${pch_by_default})

# Optimising what runs once takes half of the time that building tests takes.
function(cicd_compile_test TARGET)
  target_compile_options(${TARGET} PRIVATE -O0 -U_FORTIFY_SOURCE)
  get_target_property(sources ${TARGET} SOURCES)
  list(LENGTH sources count)
  if(CICD_TEST_PCH AND count GREATER 2)
    target_precompile_headers(${TARGET} PRIVATE <gmock/gmock.h> <gtest/gtest.h> <algorithm>
                              <filesystem> <fstream> <functional> <map> <string> <vector>)
  endif()
endfunction()

# Everything below build/unit, for `cmake --build --target unit_tests`.
add_custom_target(unit_tests)
# Everything below build/asan/fuzzers.
add_custom_target(fuzzers)

# cicd_library(NAME DEPS...): static library `cicd_<NAME>` of all sources in this folder (tests,
# x_test.cpp, make the program `<NAME>_test`, which links the library and GoogleTest).
function(cicd_library NAME)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cpp$")
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  if(sources)
    add_library(cicd_${NAME} STATIC ${sources})
    target_include_directories(cicd_${NAME} PUBLIC ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/bpf)
    target_link_libraries(cicd_${NAME} PUBLIC ${ARGN})
  else()
    add_library(cicd_${NAME} INTERFACE)
    target_include_directories(cicd_${NAME} INTERFACE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/bpf)
    target_link_libraries(cicd_${NAME} INTERFACE ${ARGN})
  endif()
  if(tests)
    add_executable(${NAME}_test ${tests})
    target_link_libraries(${NAME}_test PRIVATE cicd_${NAME} GTest::gmock GTest::gtest_main)
    target_include_directories(${NAME}_test PRIVATE ${CMAKE_SOURCE_DIR}/tests)
    target_compile_definitions(${NAME}_test PRIVATE CICD_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    cicd_compile_test(${NAME}_test)
    set_target_properties(${NAME}_test PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/unit)
    add_dependencies(unit_tests ${NAME}_test)
  endif()
endfunction()

# cicd_root_test(KIND NAME DEPS...): program `<NAME>_test` of all sources in this folder, in
# build/<KIND>/; KIND is kernel (one hook each) or e2e (whole jobs). Not part of sanitizer builds.
function(cicd_root_test KIND NAME)
  if(CICD_SANITIZE)
    return()
  endif()
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  add_executable(${NAME}_test ${sources})
  target_include_directories(${NAME}_test PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/bpf)
  target_link_libraries(${NAME}_test PRIVATE ${ARGN} GTest::gmock GTest::gtest_main)
  target_compile_definitions(${NAME}_test PRIVATE CICD_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
                             CICD_BINARY_DIR="${CMAKE_BINARY_DIR}")
  cicd_compile_test(${NAME}_test)
  set_target_properties(${NAME}_test PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/${KIND})
endfunction()

# cicd_fuzzer(NAME DEPS...): libFuzzer program build/asan/fuzzers/<NAME>_fuzz of <NAME>_fuzz.cpp;
# seeds, when there are any, in tests/fuzz/corpus/<NAME>/.
function(cicd_fuzzer NAME)
  add_executable(${NAME}_fuzz ${NAME}_fuzz.cpp)
  target_include_directories(${NAME}_fuzz PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/bpf)
  target_link_libraries(${NAME}_fuzz PRIVATE ${ARGN})
  target_link_options(${NAME}_fuzz PRIVATE -fsanitize=fuzzer)
  set_target_properties(${NAME}_fuzz PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzzers)
  add_dependencies(fuzzers ${NAME}_fuzz)
endfunction()

# cicd_benchmark(NAME DEPS...): Google Benchmark program build/bench/<NAME>_bench of <NAME>_bench.cpp.
function(cicd_benchmark NAME)
  find_package(benchmark REQUIRED)
  add_executable(${NAME}_bench ${NAME}_bench.cpp)
  target_include_directories(${NAME}_bench PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/bpf)
  target_link_libraries(${NAME}_bench PRIVATE ${ARGN} benchmark::benchmark_main)
  set_target_properties(${NAME}_bench PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bench)
endfunction()

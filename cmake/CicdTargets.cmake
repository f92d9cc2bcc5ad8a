# SPDX-License-Identifier: Apache-2.0
# The two kinds of target a folder of src/ has: its library and, beside it, its unit tests.

find_package(GTest REQUIRED)
find_package(PkgConfig REQUIRED)

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
  if(tests AND NOT CICD_FUZZ)
    add_executable(${NAME}_test ${tests})
    target_link_libraries(${NAME}_test PRIVATE cicd_${NAME} GTest::gmock GTest::gtest_main)
    target_include_directories(${NAME}_test PRIVATE ${CMAKE_SOURCE_DIR}/tests)
    target_compile_definitions(${NAME}_test PRIVATE CICD_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    set_target_properties(${NAME}_test PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/unit)
  endif()
endfunction()

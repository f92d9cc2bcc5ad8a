# SPDX-License-Identifier: Apache-2.0
# Compiler settings that every target of ours shares.

find_program(CICD_CCACHE ccache)
if(CICD_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CICD_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${CICD_CCACHE})
endif()

# Designated initializers leave out what is zero on purpose.
add_compile_options(-Wall -Wextra -Wno-missing-field-initializers -Wshadow -Wconversion -Wno-sign-conversion -Werror
                    -fno-omit-frame-pointer)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # LIBBPF_OPTS leaves members to their zero value, and says so only in C.
  # And libstdc++ 12 calls functions it has itself deprecated (std::stable_sort).
  add_compile_options(-Wno-missing-designated-field-initializers -Wno-deprecated-declarations)
endif()
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1")
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g1")
if(CICD_SANITIZE)
  add_compile_options(-fsanitize=${CICD_SANITIZE} -O1 -gline-tables-only -fno-sanitize-recover=undefined)
  add_link_options(-fsanitize=${CICD_SANITIZE})
endif()
if(CICD_FUZZ)
  # Every object is instrumented for coverage; only fuzz targets link libFuzzer's main().
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# No PIC surprises, hardened binaries.
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CICD_SANITIZE)
  if(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
    add_compile_definitions(_FORTIFY_SOURCE=2)
  endif()
  add_compile_options(-fstack-protector-strong)
  add_link_options(-Wl,-z,relro,-z,now)
endif()

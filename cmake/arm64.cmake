# SPDX-License-Identifier: Apache-2.0
# Toolchain file of the preset arm64: Debian's cross compiler, and the headers and libraries that
# tools/sysroot has unpacked. What runs while building (clang, bpftool) is the machine's own.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)

# Read again in every try_compile: the script is asked once.
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES CICD_SYSROOT)
if(NOT CICD_SYSROOT)
  execute_process(COMMAND ${CMAKE_CURRENT_LIST_DIR}/../tools/sysroot --path
                  OUTPUT_VARIABLE CICD_SYSROOT OUTPUT_STRIP_TRAILING_WHITESPACE
                  COMMAND_ERROR_IS_FATAL ANY)
  set(CICD_SYSROOT ${CICD_SYSROOT} CACHE PATH "Headers and libraries of the target")
endif()
set(CMAKE_SYSROOT ${CICD_SYSROOT})
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${CICD_SYSROOT})
set(ENV{PKG_CONFIG_LIBDIR}
    ${CICD_SYSROOT}/usr/lib/aarch64-linux-gnu/pkgconfig:${CICD_SYSROOT}/usr/share/pkgconfig)

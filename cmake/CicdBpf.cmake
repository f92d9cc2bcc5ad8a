# SPDX-License-Identifier: Apache-2.0
# Compiles the kernel side: programs/<subject>.bpf.c -> <subject>.bpf.o, all of them linked into
# hooks.o -> hooks.skel.h. One object, because libbpf reads the kernel's types again for each.

find_program(CICD_BPF_CLANG NAMES clang-14 clang REQUIRED)
find_program(CICD_BPFTOOL bpftool REQUIRED PATHS /usr/sbin)
find_program(CICD_LLVM_STRIP NAMES llvm-strip-14 llvm-strip REQUIRED)

function(cicd_bpf_library TARGET)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
    set(arch arm64)
  else()
    set(arch x86)
  endif()
  file(GLOB programs CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/programs/*.bpf.c)
  file(GLOB headers CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/include/*.h
       ${CMAKE_CURRENT_SOURCE_DIR}/wire/*.h)
  set(out ${CMAKE_CURRENT_BINARY_DIR})
  set(objects)
  foreach(program ${programs})
    get_filename_component(name ${program} NAME_WE)
    add_custom_command(
      OUTPUT ${out}/${name}.bpf.o
      COMMAND ${CICD_BPF_CLANG} -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Werror
              -Wno-missing-declarations -Wno-unused-parameter -Wno-compare-distinct-pointer-types
              -D__TARGET_ARCH_${arch} -DCICD_FILE=${name} -I${CMAKE_CURRENT_SOURCE_DIR}
              -I${CMAKE_CURRENT_SOURCE_DIR}/include
              -I${CMAKE_SYSROOT}/usr/include/${CMAKE_LIBRARY_ARCHITECTURE} -c ${program} -o ${out}/${name}.bpf.o
      COMMAND ${CICD_LLVM_STRIP} -g ${out}/${name}.bpf.o
      DEPENDS ${program} ${headers}
      COMMENT "BPF ${name}"
      VERBATIM)
    list(APPEND objects ${out}/${name}.bpf.o)
  endforeach()
  add_custom_command(
    OUTPUT ${out}/hooks.skel.h
    COMMAND ${CICD_BPFTOOL} gen object ${out}/hooks.o ${objects}
    COMMAND ${CICD_BPFTOOL} gen skeleton ${out}/hooks.o name hooks_bpf > ${out}/hooks.skel.h
    # bpftool writes C; clang knows no _Bool in C++.
    COMMAND sed -i "s/_Bool/bool/g" ${out}/hooks.skel.h
    DEPENDS ${objects}
    COMMENT "BPF link"
    VERBATIM)
  add_custom_target(${TARGET}_skeletons DEPENDS ${out}/hooks.skel.h)
  add_library(${TARGET} INTERFACE)
  add_dependencies(${TARGET} ${TARGET}_skeletons)
  target_include_directories(${TARGET} SYSTEM INTERFACE ${out})
endfunction()

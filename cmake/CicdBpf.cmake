# SPDX-License-Identifier: Apache-2.0
# Compiles the kernel side: programs/<subject>.bpf.c -> <subject>.bpf.o, all of them linked into
# hooks.o -> hooks.skel.h. One object, because libbpf reads the kernel's types again for each.
# A second time as hooks_old, for kernels without bpf_loop (bpf/include/path.h says why).

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
  set(flags -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Werror -Wno-missing-declarations
      -Wno-unused-parameter -Wno-compare-distinct-pointer-types -D__TARGET_ARCH_${arch}
      -I${CMAKE_CURRENT_SOURCE_DIR} -I${CMAKE_CURRENT_SOURCE_DIR}/include
      -I${CMAKE_SYSROOT}/usr/include/${CMAKE_LIBRARY_ARCHITECTURE})
  cicd_bpf_object(hooks "${flags}" "${programs}" "${headers}")
  cicd_bpf_object(hooks_old "${flags};-DCICD_NO_BPF_LOOP" "${programs}" "${headers}")
  set(out ${CMAKE_CURRENT_BINARY_DIR})
  add_custom_target(${TARGET}_skeletons DEPENDS ${out}/hooks.skel.h ${out}/hooks_old.skel.h)
  add_library(${TARGET} INTERFACE)
  add_dependencies(${TARGET} ${TARGET}_skeletons)
  target_include_directories(${TARGET} SYSTEM INTERFACE ${out})
endfunction()

# <name>/<subject>.bpf.o of each program, linked into <name>.o, as <name>.skel.h.
function(cicd_bpf_object NAME FLAGS PROGRAMS HEADERS)
  set(out ${CMAKE_CURRENT_BINARY_DIR})
  file(MAKE_DIRECTORY ${out}/${NAME})
  set(objects)
  foreach(program ${PROGRAMS})
    get_filename_component(subject ${program} NAME_WE)
    set(object ${out}/${NAME}/${subject}.bpf.o)
    add_custom_command(
      OUTPUT ${object}
      COMMAND ${CICD_BPF_CLANG} ${FLAGS} -DCICD_FILE=${subject} -c ${program} -o ${object}
      COMMAND ${CICD_LLVM_STRIP} -g ${object}
      DEPENDS ${program} ${HEADERS}
      COMMENT "BPF ${NAME} ${subject}"
      VERBATIM)
    list(APPEND objects ${object})
  endforeach()
  add_custom_command(
    OUTPUT ${out}/${NAME}.skel.h
    COMMAND ${CICD_BPFTOOL} gen object ${out}/${NAME}.o ${objects}
    COMMAND ${CICD_BPFTOOL} gen skeleton ${out}/${NAME}.o name ${NAME}_bpf > ${out}/${NAME}.skel.h
    # bpftool writes C; clang knows no _Bool in C++.
    COMMAND sed -i "s/_Bool/bool/g" ${out}/${NAME}.skel.h
    DEPENDS ${objects}
    COMMENT "BPF link ${NAME}"
    VERBATIM)
endfunction()

# SPDX-License-Identifier: Apache-2.0
# The programs of a release: the same objects as the others, linked with everything inside
# (static-pie), so that they run on systems older than the one that builds. They land in
# build/static/ and are made by the target `static_programs` only.

add_custom_target(static_programs)

# cicd_external(NAME SHARED LIBRARY...): interface library `cicd_external_<NAME>`, which is the target
# SHARED, and in programs with everything inside LIBRARY..., targets or names of archives (libx.a).
function(cicd_external NAME SHARED)
  add_library(cicd_external_${NAME} INTERFACE)
  set(is_static $<BOOL:$<TARGET_PROPERTY:CICD_STATIC>>)
  target_link_libraries(cicd_external_${NAME} INTERFACE $<$<NOT:${is_static}>:${SHARED}>)
  foreach(library ${ARGN})
    if(library MATCHES "^lib.*\\.a$")
      find_library(CICD_${library} NAMES ${library})
      mark_as_advanced(CICD_${library})
      if(NOT CICD_${library})
        set_property(GLOBAL APPEND PROPERTY CICD_ARCHIVES_MISSING ${library})
        continue()
      endif()
      set(library ${CICD_${library}})
    endif()
    target_link_libraries(cicd_external_${NAME} INTERFACE $<${is_static}:${library}>)
  endforeach()
endfunction()

# cicd_static_program(PROGRAM DEPS...): PROGRAM once more, as build/static/<PROGRAM>.
function(cicd_static_program PROGRAM)
  if(CICD_SANITIZE)
    return()
  endif()
  get_property(missing GLOBAL PROPERTY CICD_ARCHIVES_MISSING)
  if(missing)
    add_custom_target(${PROGRAM}_static
                      COMMAND ${CMAKE_COMMAND} -E echo "libraries to link in are missing: ${missing}"
                      COMMAND false)
  else()
    add_executable(${PROGRAM}_static EXCLUDE_FROM_ALL $<TARGET_OBJECTS:${PROGRAM}>)
    target_link_libraries(${PROGRAM}_static PRIVATE ${ARGN})
    # The linker warns of functions that can load modules of the machine (users, names of hosts,
    # OpenSSL): main() of cicd-sensor and sha256.cpp keep them from that, nobody asks for hosts.
    target_link_options(${PROGRAM}_static PRIVATE -static-pie)
    set_target_properties(${PROGRAM}_static PROPERTIES CICD_STATIC ON OUTPUT_NAME ${PROGRAM}
                          RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/static)
    # What a debugger wants stays beside it.
    set(program $<TARGET_FILE:${PROGRAM}_static>)
    add_custom_command(
      TARGET ${PROGRAM}_static POST_BUILD
      COMMAND ${CMAKE_OBJCOPY} --only-keep-debug ${program} ${program}.debug
      COMMAND ${CMAKE_OBJCOPY} --strip-all --add-gnu-debuglink=${program}.debug ${program})
  endif()
  add_dependencies(static_programs ${PROGRAM}_static)
endfunction()

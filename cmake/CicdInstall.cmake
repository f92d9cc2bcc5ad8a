# SPDX-License-Identifier: Apache-2.0
# What `make install` puts where, and what is in a release: the .deb has the same files, with the
# programs that have everything inside; the archive has those programs under names of their own.
# /opt/cicd-sensor is written in units, hooks and profiles; it is not a matter of choice.

if(CMAKE_INSTALL_PREFIX_INITIALIZED_TO_DEFAULT)
  set(CMAKE_INSTALL_PREFIX /opt/${PROJECT_NAME} CACHE PATH "Where it is installed" FORCE)
endif()
set(units ${CMAKE_SOURCE_DIR}/packaging/systemd)
set(opt /opt/${PROJECT_NAME})
set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME common)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  set(package_arch arm64)
else()
  set(package_arch amd64)
endif()

foreach(program cicd-sensor cicd-sensorctl)
  install(TARGETS ${program} RUNTIME DESTINATION ${opt} COMPONENT local)
  set(static_program ${CMAKE_BINARY_DIR}/static/${program})
  install(PROGRAMS ${static_program} DESTINATION ${opt} COMPONENT deb EXCLUDE_FROM_ALL)
  install(PROGRAMS ${static_program} DESTINATION . COMPONENT archive EXCLUDE_FROM_ALL
          RENAME ${program}-linux-${package_arch})
endforeach()

# cicd_install_files(FOLDER COMPONENT [EXCLUDE_FROM_ALL]): what is beside the programs.
function(cicd_install_files FOLDER COMPONENT)
  set(where COMPONENT ${COMPONENT} ${ARGN})
  install(FILES README.md CHANGELOG.md SECURITY.md LICENSE DESTINATION ${FOLDER}/doc ${where})
  install(FILES bpf/LICENSE DESTINATION ${FOLDER}/doc RENAME LICENSE.bpf ${where})
  install(DIRECTORY docs/ DESTINATION ${FOLDER}/doc ${where} FILES_MATCHING PATTERN "*.md"
          PATTERN "*.png" PATTERN "adr" EXCLUDE)
  install(DIRECTORY rules/ DESTINATION ${FOLDER}/rules ${where} FILES_MATCHING PATTERN "*.yaml"
          PATTERN "tests" EXCLUDE)
  install(PROGRAMS ${units}/github-job-started.sh ${units}/github-job-completed.sh
          DESTINATION ${FOLDER} ${where})
  install(DIRECTORY packaging/apparmor packaging/selinux ${units}/docker.socket.d
          DESTINATION ${FOLDER}/examples ${where})
endfunction()

set(services ${units}/cicd-sensor-agent.service ${units}/cicd-sensor-docker-proxy.service)
cicd_install_files(${opt} common)
install(FILES ${services} DESTINATION /usr/lib/systemd/system)
install(DIRECTORY DESTINATION /etc/cicd-sensor
        DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE)
# dpkg asks before it replaces settings that were changed; make install leaves them alone.
set(settings /etc/cicd-sensor/cicd-sensor.env)
install(FILES ${units}/cicd-sensor.env DESTINATION /etc/cicd-sensor COMPONENT deb EXCLUDE_FROM_ALL)
install(CODE "if(NOT EXISTS \"\$ENV{DESTDIR}${settings}\")
  file(INSTALL ${units}/cicd-sensor.env DESTINATION /etc/cicd-sensor)
endif()" COMPONENT local)

cicd_install_files(. archive EXCLUDE_FROM_ALL)
install(FILES ${services} ${units}/cicd-sensor.env DESTINATION systemd COMPONENT archive
        EXCLUDE_FROM_ALL)

# What is linked in is under licences that want to be passed on.
set(licences ${CMAKE_BINARY_DIR}/LICENSES.third-party)
file(WRITE ${licences} "Libraries inside of these programs, with the licences that Debian lists.\n")
foreach(package libboost1.81-dev libbpf-dev libc6-dev libcli11-dev libelf-dev libfmt-dev libldns-dev
        libre2-dev libssl-dev libstdc++-12-dev libutf8proc-dev libyaml-cpp-dev nlohmann-json3-dev zlib1g-dev)
  if(EXISTS ${CMAKE_SYSROOT}/usr/share/doc/${package}/copyright)
    file(READ ${CMAKE_SYSROOT}/usr/share/doc/${package}/copyright text)
    file(APPEND ${licences} "\n==== ${package}\n${text}")
  endif()
endforeach()
install(FILES ${licences} DESTINATION ${opt}/doc COMPONENT deb EXCLUDE_FROM_ALL)
install(FILES ${licences} DESTINATION doc COMPONENT archive EXCLUDE_FROM_ALL)
install(CODE "file(MAKE_DIRECTORY \"\$ENV{DESTDIR}/usr/bin\")
foreach(program cicd-sensor cicd-sensorctl)
  file(CREATE_LINK ${opt}/\${program} \"\$ENV{DESTDIR}/usr/bin/\${program}\" SYMBOLIC)
endforeach()" COMPONENT deb EXCLUDE_FROM_ALL)

include(CicdPackage)

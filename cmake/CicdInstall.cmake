# SPDX-License-Identifier: Apache-2.0
# What `make install` puts where, below PREFIX: programs, documents, rules.

include(GNUInstallDirs)
set(documents ${CMAKE_INSTALL_DOCDIR})
set(rules ${CMAKE_INSTALL_DATADIR}/${PROJECT_NAME}/rules)

foreach(program cicd-sensor cicd-sensorctl)
  if(TARGET ${program})
    install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  endif()
endforeach()
install(FILES README.md CHANGELOG.md SECURITY.md LICENSE DESTINATION ${documents})
install(FILES bpf/LICENSE DESTINATION ${documents} RENAME LICENSE.bpf)
install(DIRECTORY docs/ DESTINATION ${documents} FILES_MATCHING PATTERN "*.md"
        PATTERN "*.png"
        PATTERN "adr" EXCLUDE)
install(DIRECTORY rules/ DESTINATION ${rules} FILES_MATCHING PATTERN "*.yaml"
        PATTERN "tests" EXCLUDE)

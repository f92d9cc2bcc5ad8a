# SPDX-License-Identifier: Apache-2.0
# Read by CPack once a kind of package (CicdPackage.cmake).
set(CPACK_INSTALL_CMAKE_PROJECTS)
if(CPACK_GENERATOR STREQUAL "DEB")
  set(components common deb)
  set(CPACK_PACKAGING_INSTALL_PREFIX /opt/cicd-sensor)
  set(CPACK_SET_DESTDIR ON)
else()
  set(components archive)
  set(CPACK_PACKAGING_INSTALL_PREFIX "")
  set(CPACK_INCLUDE_TOPLEVEL_DIRECTORY OFF)
  set(CPACK_PACKAGE_FILE_NAME
      ${CPACK_PACKAGE_NAME}_${CPACK_PACKAGE_VERSION}_linux_${CPACK_CICD_ARCH})
endif()
foreach(component ${components})
  list(APPEND CPACK_INSTALL_CMAKE_PROJECTS ${CPACK_CICD_BINARY_DIR} ${CPACK_PACKAGE_NAME} ${component} /)
endforeach()

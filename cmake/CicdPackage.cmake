# SPDX-License-Identifier: Apache-2.0
# What `make package` makes with CPack: a .deb and an archive. CicdPackOptions.cmake, which CPack reads
# for each, says what is in which.

set(CPACK_PACKAGE_NAME ${PROJECT_NAME})
set(CPACK_PACKAGE_VENDOR ${PROJECT_NAME})
set(CPACK_PACKAGE_CONTACT "${PROJECT_NAME} maintainers <${PROJECT_NAME}@users.noreply.github.com>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "watches what CI jobs really do, with eBPF")
set(CPACK_PACKAGE_DESCRIPTION "The agent for CI runners, its hooks and systemd units, a proxy for Docker,
and the command that watches a single job. Nothing is started by the installation.")
set(CPACK_GENERATOR DEB TGZ)
set(CPACK_PROJECT_CONFIG_FILE ${CMAKE_CURRENT_LIST_DIR}/CicdPackOptions.cmake)
set(CPACK_CICD_BINARY_DIR ${CMAKE_BINARY_DIR})
set(CPACK_CICD_ARCH ${package_arch})

set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE ${package_arch})
set(CPACK_DEBIAN_FILE_NAME ${PROJECT_NAME}_${PROJECT_VERSION}_${package_arch}.deb)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
# nft: names for raw sockets in containers (docs/egress.md).
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS nftables)
set(CPACK_DEBIAN_COMPRESSION_TYPE gzip)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(deb ${CMAKE_SOURCE_DIR}/packaging/deb)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${deb}/conffiles ${deb}/postinst ${deb}/prerm ${deb}/postrm)
include(CPack)

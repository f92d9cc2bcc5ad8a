# SPDX-License-Identifier: Apache-2.0
# The commands people type. CMake does the building (CMakePresets.json), tools/ the rest.
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
SHELL := /bin/bash

PRESET ?= release
DESTDIR ?=
STAGES ?=
TARGETS ?=

release_dir := build
build_dir := $(if $(filter release,$(PRESET)),build,build/$(PRESET))

.PHONY: help build test test-vm bench lint format install package clean demo deps configure

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

deps: ## Install the Debian packages of packages.txt that are missing (apt-get, sudo)
	@tools/deps all

configure:
	@tools/deps --check build $(if $(filter arm64,$(PRESET)),cross)
	@$(if $(filter arm64,$(PRESET)),tools/sysroot >/dev/null,true)
	@test -f $(build_dir)/build.ninja || cmake --preset $(PRESET) -Wno-dev >/dev/null

build: configure ## Build everything into build/ (PRESET=debug|asan|tsan|arm64; TARGETS=cicd-sensor: only that)
	@cmake --build --preset $(PRESET) $(if $(TARGETS),--target $(TARGETS))

test: ## Run all tests (STAGES="unit kernel": only those); needs root for the kernel's part
	@tools/run-tests $(STAGES)

test-vm: ## Run the tests in guests with the kernels of tests/vm/kernels (QEMU; minutes)
	@tools/run-tests vm

bench: build ## Run the benchmarks
	@tools/run-bench $(build_dir)

lint: configure ## Check format, clang-tidy, layers, style, shell scripts (LINT_ALL=1: tidy all files)
	@tools/lint

format: ## Format all C and C++ files in place
	@tools/format

install: ## Install what `make build` built, to /opt/cicd-sensor, with systemd units (DESTDIR=)
	@test -x $(release_dir)/cicd-sensor -a -x $(release_dir)/cicd-sensorctl || \
	  { echo "not everything is built yet; run: make build" >&2; exit 1; }
	@DESTDIR="$(DESTDIR)" cmake --install $(release_dir)

package: ## Make the .deb and the archive of a release in build/packages (PRESET=arm64)
	@$(MAKE) build TARGETS=static_programs
	@rm -rf $(build_dir)/packages
	@cd $(build_dir) && SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct 2>/dev/null || date +%s)} \
	  cpack -B packages >packages.log || { cat packages.log >&2; exit 1; }
	@ls $(build_dir)/packages/*.deb $(build_dir)/packages/*.tar.gz

demo: ## Build, then watch examples/demo-job with the sensor and print the report
	@tools/demo

clean: ## Remove what was built
	rm -rf build cicd-sensor-out compile_commands.json

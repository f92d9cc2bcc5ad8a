// SPDX-License-Identifier: Apache-2.0
#include "kernel/hook_catalogue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

namespace cicd {
namespace {

const HookInfo* hook_named(std::string_view program) {
  const auto found = std::ranges::find(hooks(), program, &HookInfo::program);
  return found == hooks().end() ? nullptr : &*found;
}

std::vector<const EventBackend*> all_backends() {
  std::vector<const EventBackend*> out;
  for (const auto& chains : {event_backends(), helper_backends()}) {
    for (const EventBackend& best : chains) {
      for (const EventBackend* each = &best; each != nullptr; each = each->fallback) {
        out.push_back(each);
      }
    }
  }
  return out;
}

TEST(HookCatalogue, ProgramsAreThereOnce) {
  std::set<std::string_view> seen;
  for (const HookInfo& hook : hooks())
    EXPECT_TRUE(seen.insert(hook.program).second) << hook.program;
  for (const EventBackend* backend : all_backends()) {
    for (const std::string_view program : backend->programs) {
      EXPECT_NE(hook_named(program), nullptr) << program;
    }
  }
}

TEST(HookCatalogue, TrampolinesNameTheirFunctionsAndServeSomething) {
  std::set<std::string_view> used;
  for (const EventBackend* backend : all_backends()) {
    used.insert(backend->programs.begin(), backend->programs.end());
  }
  for (const HookInfo& hook : hooks()) {
    if (hook.attach != AttachKind::kTrampoline) continue;
    EXPECT_FALSE(hook.functions.empty()) << hook.program;
    EXPECT_TRUE(used.contains(hook.program)) << hook.program;
  }
}

// Otherwise a kernel without trampolines would see nothing of the type.
TEST(HookCatalogue, WhatUsesTrampolinesFallsBackToSystemCalls) {
  for (const EventBackend* backend : all_backends()) {
    const bool uses = std::ranges::any_of(backend->programs, [](std::string_view program) {
      return hook_named(program)->attach == AttachKind::kTrampoline;
    });
    EXPECT_EQ(uses, backend->kind == BackendKind::kTrampoline) << info_of(backend->type).name;
    if (!uses) continue;
    ASSERT_NE(backend->fallback, nullptr) << info_of(backend->type).name;
    EXPECT_EQ(backend->fallback->kind, BackendKind::kSyscall) << info_of(backend->type).name;
    EXPECT_EQ(backend->fallback->relies_on, backend->relies_on);
  }
}

// No program of the one kind serves a type of the other: an act would be told twice.
TEST(HookCatalogue, KindsShareNoProgramOfJobs) {
  std::set<std::string_view> functions;
  std::set<std::string_view> calls;
  for (const EventBackend* backend : all_backends()) {
    for (const std::string_view program : backend->programs) {
      const AttachKind attach = hook_named(program)->attach;
      if (attach == AttachKind::kTracing) continue;
      if (backend->kind == BackendKind::kTrampoline) functions.insert(program);
      if (backend->kind == BackendKind::kSyscall) calls.insert(program);
    }
  }
  for (const std::string_view program : functions) EXPECT_FALSE(calls.contains(program)) << program;
}

}  // namespace
}  // namespace cicd

// SPDX-License-Identifier: Apache-2.0
#include "kernel/hook_state.h"

#include <nlohmann/json.hpp>

namespace cicd {

std::string to_text(const HookState& state) {
  const nlohmann::json document = {
      {"identity", state.identity}, {"realtime_offset_ns", state.realtime_offset_ns},
      {"backends", state.backends}, {"errors", state.errors},
      {"absent", state.absent},     {"trampoline_error", state.trampoline_error}};
  // What the verifier says need not be UTF-8.
  return document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::optional<HookState> parse_hook_state(std::string_view text) {
  try {
    const nlohmann::json document = nlohmann::json::parse(text);
    HookState state;
    document.at("identity").get_to(state.identity);
    document.at("realtime_offset_ns").get_to(state.realtime_offset_ns);
    document.at("backends").get_to(state.backends);
    for (const auto& [program, error] : document.at("errors").items()) {
      state.errors[program] = error.get<std::string>();
    }
    for (const auto& program : document.at("absent")) state.absent.insert(program);
    document.at("trampoline_error").get_to(state.trampoline_error);
    return state;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

}  // namespace cicd

// SPDX-License-Identifier: Apache-2.0
// THE table of CI platforms: which variables of the environment tell that a program runs on one,
// which job it is, what belongs to it, and which of its steps is at work. No other variable is ever
// read, by the hook commands or (step and detection only) of the job's processes.
//
// Order is part of the table: systems that set the variables of others as well stand before them.
// A job can set these variables itself: they say what it claims to be, and are no means of trust.
// Pure functions over constants; any thread.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "event/step.h"
#include "job/identity.h"

namespace cicd {

// A variable that only this platform sets. `value`: what it holds, letters of either case; with a
// '*' at the end what it begins with.
struct CiMark {
  std::string_view variable;  // empty: no variable tells this platform
  std::string_view value;
};

// Member of JobIdentity or JobMetadata (job/identity.h) and the variable that tells it, or two with
// `join` between them, or three. Several of one member: the first that holds something.
struct CiField {
  std::string_view member;
  std::string_view variable;
  std::string_view second = {};
  std::string_view join = {};
  std::string_view third = {};
  std::string_view join_third = {};
};

struct CiPlatform {
  std::string_view title;     // what people call it
  std::string_view provider;  // of JobIdentity
  CiMark mark;
  std::string_view host;  // provider_host when no variable tells it
  std::span<const CiField> fields;
  // The first that holds something; a step without a name goes by its id.
  std::span<const std::string_view> step_id;
  std::span<const std::string_view> step_name;
};

// In the order in which they are looked for.
std::span<const CiPlatform> ci_platforms();

// What a variable of the environment holds; "" when it is not set.
using Environment = std::function<std::string(const char* name)>;

// Our own.
std::string own_environment(const char* name);

// Null: none that is known. `CI=true` alone is the platform "generic".
const CiPlatform* detect_platform(const Environment& environment);
// The one whose jobs have this provider; null when no variables are known of it.
const CiPlatform* platform_of(std::string_view provider);
// A member of JobIdentity or JobMetadata as the platform tells it; "" when it does not.
std::string platform_value(const CiPlatform& platform, std::string_view member,
                           const Environment& environment);
// The job that the environment tells of; nothing when there is no platform or too little is told of
// the job (validate()).
std::optional<JobDescription> job_of_environment(const Environment& environment);

// What is read of a program that starts: names of marks and steps. Valid for ever.
std::span<const StepVariable> step_variables();
// A StepOf. `argv` tells the steps of Tekton, which sets no variables.
std::optional<Step> step_of_start(std::string_view environment, std::span<const std::string> argv);

}  // namespace cicd

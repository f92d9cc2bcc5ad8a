// SPDX-License-Identifier: Apache-2.0
#include "event/event_docs.h"

namespace cicd {

namespace {

constexpr std::string_view kIntroduction =
    R"(# Event types

Made from the table the program itself uses (src/event/event_type.cpp), by
`cicd-sensorctl rule schema`. `--format json` writes the same for programs.

Every event has the process behind it: rules see `process.exec_path`, `process.argv` and
`process.ancestors` ([rules](../rules.md)), log rows say more ([log format](log-format.md)).
A field with "no" under Rules is in the logs only; one with "extended" rules can name in rule sets
with `language: extended`. These also have `process.uid`, `process.cwd`, and `step.id` and `step.name`
of the CI job ([CI platforms](ci-platforms.md)). A log row leaves out fields that are empty, false or
0; the field `domain` is called `name` there.

Which of these a machine can see depends on its kernel. `cicd-sensor run` says at its start what is
watched and by what, and `summary.json` lists it under `coverage`. What is not seen at all, or only
in part, is on the page of [limits](../limits.md).

)";

// Docs are our own Markdown; only what would end a cell is escaped.
std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

void append_type(const EventTypeInfo& info, std::string& out) {
  out.append("## `").append(info.name).append("`\n\n").append(info.doc).append("\n\n");
  out += "| Field | Type | Rules | What it is |\n|---|---|---|---|\n";
  for (const FieldInfo& field : info.fields) {
    out.append("| `").append(field.name).append("` | ").append(name_of(field.type));
    out.append(field.in_rules ? " | yes | " : field.in_extended ? " | extended | " : " | no | ");
    out.append(cell(field.doc)).append(" |\n");
  }
}

}  // namespace

std::string_view name_of(FieldType type) {
  switch (type) {
    case FieldType::kString:
      return "string";
    case FieldType::kBool:
      return "bool";
    case FieldType::kInt:
      return "int";
  }
  return "";
}

std::string event_reference_page() {
  std::string out(kIntroduction);
  out += "| Event type | What makes one |\n|---|---|\n";
  for (const EventTypeInfo& info : event_types()) {
    out.append("| [`").append(info.name).append("`](#").append(info.name).append(") | ");
    out.append(cell(info.doc)).append(" |\n");
  }
  for (const EventTypeInfo& info : event_types()) {
    out += "\n";
    append_type(info, out);
  }
  return out;
}

}  // namespace cicd

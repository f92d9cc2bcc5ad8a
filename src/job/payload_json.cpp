// SPDX-License-Identifier: Apache-2.0
#include "job/payload_json.h"

#include <map>
#include <string_view>

#include "base/json_writer.h"

namespace cicd {

std::string payload_json(const EventRecord& record) {
  const EventTypeInfo& info = info_of(record.type);
  std::map<std::string_view, std::size_t> order;
  for (std::size_t i = 0; i < info.fields.size(); ++i) order[info.fields[i].name] = i;
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  for (const auto& [name, place] : order) {
    const FieldInfo& field = info.fields[place];
    const FieldValue& value = record.fields[place];
    const bool is_text = field.type == FieldType::kString;
    if (!field.in_rules && (is_text ? value.text().empty() : value.number() == 0)) continue;
    if (is_text) {
      json.member(name, value.text());
    } else if (field.type == FieldType::kBool) {
      json.key(name);
      json.boolean(value.number() != 0);
    } else {
      json.member_number(name, value.number());
    }
  }
  json.end_object();
  return out;
}

}  // namespace cicd

// SPDX-License-Identifier: Apache-2.0
#include "event/event_docs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace cicd {
namespace {

TEST(EventDocs, ReferencePageInTheRepositoryIsTheTable) {
  std::ifstream file(CICD_SOURCE_DIR "/docs/reference/events.md");
  ASSERT_TRUE(file) << "docs/reference/events.md is missing";
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), event_reference_page())
      << "write it anew: cicd-sensorctl rule schema > docs/reference/events.md";
}

TEST(EventDocs, EveryTypeAndFieldIsThereWithItsDoc) {
  const std::string page = event_reference_page();
  for (const EventTypeInfo& info : event_types()) {
    const std::string name(info.name);
    const auto start = page.find("\n## `" + name + "`\n");
    ASSERT_NE(start, std::string::npos) << name;
    const std::string section = page.substr(start, page.find("\n## ", start + 1) - start);
    EXPECT_THAT(page, testing::HasSubstr("](#" + name + ")"));
    EXPECT_THAT(section, testing::HasSubstr(std::string(info.doc)));
    for (const FieldInfo& field : info.fields) {
      EXPECT_THAT(section, testing::HasSubstr("| `" + std::string(field.name) + "` | " +
                                              std::string(name_of(field.type)) + " | " +
                                              (field.in_rules      ? "yes"
                                               : field.in_extended ? "extended"
                                                                   : "no") +
                                              " | "))
          << name;
      EXPECT_FALSE(field.doc.empty()) << name << "." << field.name;
    }
  }
}

}  // namespace
}  // namespace cicd

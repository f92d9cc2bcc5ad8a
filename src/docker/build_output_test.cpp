// SPDX-License-Identifier: Apache-2.0
#include "docker/build_output.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cicd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// As dockerd 20.10 writes it.
constexpr std::string_view kOutput =
    "{\"stream\":\"Step 2/3 : RUN true\"}\r\n{\"stream\":\"\\n\"}\r\n"
    "{\"stream\":\" ---\\u003e Running in 1f71b0403379\\n\"}\r\n"
    "{\"stream\":\"Removing intermediate container 1f71b0403379\\n\"}\r\n"
    "{\"stream\":\" ---\\u003e 6dede536f86c\\n\"}\r\n"
    "{\"stream\":\" ---> Running in 8a9f12f023a9\\n\"}\r\n";

TEST(BuildOutput, NamesTheContainersOfTheSteps) {
  BuildOutput output;
  EXPECT_THAT(output.take(kOutput), ElementsAre("1f71b0403379", "8a9f12f023a9"));
}

TEST(BuildOutput, HoweverItIsCut) {
  BuildOutput output;
  std::vector<std::string> all;
  for (const char c : kOutput) {
    for (std::string& id : output.take(std::string_view(&c, 1))) all.push_back(std::move(id));
  }
  EXPECT_THAT(all, ElementsAre("1f71b0403379", "8a9f12f023a9"));
}

TEST(BuildOutput, OtherLinesNameNone) {
  BuildOutput output;
  for (const char* line :
       {"", "Running in 1f71b0403379", R"({"aux":" ---> Running in 1f71b0403379\n"})",
        R"({"stream":"x ---> Running in 1f71b0403379\n"})",
        R"({"stream":" ---> Running in 1f71b040337\n"})",
        R"({"stream":" ---> Running in 1f71b04033799\n"})",
        R"({"stream":" ---> Running in 1F71b0403379\n"})",
        R"({"stream":" ---> Running in 1f71b0403379"})", R"({"stream":1,"x":"Running in "})",
        R"(["Running in "])", "{\"stream\":\"Running in \xff\"}"}) {
    EXPECT_THAT(output.take(line + std::string("\n")), IsEmpty()) << line;
  }
  EXPECT_THAT(output.take("{\"stream\":\"" + std::string(5000, 'x') + "Running in "), IsEmpty());
  EXPECT_THAT(output.take("\"}\n{\"stream\":\" ---> Running in 1f71b0403379\\n\"}\n"),
              ElementsAre("1f71b0403379"))
      << "only the long line is passed over";
}

}  // namespace
}  // namespace cicd

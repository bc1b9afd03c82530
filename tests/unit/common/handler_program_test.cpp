// SPDX-License-Identifier: MIT
#include "common/formats/handler_program.h"

#include <gtest/gtest.h>

namespace workpool {
namespace {

using Words = std::vector<std::string>;

TEST(HandlerProgram, NameAndCommand) {
  std::vector<HandlerProgram> programs;
  EXPECT_EQ(add_handler_program("embed=python3 embed.py --size=3", programs), "");
  ASSERT_EQ(programs.size(), 1U);
  EXPECT_EQ(programs[0].name, "embed");
  EXPECT_EQ(programs[0].command, "python3 embed.py --size=3");
  EXPECT_NE(add_handler_program("embed=other", programs).find("a second time"), std::string::npos);
  EXPECT_NE(add_handler_program("embed", programs).find("NAME=COMMAND"), std::string::npos);
  EXPECT_NE(add_handler_program("=cat", programs).find("type of a job"), std::string::npos);
  EXPECT_NE(add_handler_program("a/b=cat", programs).find("type of a job"), std::string::npos);
  EXPECT_NE(add_handler_program("x= \t", programs).find("no command"), std::string::npos);
  EXPECT_NE(add_handler_program("x=" + std::string(200'000, 'x'), programs).find("too long"),
            std::string::npos);
  for (const std::string_view name : kBuiltinHandlers)
    EXPECT_NE(add_handler_program(std::string(name) + "=cat", programs), "") << name;
  EXPECT_EQ(programs.size(), 1U);
}

TEST(HandlerProgram, WordsThatNoShellWouldChange) {
  EXPECT_EQ(plain_words("python3 embed.py"), (Words{"python3", "embed.py"}));
  EXPECT_EQ(plain_words("  ./thumb\t--size=3  a,b:c @x %y +z "),
            (Words{"./thumb", "--size=3", "a,b:c", "@x", "%y", "+z"}));
  for (const char* const text :
       {"", "a | b", "a > b", "a $HOME", "a *", "a 'b'", "a \"b\"", "a;b", "a\\ b", "a\nb", "~/x", "a #b",
        "A=b program", "exec x", "exit 3", "cd x", "! a", "a & b", "ü"})
    EXPECT_EQ(plain_words(text), std::nullopt) << text;
}

TEST(HandlerProgram, Arguments) {
  EXPECT_EQ(arguments_of({"x", "cat -"}), (Words{"cat", "-"}));
  EXPECT_EQ(arguments_of({"x", "cat | cat"}), (Words{"/bin/sh", "-c", "cat | cat"}));
  EXPECT_EQ(arguments_of({"x", "-x; y"}), (Words{"/bin/sh", "-c", "--", "-x; y"}));
}

}  // namespace
}  // namespace workpool

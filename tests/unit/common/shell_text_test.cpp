// SPDX-License-Identifier: MIT
#include "common/each/shell_text.h"

#include <gtest/gtest.h>

namespace workpool {
namespace {

// Where a value would stand behind this text.
std::string place(std::string_view before) {
  ShellText text;
  text.read(before);
  const auto found = text.place_of_value();
  if (const auto* wrong = std::get_if<std::string>(&found)) return *wrong;
  switch (std::get<ShellPlace>(found)) {
    case ShellPlace::kBare:
      return "bare";
    case ShellPlace::kDouble:
      return "double";
    case ShellPlace::kSingle:
      return "single";
  }
  return "";
}

std::string put(std::string_view value, ShellPlace where) {
  std::string out;
  append_shell_value(out, value, where);
  return out;
}

TEST(ShellText, FollowsQuotes) {
  for (const char* text :
       {"", "echo ", "echo 'a' ", "echo \"a\" ", "echo \\' ", "echo '\\' ", "echo \"\\\"\" ", "x=$(cat ",
        "${x:-", "a#", "${x#", "cat <<< ", "<(sort ", "echo $'\\'' ", "# '\n", "(( 1 + 2 )); "})
    EXPECT_EQ(place(text), "bare") << text;
  for (const char* text : {"echo \"", "echo \"a'", "'a'\"$x ", "\"\\`"})
    EXPECT_EQ(place(text), "double") << text;
  for (const char* text : {"echo '", "'\"", "\"'\"'"}) EXPECT_EQ(place(text), "single") << text;
}

TEST(ShellText, RefusesWhereNoQuotingIsSafe) {
  const auto refused = [](std::string_view text, const char* why) {
    EXPECT_NE(place(text).find(why), std::string::npos) << text << ": " << place(text);
  };
  refused("echo `cat ", "backticks");
  refused("echo `cat '", "backticks");
  refused("echo \"$(cat ", "command substitution");
  refused("echo \"`cat ", "command substitution");
  refused("cat <<EOF\n", "here-document");
  refused("cat <<", "here-document");
  refused("echo $((1 + ", "arithmetic");
  refused("((x = (", "arithmetic");
  refused("true # ", "comment");
  refused("true;#", "comment");
  refused("echo \\", "backslash");
  refused("echo $'", "$'");
}

TEST(ShellText, PutsValuesAsText) {
  EXPECT_EQ(put("a.b", ShellPlace::kBare), "a.b");
  EXPECT_EQ(put("", ShellPlace::kBare), "''");
  EXPECT_EQ(put("it's", ShellPlace::kBare), "'it'\\''s'");
  EXPECT_EQ(put("it's", ShellPlace::kSingle), "it'\\''s");
  EXPECT_EQ(put("$(x) `y` \"z\" \\ 'q'", ShellPlace::kDouble), "\\$(x) \\`y\\` \\\"z\\\" \\\\ 'q'");
}

}  // namespace
}  // namespace workpool

// SPDX-License-Identifier: MIT
#include "common/each/shell_text.h"

#include <gtest/gtest.h>

namespace workpool {
namespace {

// Where a value would stand behind this text.
std::string place(std::string_view before) {
  ShellText text;
  text.read(before);
  const auto found = text.place_value();
  if (const auto* wrong = std::get_if<std::string>(&found)) return *wrong;
  const ShellPlace where = std::get<ShellPlace>(found);
  const std::string name = where.behind_name ? " behind a name" : "";
  if (where.around == ShellPlace::Quotes::kSingle) return "single" + name;
  return (where.around == ShellPlace::Quotes::kDouble ? "double" : "bare") + name;
}

constexpr ShellPlace kBare{};
constexpr ShellPlace kDouble{ShellPlace::Quotes::kDouble};
constexpr ShellPlace kSingle{ShellPlace::Quotes::kSingle};

std::string put(std::string_view value, const ShellPlace& where) {
  std::string out;
  append_shell_value(out, value, where);
  return out;
}

TEST(ShellText, FollowsQuotes) {
  for (const char* text : {"", "echo ", "echo 'a' ", "echo \"a\" ", "echo \\' ", "echo '\\' ",
                           "echo \"\\\"\" ", "x=$(cat ", "${x:-y} ", "a#", "cat <<< ", "<(sort ", "# '\n",
                           "(( 1 + 2 )); ", "\"${x}\" ", "\"$(date)\" ", "\\$'a' ", "\\ #", "$((1<<2)) "})
    EXPECT_EQ(place(text), "bare") << text;
  for (const char* text : {"echo \"", "echo \"a'", "'a'\"$x ", "\"\\`", "\"${x}", "\"$(date) "})
    EXPECT_EQ(place(text), "double") << text;
  for (const char* text : {"echo '", "'\"", "\"'\"'"}) EXPECT_EQ(place(text), "single") << text;
  EXPECT_EQ(place("echo $HOME"), "bare behind a name");
  EXPECT_EQ(place("echo \"$HOME"), "double behind a name");
  EXPECT_EQ(place("echo \\$HOME"), "bare");
}

TEST(ShellText, RefusesWhereNoQuotingIsSafe) {
  for (const char* text : {"echo `cat ",
                           "echo `cat '",
                           "echo `date` ",
                           "echo \"$(cat ",
                           "echo \"`cat ",
                           "cat <<EOF\n",
                           "cat <<",
                           "echo $((1 + ",
                           "((x = (",
                           "true # ",
                           "true;#",
                           "echo \\",
                           "echo $'",
                           "echo $'a' ",
                           "echo $$'\\' '",
                           "echo \"${x:-\"",
                           "echo \"${x%'\"'}\" ",
                           "${x:",
                           "${x#",
                           "echo $[",
                           "echo \"$[",
                           "echo $",
                           "\"$(echo \"a\")\" "})
    EXPECT_NE(place(text).find("the shell might run"), std::string::npos) << text << ": " << place(text);
}

TEST(ShellText, AValueIsALetterForWhatFollows) {
  ShellText text;
  text.read("echo ");
  EXPECT_TRUE(std::holds_alternative<ShellPlace>(text.place_value()));
  text.read("#'a\nb' ");
  EXPECT_EQ(std::get<ShellPlace>(text.place_value()), ShellPlace{}) << "no comment";
}

TEST(ShellText, RefusesWhatReadsItsArgumentsAsMoreThanText) {
  for (const char* text :
       {"eval ", "let x=", "x=1 eval \"", "if true; then declare -i x=", "read ", "a && trap ", "printf -v ",
        "test -v ", "[[ -v ", "[[ 1 -eq ", "[[ a == b && 1 -lt ", "x[", "echo ${x[", "(unset "})
    EXPECT_NE(place(text).find("the shell might run"), std::string::npos) << text << ": " << place(text);
  for (const char* text : {"echo eval ", "echo let=", "[[ ", "[[ x == ", "test 1 -eq ", "[ 1 -eq ",
                           "x=", "export X=", "ls [", "echo -v ", "[[ 1 -eq 1 ]] && echo ", "for f in "})
    EXPECT_EQ(place(text), "bare") << text;
  ShellText text;
  text.read("[[ ");
  EXPECT_TRUE(std::holds_alternative<ShellPlace>(text.place_value()));
  text.read(" -gt 5 ]]");
  EXPECT_NE(text.late_problem(), "");
  ShellText other;
  other.read("[[ ");
  other.place_value();
  other.read(" == 5 ]] && [ 1 -gt 5 ]");
  EXPECT_EQ(other.late_problem(), "");
}

TEST(ShellText, PutsValuesAsText) {
  EXPECT_EQ(put("a.b", kBare), "a.b");
  EXPECT_EQ(put("2", kBare), "'2'") << "no descriptor";
  EXPECT_EQ(put("a,b", kBare), "'a,b'");
  EXPECT_EQ(put("a", {ShellPlace::Quotes::kNone, true}), "'a'");
  EXPECT_EQ(put("a", {ShellPlace::Quotes::kDouble, true}), "\"\"a");
  EXPECT_EQ(put("", kBare), "''");
  EXPECT_EQ(put("it's", kBare), "'it'\\''s'");
  EXPECT_EQ(put("it's", kSingle), "it'\\''s");
  EXPECT_EQ(put("$(x) `y` \"z\" \\ 'q'", kDouble), "\\$(x) \\`y\\` \\\"z\\\" \\\\ 'q'");
}

}  // namespace
}  // namespace workpool

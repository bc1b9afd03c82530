// SPDX-License-Identifier: MIT
#include "common/each/command_template.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "common/formats/jobs_file.h"

namespace workpool {
namespace {

using Words = std::vector<std::string>;

ValueNames columns(const Words& names) { return {names.size(), names, false}; }
ValueNames sources(std::size_t count) { return {count, {}, count == 1}; }

std::variant<CommandTemplate, std::string> parse(const Words& words, const ValueNames& names = {},
                                                 const CommandSetting& setting = {}) {
  return CommandTemplate::parse(words, names, setting, true);
}

std::string wrong_with(const Words& words, const ValueNames& names = {}) {
  auto parsed = parse(words, names);
  const auto* wrong = std::get_if<std::string>(&parsed);
  return wrong == nullptr ? "" : *wrong;
}

// The command that a worker would run.
Words argv_of(const Words& words, const std::vector<std::string_view>& values, const ValueNames& names = {},
              const CommandSetting& setting = {}) {
  auto parsed = parse(words, names, setting);
  std::string line;
  std::get<CommandTemplate>(parsed).append_line(line, {values, 7});
  JobLineParser parser(JobsFormat::kJsonLines);
  const auto job = parser.parse(line);
  const auto* view = std::get_if<JobView>(&job);
  if (view == nullptr) return {"refused: " + std::get<LineError>(job).message};
  WorkParser works;
  const std::string work(view->work);
  auto result = works.parse(work);
  return std::get<CommandWork>(result).argv;
}

TEST(CommandTemplate, PutsValuesWhereTheyBelong) {
  EXPECT_EQ(argv_of({"gzip", "-9", "{}"}, {"a b.log"}), (Words{"gzip", "-9", "a b.log"}));
  EXPECT_EQ(argv_of({"gzip"}, {"a"}), (Words{"gzip", "a"}));
  EXPECT_EQ(argv_of({"x", "{1}-{2}", "{#}"}, {"a", "b"}, sources(2)), (Words{"x", "a-b", "7"}));
  EXPECT_EQ(argv_of({"x", "{2}{1}"}, {"a"}, sources(2)), (Words{"x", "a"}));
  EXPECT_EQ(argv_of({"x", "{rate}/{2}"}, {"0.1", "b"}, columns({"rate", "seed"})), (Words{"x", "0.1/b"}));
  EXPECT_EQ(argv_of({"x", "{learning rate.}"}, {"1"}, columns({"learning rate."})), (Words{"x", "1"}));
}

TEST(CommandTemplate, AWordOfAllValuesBecomesAsManyArguments) {
  EXPECT_EQ(argv_of({"x", "{}"}, {"a", "b c"}, sources(2)), (Words{"x", "a", "b c"}));
  EXPECT_EQ(argv_of({"x", "-{}-"}, {"a", "b"}, sources(2)), (Words{"x", "-a b-"}));
  EXPECT_EQ(argv_of({"x", "{/}"}, {"d/a", "d/b"}, sources(2)), (Words{"x", "a", "b"}));
}

// The member `stdout` of the line.
std::string output_path_of(const std::string& path, const std::vector<std::string_view>& values,
                           const ValueNames& names) {
  CommandSetting setting;
  setting.output_path = path;
  auto parsed = parse({"echo", "{id}"}, names, setting);
  if (const auto* wrong = std::get_if<std::string>(&parsed)) return *wrong;
  std::string line;
  std::get<CommandTemplate>(parsed).append_line(line, {values, 7});
  WorkParser works;
  JobLineParser parser(JobsFormat::kJsonLines);
  const auto job = parser.parse(line);
  const std::string work(std::get<JobView>(job).work);
  auto result = works.parse(work);
  return std::get<CommandWork>(result).output_path.value_or("none");
}

TEST(CommandTemplate, AColumnGoesBeforeAPlaceholderOfTheWorkerInAPath) {
  const ValueNames named = columns({"id", "line", "attempt"});
  EXPECT_EQ(output_path_of("{id}/{line}.{attempt}", {"a{b", "2", "c"}, named), "a{{b/2.c");
  EXPECT_EQ(output_path_of("{id.}.{line}", {"a.x", "2"}, columns({"id", "x"})), "a.{line}");
}

TEST(CommandTemplate, TakesPartsOfPaths) {
  const auto part = [](const char* placeholder, std::string_view value) {
    return argv_of({"x", std::string("=") + placeholder}, {value}).at(1).substr(1);
  };
  EXPECT_EQ(part("{.}", "photos/a.b.jpg"), "photos/a.b");
  EXPECT_EQ(part("{/}", "photos/a.b.jpg"), "a.b.jpg");
  EXPECT_EQ(part("{//}", "photos/a.b.jpg"), "photos");
  EXPECT_EQ(part("{/.}", "photos/a.b.jpg"), "a.b");
  EXPECT_EQ(part("{1/.}", "photos/a.b.jpg"), "a.b");
  EXPECT_EQ(part("{//}", "a.jpg"), ".");
  EXPECT_EQ(part("{//}", "/a.jpg"), "/");
  EXPECT_EQ(part("{.}", "dir.d/file"), "dir.d/file");
  EXPECT_EQ(part("{.}", ".bashrc"), ".bashrc") << "a hidden file has no ending";
  EXPECT_EQ(part("{/.}", "d/.x.y"), ".x");
  EXPECT_EQ(part("{/}", "a/b//"), "b");
  EXPECT_EQ(part("{/}", "/"), "/");
  EXPECT_EQ(part("{//}", "a/b/"), "a");
  EXPECT_EQ(part("{.}", ""), "");
}

TEST(CommandTemplate, WhatLooksLikeNoPlaceholderIsText) {
  const Words command = {"x", "{print $1}", "${HOME}", "{1..3}", "a{b,c}", "{{}", "{", "}", "{}"};
  EXPECT_EQ(argv_of(command, {"v"}),
            (Words{"x", "{print $1}", "${HOME}", "{1..3}", "a{b,c}", "{}", "{", "}", "v"}));
}

TEST(CommandTemplate, UnknownPlaceholdersAreRefusedWithWhatIsKnown) {
  EXPECT_EQ(wrong_with({"x", "{foo}"}),
            "unknown placeholder `{foo}`: known are {}, {#}, {1}, each with . / // or /. before the }; write "
            "{{ for {");
  EXPECT_NE(wrong_with({"x", "{3}"}, sources(2)).find("{1} to {2}"), std::string::npos);
  EXPECT_NE(wrong_with({"x", "{0}"}), "");
  EXPECT_NE(wrong_with({"x", "{sed}"}, columns({"seed"})).find("{seed}"), std::string::npos);
  EXPECT_NE(wrong_with({"x", "{= s/a/b/ =}"}).find("Perl"), std::string::npos);
  EXPECT_NE(wrong_with({"x", "{%}"}).find("WORKPOOL_SLOT"), std::string::npos);
}

TEST(CommandTemplate, AShellGetsEachValueAsOneWord) {
  CommandSetting setting;
  setting.shell = true;
  EXPECT_EQ(argv_of({"echo {} | wc"}, {"it's $(x)"}, {}, setting),
            (Words{"/bin/sh", "-c", "echo 'it'\\''s $(x)' | wc"}));
  EXPECT_EQ(argv_of({"echo", "x"}, {"a"}, {}, setting), (Words{"/bin/sh", "-c", "echo x a"}));
  setting.defaults.set_shell("bash");
  EXPECT_EQ(argv_of({"echo {}"}, {""}, {}, setting), (Words{"bash", "-c", "echo ''"}));
}

TEST(CommandTemplate, ALineSaysWhatMadeIt) {
  CommandSetting setting;
  setting.defaults.set_cwd("/data");
  setting.defaults.set_variable("A", "1");
  auto parsed = parse({"x", "{2}"}, sources(2), setting);
  std::string line;
  std::get<CommandTemplate>(parsed).append_line(line, {{"a\"b", "\xff"}, 1});
  EXPECT_EQ(
      line,
      R"({"cmd":["x",{"base64":"/w=="}],"env":{"A":"1"},"cwd":"/data","each":{"1":"a\"b","2":{"base64":"/w=="}}})");
  line.clear();
  parsed = parse({"x"}, {2, {}, true});
  std::get<CommandTemplate>(parsed).append_line(line, {{"a", "b"}, 1});
  EXPECT_EQ(line, R"({"cmd":["x","a","b"],"each":{"1":["a","b"]}})");
}

// Whatever a value holds, but NUL, the program gets it as it is.
RC_GTEST_PROP(CommandTemplate, AnArgumentArrivesAsItIs, (const std::string& value)) {
  RC_PRE(value.find('\0') == std::string::npos);
  RC_ASSERT(argv_of({"x", "{}", "<{}>"}, {value}) == (Words{"x", value, "<" + value + ">"}));
}

RC_GTEST_PROP(CommandTemplate, AnyBytesBecomeAnArgument, (const std::vector<unsigned char>& bytes)) {
  std::string value(bytes.begin(), bytes.end());
  std::erase(value, '\0');
  RC_ASSERT(argv_of({"x"}, {value}) == (Words{"x", value}));
}

}  // namespace
}  // namespace workpool

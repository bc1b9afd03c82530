// SPDX-License-Identifier: MIT
// The command line of `show`, whose last argument may be repeated.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "dispatcher/cli.h"

namespace workpool::dispatcher {
namespace {

using Words = std::vector<std::string>;

class ShowCommandLine : public testing::Test {
 protected:
  CommandLine parse(const Words& arguments) {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    Words all = {"show"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    CommandLine line = ExitCode::kOk;
    {
      Console console(ends[1]);
      line = parse_command_line(
          all,
          [this](const std::string& name) {
            const auto place = variables_.find(name);
            return place == variables_.end() ? nullptr : place->second.c_str();
          },
          console);
    }
    said_.assign(4096, '\0');
    const ssize_t count = ::read(ends[0], said_.data(), said_.size());
    said_.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    ::close(ends[0]);
    ::close(ends[1]);
    return line;
  }
  ShowOptions good(const Words& arguments) {
    const CommandLine line = parse(arguments);
    EXPECT_TRUE(std::holds_alternative<ShowOptions>(line)) << said_;
    return std::holds_alternative<ShowOptions>(line) ? std::get<ShowOptions>(line) : ShowOptions{};
  }
  void refused(const Words& arguments, const std::string& words) {
    const CommandLine line = parse(arguments);
    ASSERT_TRUE(std::holds_alternative<ExitCode>(line));
    EXPECT_EQ(std::get<ExitCode>(line), ExitCode::kUsage);
    EXPECT_NE(said_.find(words), std::string::npos) << said_;
  }

  std::map<std::string, std::string> variables_;
  std::string said_;
};

TEST_F(ShowCommandLine, TakesAnyNumberOfJobsBetweenFlags) {
  EXPECT_EQ(good({"r"}).wanted, Words{});
  const ShowOptions options = good({"r", "a", "--failed", "b*", ":3-4", "--stdout"});
  EXPECT_EQ(options.results, "r");
  EXPECT_EQ(options.wanted, (Words{"a", "b*", ":3-4"}));
  EXPECT_TRUE(options.failed);
  EXPECT_TRUE(options.standard_output);
  EXPECT_EQ(good({"--failed", "--", "r", "-x", "--", "a"}).wanted, (Words{"-x", "--", "a"}));
  refused({"r", "-x"}, "unknown flag '-x'");
  refused({}, "RESULTS is missing");
  refused({"r", ""}, "ID: '' is empty");
}

TEST_F(ShowCommandLine, StatusesHaveCommasBetween) {
  EXPECT_EQ(good({"r", "--status", "ok"}).statuses, std::vector<Status>{Status::kOk});
  EXPECT_EQ(good({"r", "--status=failed,timeout"}).statuses,
            (std::vector<Status>{Status::kFailed, Status::kTimeout}));
  variables_["WORKPOOL_STATUS"] = "invalid";
  EXPECT_TRUE(good({"r"}).statuses.empty()) << "it has no variable";
  for (const char* bad : {"ok,", ",ok", "OK", "ok failed"})
    refused({"r", "--status", bad}, "is none of ok, failed");
}

TEST_F(ShowCommandLine, RefusesWhatDoesNotGoTogether) {
  refused({"-"}, "cannot be a pipe");
  refused({"r", "--csv", "--json"}, "give one of them");
  refused({"r", "--stats", "--json"}, "give one of them");
  refused({"r", "--json", "--stderr"}, "whole results");
  refused({"r", "--stats", "--value"}, "numbers");
  refused({"r", "--tag"}, "--tag marks");
  refused({"r", "--tag", "--csv", "--stdout"}, "without --csv");
  EXPECT_TRUE(good({"r", "--csv", "--stdout"}).csv);
  EXPECT_TRUE(good({"r", "--tag", "--value"}).tag);
}

}  // namespace
}  // namespace workpool::dispatcher

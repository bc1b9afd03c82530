// SPDX-License-Identifier: MIT
#include "common/base/manual.h"

#include <gtest/gtest.h>

namespace workpool {
namespace {

CommandTable table() {
  std::string ignored;
  CommandTable made{"tool run", "FILE [flags]", "Runs a file.", {}, {}, "Example:\n  tool run a\\b\n"};
  made.flags = {{"results", 'o', "FILE", "where results go", "FILE.out", set_text(ignored)},
                {"mode", 0, "fast|safe", "how", "", set_text(ignored)},
                {"secret", 0, "X", "", "", set_text(ignored), false, true}};
  return made;
}

TEST(Manual, ASectionHasWhatHelpHas) {
  EXPECT_EQ(manual_section(table()),
            ".SH \"tool run\"\n.B tool run\nFILE [flags]\n.PP\nRuns a file.\n"
            ".TP\n\\fB\\-o\\fR, \\fB\\-\\-results\\fR \\fIFILE\\fR\nwhere results go [FILE.out]\n"
            ".TP\n\\fB\\-\\-mode\\fR \\fIfast|safe\\fR\nhow\n"
            ".PP\n.nf\nExample:\n  tool run a\\eb\n.fi\n");
  EXPECT_EQ(manual_head("tool", "does it", "1.0"),
            ".TH tool 1 \"\" \"tool 1.0\"\n.SH NAME\ntool \\- does it\n");
}

TEST(Manual, TextThatTroffWouldObeyIsText) {
  CommandTable made = table();
  made.summary = ".so /etc/passwd";
  EXPECT_NE(manual_section(made).find("\n\\&.so /etc/passwd\n"), std::string::npos);
}

TEST(Manual, TheListOfFlagsHasBothNamesAndNoHiddenOne) {
  EXPECT_EQ(flag_list(table()),
            "--results\tFILE\twhere results go\n-o\tFILE\twhere results go\n--mode\tfast|safe\thow\n"
            "--help\t\tprint this and exit\n--version\t\tprint the version and exit\n");
}

TEST(Manual, CompletionKnowsTheCommands) {
  for (const char* shell : {"bash", "zsh", "fish"})
    EXPECT_NE(completion_script(shell, {"run", "each"}).find("run each"), std::string::npos) << shell;
  EXPECT_EQ(completion_script("tcsh", {"run"}), "");
}

}  // namespace
}  // namespace workpool

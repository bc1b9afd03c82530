// SPDX-License-Identifier: MIT
// A file that is there as a whole or not at all.
#include "common/io/whole_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

namespace workpool {
namespace {

class WholeFileTest : public ::testing::Test {
 protected:
  WholeFileTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "workpool-whole-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  ~WholeFileTest() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name = "end.json") const { return folder_ + '/' + name; }
  static std::string text_of(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder_), {}));
  }

 private:
  std::string folder_;
};

TEST_F(WholeFileTest, WhatWasThereIsGoneUntilAllIsWritten) {
  std::ofstream(path()) << "of an earlier run";
  WholeFile file(path());
  EXPECT_EQ(file.problem(), "");
  EXPECT_EQ(files(), 0u) << "nobody takes the old one for the new one, and nothing is left beside it";
  EXPECT_TRUE(file.write("{}\n"));
  EXPECT_EQ(text_of(path()), "{}\n");
  EXPECT_EQ(files(), 1u);
}

TEST_F(WholeFileTest, ALinkStaysOneAndItsFileIsReplaced) {
  std::ofstream(path("real")) << "old";
  ASSERT_EQ(::symlink(path("real").c_str(), path().c_str()), 0);
  WholeFile file(path());
  EXPECT_TRUE(file.write("new"));
  EXPECT_EQ(text_of(path("real")), "new");
  EXPECT_TRUE(std::filesystem::is_symlink(path()));
}

TEST_F(WholeFileTest, WhatCannotBeWrittenIsSaidBeforehand) {
  EXPECT_EQ(WholeFile(path("no/such")).problem(),
            path("no/such") + " cannot be written: No such file or directory");
  EXPECT_EQ(WholeFile(path("")).problem(), path("") + " is a folder");
}

TEST_F(WholeFileTest, AFolderThatVanishesIsAProblemAtTheEnd) {
  std::filesystem::create_directory(path("folder"));
  WholeFile file(path("folder/end.json"));
  ASSERT_EQ(file.problem(), "");
  std::filesystem::remove_all(path("folder"));
  EXPECT_FALSE(file.write("{}"));
  EXPECT_EQ(file.problem(), path("folder/end.json") + " cannot be written: No such file or directory");
}

TEST_F(WholeFileTest, WhatIsNoFileIsWrittenInPlace) {
  ASSERT_EQ(::mkfifo(path().c_str(), 0600), 0);
  WholeFile nobody(path());
  EXPECT_EQ(nobody.problem(), "");
  EXPECT_FALSE(nobody.write("x")) << "and does not wait for a reader";
  const int reader = ::open(path().c_str(), O_RDONLY | O_NONBLOCK);
  WholeFile file(path());
  EXPECT_TRUE(file.write("{}\n"));
  char buffer[8];
  EXPECT_EQ(::read(reader, buffer, sizeof buffer), 3);
  ::close(reader);
  EXPECT_TRUE(WholeFile("/dev/null").write("x"));
  EXPECT_FALSE(WholeFile("/dev/full").write("x"));
}

}  // namespace
}  // namespace workpool

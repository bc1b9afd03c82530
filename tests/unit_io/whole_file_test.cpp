// SPDX-License-Identifier: MIT
// A file that is there as a whole or not at all.
#include "common/io/whole_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "common/io/descriptor.h"
#include "common/io/write_all.h"

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

TEST_F(WholeFileTest, WhatWasThereStaysUntilItBeginsAndIsGoneUntilAllIsWritten) {
  std::ofstream(path()) << "of an earlier run";
  WholeFile file(path());
  EXPECT_EQ(file.problem(), "");
  EXPECT_EQ(text_of(path()), "of an earlier run");
  EXPECT_EQ(files(), 1u) << "nothing is left beside it";
  EXPECT_TRUE(file.begin());
  EXPECT_EQ(files(), 0u) << "nobody takes the old one for the new one, and nothing is left beside it";
  EXPECT_TRUE(file.write("{}\n"));
  EXPECT_EQ(text_of(path()), "{}\n");
  EXPECT_EQ(files(), 1u);
}

// Somebody else who may write to the folder guesses the name, at the start or later.
TEST_F(WholeFileTest, ALinkInThePlaceOfItsTemporaryFileIsNotFollowed) {
  const std::string beside = path() + '.' + std::to_string(::getpid()) + ".tmp";
  std::ofstream(path("precious")) << "kept";
  ASSERT_EQ(::symlink(path("precious").c_str(), beside.c_str()), 0);
  WholeFile file(path());
  EXPECT_EQ(file.problem(), "");
  ASSERT_EQ(::symlink(path("precious").c_str(), beside.c_str()), 0);
  EXPECT_TRUE(file.begin());
  EXPECT_TRUE(file.write("{}\n"));
  EXPECT_EQ(text_of(path("precious")), "kept");
  EXPECT_EQ(text_of(path()), "{}\n");
  EXPECT_FALSE(std::filesystem::is_symlink(path()));
}

TEST_F(WholeFileTest, WhatCameMeanwhileIsRemovedOrAProblem) {
  WholeFile file(path());
  std::ofstream(path()) << "of a run that ended just now";
  EXPECT_TRUE(file.begin());
  EXPECT_EQ(files(), 0u);
  std::filesystem::create_directory(path());
  EXPECT_FALSE(file.begin());
  EXPECT_EQ(file.problem(), path() + " cannot be replaced: Is a directory");
}

TEST_F(WholeFileTest, ALinkStaysOneAndItsFileIsReplaced) {
  std::ofstream(path("real")) << "old";
  ASSERT_EQ(::symlink(path("real").c_str(), path().c_str()), 0);
  WholeFile file(path());
  EXPECT_TRUE(file.begin());
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
  EXPECT_TRUE(std::filesystem::is_fifo(path()));
  EXPECT_TRUE(WholeFile("/dev/null").write("x"));
  EXPECT_FALSE(WholeFile("/dev/full").write("x"));
}

TEST_F(WholeFileTest, ThePathsOfDescriptors) {
  EXPECT_EQ(descriptor_named("/dev/stdout"), 1);
  EXPECT_EQ(descriptor_named("/dev/stderr"), 2);
  EXPECT_EQ(descriptor_named("/dev/fd/12"), 12);
  EXPECT_EQ(descriptor_named("/proc/self/fd/3"), 3);
  for (const char* const other : {"/dev/fd/", "/dev/fd/x", "/dev/fd/1x", "/dev/fd/-1", "/dev/fd/99999999999",
                                  "/dev/stdin", "dev/stdout", ""})
    EXPECT_EQ(descriptor_named(other), std::nullopt) << other;
}

TEST_F(WholeFileTest, ADescriptorGoesOnWhereItIs) {
  const Descriptor out(::open(path().c_str(), O_WRONLY | O_CREAT, 0600));
  ASSERT_EQ(::write(out.get(), "first\n", 6), 6);
  WholeFile file("/dev/fd/" + std::to_string(out.get()));
  EXPECT_EQ(file.problem(), "");
  EXPECT_TRUE(file.begin());
  ASSERT_EQ(::write(out.get(), "more\n", 5), 5);
  EXPECT_TRUE(file.write("{}\n"));
  EXPECT_EQ(text_of(path()), "first\nmore\n{}\n");
  EXPECT_EQ(files(), 1u);
}

TEST_F(WholeFileTest, ADescriptorThatCannotBeWrittenIsSaidBeforehand) {
  const Descriptor in(::open("/dev/null", O_RDONLY));
  const std::string name = "/dev/fd/" + std::to_string(in.get());
  EXPECT_EQ(WholeFile(name).problem(), name + " cannot be written: Bad file descriptor");
  EXPECT_EQ(WholeFile("/dev/fd/9999").problem(), "/dev/fd/9999 cannot be written: Bad file descriptor");
}

// More than a pipe holds. What is open already is blocking, and must stay so for those who share it.
TEST_F(WholeFileTest, AReaderThatReadsNothingIsNotWaitedFor) {
  const std::string text(300'000, 'x');
  ASSERT_EQ(::mkfifo(path().c_str(), 0600), 0);
  const Descriptor reader(::open(path().c_str(), O_RDONLY | O_NONBLOCK));
  const Descriptor writer(::open(path().c_str(), O_WRONLY));
  EXPECT_EQ(write_all(writer.get(), text, milliseconds(50)), ETIMEDOUT);
  EXPECT_EQ(::fcntl(writer.get(), F_GETFL) & O_NONBLOCK, 0);
}

TEST_F(WholeFileTest, AReaderGetsMoreThanAPipeHolds) {
  const std::string text(300'000, 'x');
  ASSERT_EQ(::mkfifo(path().c_str(), 0600), 0);
  const Descriptor reader(::open(path().c_str(), O_RDONLY | O_NONBLOCK));
  ASSERT_EQ(::fcntl(reader.get(), F_SETFL, 0), 0);
  std::size_t count = 0;
  std::thread reads([&] {
    std::string buffer(10'000, ' ');
    while (count < text.size()) {
      const ssize_t got = ::read(reader.get(), buffer.data(), buffer.size());
      if (got > 0) count += static_cast<std::size_t>(got);
    }
  });
  EXPECT_TRUE(WholeFile(path()).write(text));
  reads.join();
  EXPECT_EQ(count, text.size());
}

}  // namespace
}  // namespace workpool

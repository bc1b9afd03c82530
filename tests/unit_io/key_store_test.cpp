// SPDX-License-Identifier: MIT
// Key files on disk: whom they are taken from, and what is left of one whatever happens.
#include "dispatcher/io/keys/key_store.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include "common/io/descriptor.h"
#include "common/io/random_key.h"
#include "tests/unit_io/key_fixture.h"

namespace workpool::dispatcher {
namespace {

class KeyStore : public KeyFolder {
 protected:
  static KeyFile pool(const std::string& name = "node7") {
    KeyFile file{secret(1)};
    file.workers.push_back({name, secret(2).public_key()});
    return file;
  }
  static KeyFileError refusal_of(const std::string& path) {
    try {
      read_key_file(path, {"workpool", "workpool worker"});
    } catch (const KeyFileError& error) {
      return error;
    }
    return {ExitCode::kOk, "is read"};
  }
  // Refused as unsafe, in words that name the file.
  static void refused(const std::string& path, const std::string& words) {
    const KeyFileError error = refusal_of(path);
    EXPECT_EQ(error.code, ExitCode::kUnsafe);
    EXPECT_EQ(std::string(error.what()), path + " " + words);
  }
};

TEST_F(KeyStore, ANewFileIsOursAloneWhateverTheUmask) {
  for (const mode_t mask : {mode_t{0}, mode_t{0777}, mode_t{022}}) {
    const mode_t before = ::umask(mask);
    write_new_key_file(path(), pool());
    ::umask(before);
    EXPECT_EQ(mode_of(path()), 0600U) << mask;
    const KeyFile read = read_key_file(path());
    EXPECT_EQ(read.dispatcher, secret(1));
    ASSERT_EQ(read.workers.size(), 1U);
    EXPECT_EQ(files(), 1U) << "nothing is left beside it";
    std::filesystem::remove(path());
  }
}

TEST_F(KeyStore, NothingIsEverOverwritten) {
  write("pool.key", "a year of work");
  EXPECT_THROW(write_new_key_file(path(), pool()), KeyFileExists);
  EXPECT_EQ(text_of(path()), "a year of work");
  std::filesystem::create_symlink("nowhere", path("link"));
  EXPECT_THROW(write_new_key_file(path("link"), pool()), KeyFileExists);
  std::filesystem::create_directory(path("folder"));
  EXPECT_THROW(write_new_key_file(path("folder"), pool()), KeyFileExists);
  EXPECT_EQ(files(), 3U);
}

TEST_F(KeyStore, OfManyWhoMakeAFileOneDoes) {
  std::atomic<int> made{0};
  std::vector<std::thread> makers;
  for (int i = 0; i < 8; ++i) {
    makers.emplace_back([this, &made, i] {
      try {
        write_new_key_file(path(), pool("worker " + std::to_string(i)));
        ++made;
      } catch (const KeyFileExists&) {
      }
    });
  }
  for (std::thread& maker : makers) maker.join();
  EXPECT_EQ(made, 1);
  EXPECT_EQ(read_key_file(path()).workers.size(), 1U);
  EXPECT_EQ(files(), 1U);
}

TEST_F(KeyStore, AFolderThatIsMissingIsNamed) {
  try {
    write_new_key_file(path("no/pool.key"), pool());
    FAIL();
  } catch (const KeyFileError& error) {
    EXPECT_EQ(error.code, ExitCode::kResultsFailed);
    EXPECT_EQ(std::string(error.what()),
              path("no/pool.key") + " cannot be written: No such file or directory");
  }
}

TEST_F(KeyStore, WhatCannotBeTrustedIsRefused) {
  refused(path(), "does not exist; make one: workpool keygen " + path());
  refused(path("it is"), "does not exist; make one: workpool keygen '" + path("it is") + "'");
  write_new_key_file(path(), pool());
  std::filesystem::create_symlink(path(), path("link"));
  refused(path("link"), "is a symbolic link: give the file that it leads to");
  std::filesystem::create_symlink("nowhere", path("dangling"));
  refused(path("dangling"), "is a symbolic link: give the file that it leads to");
  std::filesystem::create_directory(path("folder"));
  refused(path("folder"), "is no regular file, and so no key file");
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  refused(path("pipe"), "is no regular file, and so no key file");
  EXPECT_EQ(refusal_of("/dev/null").code, ExitCode::kUnsafe);
  for (const mode_t mode : {0640, 0604, 0620, 0602, 0610, 0601, 0666, 0777}) {
    ASSERT_EQ(::chmod(path().c_str(), mode), 0);
    refused(path(), "can be read or written by other users: chmod 600 " + path());
  }
  ASSERT_EQ(::chmod(path().c_str(), 0400), 0);
  EXPECT_EQ(refusal_of(path()).code, ExitCode::kOk);
}

TEST_F(KeyStore, AFileOfAnotherUserIsRefusedEvenByRoot) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a file to another user";
  write_new_key_file(path(), pool());
  ASSERT_EQ(::chown(path().c_str(), 12345, 12345), 0);
  refused(path(), "belongs to another user (12345): a key file has to belong to the user who uses it (0)");
  EXPECT_THROW(edit_key_file(path(), {}, [](KeyFile&) { FAIL(); }), KeyFileError);
}

TEST_F(KeyStore, WhatIsDamagedIsRefusedWithItsLine) {
  refused(write("empty", ""), "is damaged: it is empty");
  refused(write("text", "secret letters\n"), "is damaged: line 1 is no JSON object");
  write_new_key_file(path(), pool());
  const std::string whole = text_of(path());
  refused(write("cut", whole.substr(0, whole.size() - 1)),
          "is damaged: line 2 is cut short: every line ends with a newline");
  write("long", whole);
  ASSERT_EQ(::truncate(path("long").c_str(), 5 << 20), 0);
  refused(path("long"), "is damaged: it is longer than 4 MiB");
}

TEST_F(KeyStore, AnEditReplacesTheFile) {
  write_new_key_file(path(), pool());
  const mode_t before = ::umask(0);
  edit_key_file(path(), {}, [](KeyFile& file) { file.workers.push_back({"node8", secret(3).public_key()}); });
  ::umask(before);
  EXPECT_EQ(read_key_file(path()).workers.size(), 2U);
  EXPECT_EQ(mode_of(path()), 0600U);
  replace_key_file(path(), pool("another"));
  EXPECT_EQ(read_key_file(path()).workers.at(0).name, "another");
  EXPECT_EQ(files(), 1U);
}

TEST_F(KeyStore, AnEditThatThrowsChangesNothing) {
  write_new_key_file(path(), pool());
  const std::string before = text_of(path());
  EXPECT_THROW(edit_key_file(path(), {},
                             [](KeyFile& file) {
                               file.workers.clear();
                               throw std::runtime_error("no");
                             }),
               std::runtime_error);
  EXPECT_EQ(text_of(path()), before);
  EXPECT_EQ(files(), 1U);
  EXPECT_THROW(edit_key_file(path("none"), {}, [](KeyFile&) { FAIL(); }), KeyFileError);
}

TEST_F(KeyStore, EditsAtOnceAllLand) {
  write_new_key_file(path(), pool());
  std::vector<std::thread> editors;
  for (int editor = 0; editor < 8; ++editor) {
    editors.emplace_back([this, editor] {
      for (int i = 0; i < 5; ++i) {
        edit_key_file(path(), {}, [&](KeyFile& file) {
          file.workers.push_back(
              {std::to_string(editor) + "." + std::to_string(i), make_secret_key().public_key()});
        });
      }
    });
  }
  for (std::thread& editor : editors) editor.join();
  EXPECT_EQ(read_key_file(path()).workers.size(), 1U + 8 * 5);
  EXPECT_EQ(files(), 1U);
}

// One who has waited for the lock of a file that was replaced meanwhile must not edit that one.
TEST_F(KeyStore, ALockOfAFileThatWasReplacedIsWorthNothing) {
  write_new_key_file(path(), pool());
  const Descriptor held(::open(path().c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(::flock(held.get(), LOCK_EX), 0);
  std::atomic<bool> edited{false};
  std::thread waiting([this, &edited] {
    edit_key_file(path(), {}, [](KeyFile& file) { file.workers.push_back({"b", secret(4).public_key()}); });
    edited = true;
  });
  write_new_key_file(path("other"), pool("a"));
  std::filesystem::rename(path("other"), path());
  EXPECT_FALSE(edited && read_key_file(path()).workers.size() == 1U);
  ::flock(held.get(), LOCK_UN);
  waiting.join();
  const KeyFile file = read_key_file(path());
  ASSERT_EQ(file.workers.size(), 2U);
  EXPECT_EQ(file.workers[0].name, "a");
  EXPECT_EQ(file.workers[1].name, "b");
}

TEST_F(KeyStore, WhatAKilledEditLeftIsRemovedByTheNext) {
  write_new_key_file(path(), pool());
  write("pool.key.0123456789abcdef.tmp", "a secret");
  write("pool.key.0123456789abcdeF.tmp", "mine");
  write("other.key.0123456789abcdef.tmp", "mine");
  write("pool.key.tmp", "mine");
  edit_key_file(path(), {}, [](KeyFile&) {});
  EXPECT_FALSE(std::filesystem::exists(path("pool.key.0123456789abcdef.tmp")));
  EXPECT_EQ(files(), 4U) << "and nothing else is";
}

TEST_F(KeyStore, AWatchSeesEveryChangeOnce) {
  KeyFileWatch watch(path());
  EXPECT_TRUE(watch.changed()) << "it was never read";
  EXPECT_THROW(watch.read(), KeyFileError);
  EXPECT_TRUE(watch.changed()) << "it has not been read";
  write_new_key_file(path(), pool());
  EXPECT_TRUE(watch.changed());
  EXPECT_TRUE(watch.changed()) << "until it is read";
  EXPECT_EQ(watch.read().workers.size(), 1U);
  EXPECT_FALSE(watch.changed());
  edit_key_file(path(), {}, [](KeyFile& file) { file.workers.clear(); });
  EXPECT_TRUE(watch.changed());
  EXPECT_TRUE(watch.read().workers.empty());
  edit_key_file(path(), {}, [](KeyFile&) {});
  EXPECT_TRUE(watch.changed()) << "the same text in another file";
  watch.read();
  ASSERT_EQ(::chmod(path().c_str(), 0644), 0);
  EXPECT_TRUE(watch.changed());
  EXPECT_THROW(watch.read(), KeyFileError);
  EXPECT_TRUE(watch.changed()) << "what hindered may be over the next time";
  ASSERT_EQ(::chmod(path().c_str(), 0600), 0);
  EXPECT_TRUE(watch.changed());
  watch.read();
  std::filesystem::remove(path());
  EXPECT_TRUE(watch.changed());
}

TEST(RandomKey, NoTwoAreTheSame) {
  const SecretKey a = make_secret_key();
  const SecretKey b = make_secret_key();
  EXPECT_FALSE(a == b);
  EXPECT_NE(a.public_key(), b.public_key());
}

}  // namespace
}  // namespace workpool::dispatcher

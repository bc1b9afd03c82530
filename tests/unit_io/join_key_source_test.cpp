// SPDX-License-Identifier: MIT
// Where a join key may come from, and that it does not stay there.
#include "common/io/join_key_source.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>
#include <zmq.h>

#include <optional>
#include <string>

#include "common/io/descriptor.h"
#include "common/io/random_key.h"
#include "common/io/write_all.h"
#include "tests/unit_io/forked.h"
#include "tests/unit_io/key_fixture.h"

namespace workpool {
namespace {

class JoinKeySource : public KeyFolder {
 protected:
  static std::string key() { return join_key_text({secret(1).public_key(), secret(2)}); }

  FoundJoinKey find(const std::optional<std::string>& flag) const {
    return find_join_key(flag, [this](const std::string& name) -> const char* {
      return name == "WORKPOOL_KEY" && variable_ ? variable_->c_str() : nullptr;
    });
  }
  void found(const std::optional<std::string>& flag, std::uint8_t worker = 2) const {
    const FoundJoinKey key = find(flag);
    ASSERT_TRUE(std::holds_alternative<JoinKey>(key)) << message_of(key);
    EXPECT_EQ(std::get<JoinKey>(key).worker, secret(worker));
  }
  void refused(const std::optional<std::string>& flag, int code, const std::string& message) const {
    const FoundJoinKey key = find(flag);
    EXPECT_EQ(message_of(key), message);
    if (const auto* fault = std::get_if<JoinKeyFault>(&key)) {
      EXPECT_EQ(exit_status(fault->code), code);
    }
  }
  static std::string message_of(const FoundJoinKey& key) {
    const auto* fault = std::get_if<JoinKeyFault>(&key);
    return fault == nullptr ? "no fault" : fault->message;
  }
  // What `flag` finds with `text` in a pipe as stdin, and what is left in the pipe.
  std::string rest_after(const std::string& flag, const std::string& text, bool is_found) {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    EXPECT_EQ(write_all(ends[1], text), 0);
    ::close(ends[1]);
    const Descriptor before(::dup(STDIN_FILENO));
    ::dup2(ends[0], STDIN_FILENO);
    ::close(ends[0]);
    const FoundJoinKey key = find(flag);
    EXPECT_EQ(std::holds_alternative<JoinKey>(key), is_found) << message_of(key);
    said_ = message_of(key);
    std::string rest(100, '\0');
    const ssize_t count = ::read(STDIN_FILENO, rest.data(), rest.size());
    ::dup2(before.get(), STDIN_FILENO);
    rest.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    return rest;
  }

  std::optional<std::string> variable_;
  std::string said_;
};

TEST_F(JoinKeySource, WithoutOneThereIsNone) {
  EXPECT_TRUE(std::holds_alternative<std::monostate>(find(std::nullopt)));
  variable_ = "";
  EXPECT_TRUE(std::holds_alternative<std::monostate>(find(std::nullopt)));
}

TEST_F(JoinKeySource, TheVariableHoldsTheKeyItselfAndTheFlagWins) {
  variable_ = key();
  found(std::nullopt);
  write("a", join_key_text({secret(1).public_key(), secret(3)}) + "\n");
  found(path("a"), 3);
  variable_ = key().substr(0, 80);
  refused(std::nullopt, 2, "WORKPOOL_KEY is cut short: it has 80 of 90 letters");
}

TEST_F(JoinKeySource, AKeyAsAnArgumentIsRefused) {
  refused(
      key(), 2,
      "--key takes a file; a key on the command line can be seen by everyone (ps): set WORKPOOL_KEY instead");
}

TEST_F(JoinKeySource, AFileIsReadIfNobodyElseCan) {
  for (const mode_t mode : {0600, 0400}) found(write("mine", key() + "\n", mode));
  found(write("bare", key()));
  refused(path("none"), 78, "--key: " + path("none") + " does not exist");
  std::filesystem::create_directory(path("folder"));
  refused(path("folder"), 78, "--key: " + path("folder") + " is no regular file");
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  refused(path("pipe"), 78, "--key: " + path("pipe") + " is no regular file");
  refused(write("empty", ""), 78, "--key: " + path("empty") + " is empty");
  refused(write("cut", key().substr(0, 50)), 78,
          "--key: " + path("cut") + " is cut short: it has 50 of 90 letters");
  refused(write("two", key() + "\n" + key() + "\n"), 78,
          "--key: " + path("two") + " has more than one line: put one join key into it");
  refused(write("long", std::string(5000, ' ')), 78, "--key: " + path("long") + " is longer than 4 KiB");
  refused(
      write("pool", "{\"v\":1}\n{\n"), 78,
      "--key: " + path("pool") +
          " is a dispatcher's key file, and a worker needs its own join key: `workpool keygen FILE --worker "
          "NAME` prints one");
}

// Of a user: nobody else may read it. Of root, as containers have their secrets: nobody else may write it.
TEST_F(JoinKeySource, OwnerAndModeDecide) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give files to other users";
  const std::string file = write("key", key());
  for (const mode_t mode : {0444, 0440, 0644, 0600}) {
    ASSERT_EQ(::chmod(file.c_str(), mode), 0);
    found(file);
  }
  for (const mode_t mode : {0620, 0602, 0666}) {
    ASSERT_EQ(::chmod(file.c_str(), mode), 0);
    refused(file, 78, "--key: " + file + " can be written by other users: chmod go-w " + file);
  }
  ASSERT_EQ(::chmod(file.c_str(), 0600), 0);
  ASSERT_EQ(::chown(file.c_str(), 12345, 12345), 0);
  refused(
      file, 78,
      "--key: " + file + " belongs to another user (12345): give a copy of your own that only you can read");
}

TEST_F(JoinKeySource, AnotherUserThanRootMustHaveItAlone) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  WORKPOOL_SKIP_WHERE_FORK_MAY_HANG();
  const std::string file = write("key", key(), 0644);
  const std::string of_root = write("of_root", key(), 0444);
  std::filesystem::create_symlink("of_root", path("link_of_root"));
  std::filesystem::create_symlink("key", path("link"));
  ASSERT_EQ(::chmod(path("").c_str(), 0777), 0);
  ASSERT_EQ(::chown(file.c_str(), 12345, 12345), 0);
  ASSERT_EQ(::lchown(path("link").c_str(), 12345, 12345), 0);
  const auto as_user = [](auto&& look) {
    return code_of_child([&] {
      if (::setresgid(12345, 12345, 12345) != 0 || ::setresuid(12345, 12345, 12345) != 0) return 99;
      return look() ? 0 : 1;
    });
  };
  const auto says = [this](const std::string& flag, const std::string& words) {
    return message_of(find(flag)) == "--key: " + flag + " " + words;
  };
  EXPECT_EQ(as_user([&] { return says(file, "can be read or written by other users: chmod 600 " + file); }),
            0);
  ASSERT_EQ(::chmod(file.c_str(), 0400), 0);
  const auto is_found = [this](const std::string& flag) {
    return std::holds_alternative<JoinKey>(find(flag));
  };
  EXPECT_EQ(as_user([&] { return is_found(file); }), 0);
  EXPECT_EQ(as_user([&] { return is_found(of_root); }), 0);
  EXPECT_EQ(as_user([&] { return is_found(path("link_of_root")); }), 0);
  EXPECT_EQ(as_user([&] { return says(path("link"), "is a symbolic link: give the file that it leads to"); }),
            0);
}

TEST_F(JoinKeySource, StdinGivesALineAndNoMore) {
  EXPECT_EQ(rest_after("-", key() + "\nfor the jobs", true), "for the jobs");
  EXPECT_EQ(rest_after("-", key(), true), "");
  EXPECT_EQ(rest_after("/dev/stdin", key() + "\n", true), "");
  EXPECT_EQ(rest_after("/dev/fd/0", key() + "\n", true), "");
  rest_after("-", "", false);
  EXPECT_EQ(said_, "--key: stdin is empty: a join key begins with wp1-");
  rest_after("-", std::string(5000, 'x'), false);
  EXPECT_EQ(said_, "--key: stdin holds no join key: its first line is longer than 4 KiB");
}

// The variable stands where the kernel has put it only in a process that was started with it, so this test
// starts itself once more.
constexpr const char* kStartedWithIt = "WORKPOOL_KEY_TEST";

void expect_that_it_goes() {
  const auto environment_of_start = [] {
    std::ifstream file("/proc/self/environ");
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  ASSERT_NE(environment_of_start().find("WORKPOOL_KEY=wp1-"), std::string::npos);
  const auto key =
      find_join_key(std::nullopt, [](const std::string& name) { return ::getenv(name.c_str()); });
  EXPECT_TRUE(std::holds_alternative<JoinKey>(key));
  EXPECT_EQ(::getenv("WORKPOOL_KEY"), nullptr);
  EXPECT_EQ(environment_of_start().find("wp1-"), std::string::npos);
  EXPECT_NE(::getenv(kStartedWithIt), nullptr) << "another variable stays";
}

TEST(ForgottenVariable, IsGoneFromTheProcess) {
  WORKPOOL_SKIP_WHERE_FORK_MAY_HANG();
  if (::getenv(kStartedWithIt) != nullptr) return expect_that_it_goes();
  const std::string text = join_key_text({make_secret_key().public_key(), make_secret_key()});
  const int code = code_of_child([&text] {
    ::setenv("WORKPOOL_KEY", text.c_str(), 1);
    ::setenv(kStartedWithIt, "1", 1);
    ::execl("/proc/self/exe", "test_unit_io", "--gtest_brief=1",
            "--gtest_filter=ForgottenVariable.IsGoneFromTheProcess", nullptr);
    return 99;
  });
  EXPECT_EQ(code, 0);
}

// CURVE derives the public key of a peer from its secret one, and so do we.
TEST(Keys, AreThoseOfZeroMq) {
  for (int i = 0; i < 20; ++i) {
    const SecretKey secret = make_secret_key();
    char letters[41];
    char public_letters[41];
    ASSERT_NE(::zmq_z85_encode(letters, secret.bytes().data(), kKeyBytes), nullptr);
    ASSERT_EQ(::zmq_curve_public(public_letters, letters), 0);
    PublicKey key;
    ASSERT_NE(::zmq_z85_decode(key.bytes.data(), public_letters), nullptr);
    EXPECT_EQ(key, secret.public_key());
  }
}

}  // namespace
}  // namespace workpool

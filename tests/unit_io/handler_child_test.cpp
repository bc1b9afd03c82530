// SPDX-License-Identifier: MIT
// What is written to a child can be had back as far as the child has not read it, to the byte.
#include "worker/io/process/handler_child.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "worker/io/process/spawn.h"

namespace workpool::worker {
namespace {

class HandlerChildTest : public ::testing::Test {
 protected:
  static HandlerChild::Channels channels_of(Pipe& input) {
    EXPECT_TRUE(make_pipe(input));
    ::fcntl(input.write.get(), F_SETFL, O_NONBLOCK);
    ::fcntl(input.read.get(), F_SETFL, O_NONBLOCK);
    HandlerChild::Channels channels;
    channels.input = std::move(input.write);
    return channels;
  }
  // As the child does.
  std::string read(std::size_t most = 1 << 20) {
    std::string text(most, '\0');
    const ssize_t got = ::read(input_.read.get(), text.data(), text.size());
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return text;
  }

  Pipe input_;
  HandlerChild child_{0, channels_of(input_), ""};
};

TEST_F(HandlerChildTest, WhatWasNotReadIsHadBackAndTheRestStaysWhole) {
  EXPECT_EQ(child_.ask("a", 1, "1"), 0U);
  const std::uint64_t second = child_.ask("b", 2, "[2]");
  child_.ask("c", 1, "3");
  EXPECT_EQ(child_.feed(), HandlerChild::Fed::kAll);
  std::string seen = read(10);
  EXPECT_EQ(child_.bytes_read(), 10U);
  EXPECT_EQ(child_.take_back(), 10U);
  EXPECT_EQ(read(), "");
  child_.forget_from(second);
  EXPECT_EQ(child_.feed(), HandlerChild::Fed::kAll);
  seen += read();
  EXPECT_EQ(seen, "{\"id\":\"a\",\"attempt\":1,\"args\":1}\n");
  EXPECT_EQ(child_.bytes_read(), second);
  EXPECT_EQ(child_.ask("d", 1, "4"), second);
}

TEST_F(HandlerChildTest, SoIsOneThatIsLargerThanThePipe) {
  const std::string large = '"' + std::string(200'000, 'x') + '"';
  child_.ask("a", 1, large);
  const std::uint64_t second = child_.ask("b", 1, large);
  EXPECT_EQ(child_.feed(), HandlerChild::Fed::kSome);
  std::string seen = read(1000);
  EXPECT_EQ(child_.take_back(), 1000U);
  child_.forget_from(second);
  while (child_.feed() == HandlerChild::Fed::kSome) seen += read();
  seen += read();
  EXPECT_EQ(seen, "{\"id\":\"a\",\"attempt\":1,\"args\":" + large + "}\n");
}

TEST_F(HandlerChildTest, WhatADeadChildHadReadIsKnown) {
  child_.ask("a", 1, "1");
  const std::uint64_t second = child_.ask("b", 1, "2");
  child_.feed();
  read(second);
  input_.read.close();
  EXPECT_EQ(child_.bytes_read(), second);
  child_.close_input();
  EXPECT_EQ(child_.bytes_read(), second);
}

}  // namespace
}  // namespace workpool::worker

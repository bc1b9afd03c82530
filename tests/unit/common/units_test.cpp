// SPDX-License-Identifier: MIT
#include "common/base/units.h"
#include "common/base/address.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace workpool {
namespace {

TEST(Units, DurationsAsPeopleWriteThem) {
  EXPECT_EQ(parse_duration("200ms"), milliseconds(200));
  EXPECT_EQ(parse_duration("1.5s"), milliseconds(1500));
  EXPECT_EQ(parse_duration("5m"), seconds(300));
  EXPECT_EQ(parse_duration("1h30m"), seconds(5400));
  EXPECT_EQ(parse_duration("2d"), seconds(172800));
  EXPECT_EQ(parse_duration("90"), seconds(90));
  EXPECT_EQ(parse_duration("0"), seconds(0));
  EXPECT_EQ(parse_duration("0.25"), milliseconds(250));
  EXPECT_EQ(parse_duration("3650d"), seconds(315'360'000));
  EXPECT_EQ(parse_duration("0.1us"), microseconds(1)) << "short, but not none";
}

TEST(Units, WhatIsNoDuration) {
  for (const char* text : {"",      "s",      "-1s",  "+1s", "1 s", "1x",  "1s1h",  "1s1s",
                           "1h30",  "1.s",    ".5s",  "1e3", "inf", "NaN", "3651d", "99999999999999999999s",
                           "1..5s", "1.5.5s", "0x10", "1S",  "5m ", " 5m"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

TEST(Units, DurationsAreWrittenShort) {
  EXPECT_EQ(format_duration(seconds(5400)), "1h30m");
  EXPECT_EQ(format_duration(milliseconds(1500)), "1.5s");
  EXPECT_EQ(format_duration(milliseconds(200)), "200ms");
  EXPECT_EQ(format_duration(microseconds(1500)), "1.5ms");
  EXPECT_EQ(format_duration(microseconds(7)), "7us");
  EXPECT_EQ(format_duration(seconds(0)), "0s");
  EXPECT_EQ(format_duration(seconds(90061)), "1d1h1m1s");
}

RC_GTEST_PROP(UnitsProperty, DurationsReadBack, ()) {
  const auto count = *rc::gen::inRange<std::int64_t>(0, 315'360'000'000'000);
  const auto small = *rc::gen::inRange<std::int64_t>(0, 100'000'000);
  RC_ASSERT(parse_duration(format_duration(Duration{count})) == Duration{count});
  RC_ASSERT(parse_duration(format_duration(Duration{small})) == Duration{small});
}

TEST(Units, Sizes) {
  EXPECT_EQ(parse_size("4096"), 4096U);
  EXPECT_EQ(parse_size("4096B"), 4096U);
  EXPECT_EQ(parse_size("64KiB"), 65536U);
  EXPECT_EQ(parse_size("1GB"), 1'000'000'000U);
  EXPECT_EQ(parse_size("1kB"), 1000U);
  EXPECT_EQ(parse_size("1KB"), 1000U);
  EXPECT_EQ(parse_size("1.5MiB"), 1572864U);
  for (const char* text :
       {"", "B", "-1", "1.5", "1.5B", "64 KiB", "64kib", "64K", "99999999999TB", "0.3KiB", "1e3"}) {
    EXPECT_FALSE(parse_size(text)) << text;
  }
}

TEST(Units, Addresses) {
  const auto host = [](const char* text) {
    const auto address = parse_address(text);
    return address ? address->host : "none";
  };
  EXPECT_EQ(host("tcp://10.0.0.5:5555"), "10.0.0.5");
  EXPECT_EQ(host("tcp://[::1]:5555"), "::1");
  EXPECT_EQ(host("tcp://[fe80::1%eth0]:5555"), "fe80::1%eth0");
  EXPECT_EQ(host("tcp://node-7.example.org:1"), "node-7.example.org");
  EXPECT_EQ(host("tcp://*:65535"), "*");
  EXPECT_EQ(parse_address("tcp://[::1]:5555")->text(), "tcp://[::1]:5555");
  EXPECT_EQ(parse_address("tcp://a:5555")->port, 5555);
  for (const char* text :
       {"", "tcp://", "tcp://a", "a:5555", "tcp://:5555", "tcp://a:", "tcp://a:0", "tcp://a:65536",
        "tcp://a:-1", "tcp://a:55x", "tcp://::1:5555", "tcp://[::1:5555", "tcp://[a]:5555",
        "tcp://10.0.0.300:1", "tcp://10.0:1", "tcp://a b:1", "tcp://a/b:1", "udp://a:1", "tcp://a: 1"}) {
    EXPECT_EQ(host(text), "none") << text;
  }
  EXPECT_TRUE(parse_address("tcp://127.0.0.1:0", true));
  EXPECT_EQ(host("ipc:///tmp/a folder"), "/tmp/a folder");
  EXPECT_EQ(parse_address("ipc:///tmp/a")->text(), "ipc:///tmp/a");
  EXPECT_EQ(endpoint("/tmp/a", 3), "ipc:///tmp/a/3");
  const std::string longest = "ipc:///" + std::string(kFolderBytesMost - 1, 'a');
  EXPECT_TRUE(parse_address(longest));
  EXPECT_FALSE(parse_address(longest + 'a')) << "its sockets would have names that are too long";
  for (const char* text : {"ipc://", "ipc:///", "ipc://a", "ipc://a/b"})
    EXPECT_EQ(host(text), "none") << text;
}

TEST(Units, LoopbackAndLiteral) {
  for (const char* host : {"127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"})
    EXPECT_TRUE(is_loopback_literal(host));
  for (const char* host : {"localhost", "10.0.0.1", "0.0.0.0", "::", "*", "::ffff:10.0.0.1"}) {
    EXPECT_FALSE(is_loopback_literal(host)) << host;
  }
  for (const char* host : {"10.0.0.1", "::1", "*", "fe80::1%eth0", "/tmp/a"})
    EXPECT_TRUE(is_literal(host)) << host;
  for (const char* host : {"localhost", "node7", "1.2.3"}) EXPECT_FALSE(is_literal(host)) << host;
}

}  // namespace
}  // namespace workpool

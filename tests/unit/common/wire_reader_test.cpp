// SPDX-License-Identifier: MIT
#include "common/wire/wire_reader.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace workpool {
namespace {

using namespace std::string_literals;

// Reads one value from a heap block of exactly these bytes; the reader must stand behind it or have failed.
template <class Value>
struct ReadOnce {
  Value value{};
  bool ok = false;
  bool finished = false;
};
template <class Read>
auto read(const std::string& bytes, Read read_value) {
  const auto block = std::make_unique<char[]>(bytes.size());
  std::copy(bytes.begin(), bytes.end(), block.get());
  WireReader from({block.get(), bytes.size()});
  ReadOnce<decltype(read_value(from))> once;
  once.value = read_value(from);
  once.ok = from.ok();
  once.finished = from.finished();
  return once;
}
auto number(const std::string& bytes) {
  return read(bytes, [](WireReader& from) { return from.number(); });
}
auto integer(const std::string& bytes) {
  return read(bytes, [](WireReader& from) { return from.integer(); });
}
auto text(const std::string& bytes, std::size_t most = SIZE_MAX) {
  return read(bytes, [most](WireReader& from) { return std::string(from.bytes(most)); });
}
auto array(const std::string& bytes) {
  return read(bytes, [](WireReader& from) { return from.array(); });
}
bool skips(const std::string& bytes) {
  return read(bytes,
              [](WireReader& from) {
                from.skip();
                return 0;
              })
      .finished;
}

TEST(WireReader, NumbersOfEveryWidth) {
  EXPECT_EQ(number("\x7f").value, 127U);
  EXPECT_EQ(number("\xcc\xff").value, 255U);
  EXPECT_EQ(number("\xcd\x01\x00"s).value, 256U);
  EXPECT_EQ(number("\xce\x80\0\0\0"s).value, 0x80000000U);
  EXPECT_EQ(number("\xcf\x01\x02\x03\x04\x05\x06\x07\x08").value, 0x0102030405060708U);
  for (const std::string& bytes : {""s, "\xcc"s, "\xcd\x01"s, "\xce\1\1\1"s, "\xcf\1\1\1\1\1\1\1"s, "\xff"s,
                                   "\xd0\x01"s, "\xc0"s, "\xa1x"s, "\xca\0\0\0\0"s, "\x80"s, "\xc1"s}) {
    EXPECT_FALSE(number(bytes).ok) << bytes.size();
    EXPECT_EQ(number(bytes).value, 0U);
  }
}

TEST(WireReader, IntegersOfEveryWidth) {
  EXPECT_EQ(integer("\xff").value, -1);
  EXPECT_EQ(integer("\xe0").value, -32);
  EXPECT_EQ(integer("\x05").value, 5);
  EXPECT_EQ(integer("\xd0\x80").value, -128);
  EXPECT_EQ(integer("\xd1\xff\x7f").value, -129);
  EXPECT_EQ(integer("\xd2\x80\0\0\0"s).value, INT32_MIN);
  EXPECT_EQ(integer("\xd3\x80\0\0\0\0\0\0\0"s).value, INT64_MIN);
  EXPECT_EQ(integer("\xd3\x7f\xff\xff\xff\xff\xff\xff\xff").value, INT64_MAX);
  EXPECT_EQ(integer("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff").value, INT64_MAX);
  EXPECT_FALSE(integer("\xcf\x80\0\0\0\0\0\0\0"s).ok) << "does not fit";
  EXPECT_FALSE(integer("\xd3\x80").ok);
}

TEST(WireReader, TextsAndBytesOfEveryWidth) {
  EXPECT_EQ(text("\xa0").value, "");
  EXPECT_EQ(text("\xa3"s + "abc").value, "abc");
  EXPECT_EQ(text("\xbf"s + std::string(31, 'x')).value, std::string(31, 'x'));
  for (const std::string& head :
       {"\xc4\x02"s, "\xc5\0\x02"s, "\xc6\0\0\0\x02"s, "\xd9\x02"s, "\xda\0\x02"s, "\xdb\0\0\0\x02"s}) {
    EXPECT_EQ(text(head + "ab").value, "ab");
    EXPECT_TRUE(text(head + "ab").finished);
    EXPECT_FALSE(text(head + "a").ok) << "one byte short";
    EXPECT_FALSE(text(head.substr(0, head.size() - 1)).ok) << "no whole length";
  }
  EXPECT_TRUE(text("\xa3"s + "abc", 3).ok);
  EXPECT_FALSE(text("\xa3"s + "abc", 2).ok) << "longer than asked for";
  EXPECT_FALSE(text("\x90").ok);
}

TEST(WireReader, LengthsOfArrays) {
  EXPECT_EQ(array("\x90").value, 0U);
  EXPECT_EQ(array("\x9f").value, 15U);
  EXPECT_EQ(array("\xdc\0\x02\xc0\xc0"s).value, 2U);
  EXPECT_EQ(array("\xdd\0\0\0\x02\xc0\xc0"s).value, 2U);
  EXPECT_FALSE(array("\xdd\x7f\xff\xff\xff").ok) << "more elements than bytes";
  EXPECT_FALSE(array("\xdc\0\x03\xc0\xc0"s).ok);
  EXPECT_FALSE(array("\xdc\0"s).ok);
  EXPECT_FALSE(array("\x80").ok) << "a map";
}

TEST(WireReader, BooleansAndNil) {
  const auto boolean = [](const std::string& bytes) {
    return read(bytes, [](WireReader& from) { return from.boolean(); });
  };
  EXPECT_TRUE(boolean("\xc3").value);
  EXPECT_TRUE(boolean("\xc2").ok);
  EXPECT_FALSE(boolean("\xc2").value);
  EXPECT_FALSE(boolean("\x01").ok);
  EXPECT_FALSE(boolean("").ok);
  WireReader from("\xc0\x01");
  EXPECT_TRUE(from.nil());
  EXPECT_FALSE(from.nil());
  EXPECT_TRUE(from.ok()) << "another value is no fault";
  EXPECT_TRUE(from.next_is_number());
  EXPECT_EQ(from.number(), 1U);
  EXPECT_TRUE(from.finished());
  EXPECT_FALSE(from.next_is_number()) << "at the end";
}

TEST(WireReader, AFaultStays) {
  WireReader from("\xc0\x05\xa1x\x91\xc3");
  EXPECT_EQ(from.number(), 0U);
  EXPECT_FALSE(from.ok());
  EXPECT_EQ(from.number(), 0U);
  EXPECT_EQ(from.integer(), 0);
  EXPECT_EQ(from.bytes(10), "");
  EXPECT_EQ(from.array(), 0U);
  EXPECT_FALSE(from.boolean());
  EXPECT_FALSE(from.nil());
  from.skip();
  EXPECT_FALSE(from.finished());
}

TEST(WireReader, SkipsOneValueOfAnyKindOfOurs) {
  for (const std::string& bytes : {"\x00"s,
                                   "\x7f"s,
                                   "\xff"s,
                                   "\xe0"s,
                                   "\xc0"s,
                                   "\xc2"s,
                                   "\xc3"s,
                                   "\xcc\1"s,
                                   "\xcd\1\1"s,
                                   "\xce\1\1\1\1"s,
                                   "\xcf\1\1\1\1\1\1\1\1"s,
                                   "\xd0\1"s,
                                   "\xd1\1\1"s,
                                   "\xd2\1\1\1\1"s,
                                   "\xd3\1\1\1\1\1\1\1\1"s,
                                   "\xca\1\1\1\1"s,
                                   "\xcb\1\1\1\1\1\1\1\1"s,
                                   "\xa1x"s,
                                   "\xc4\1x"s,
                                   "\xdb\0\0\0\1x"s,
                                   "\x90"s,
                                   "\x92\x01\x91\xc0"s,
                                   "\xdc\0\1\x90"s}) {
    EXPECT_TRUE(skips(bytes)) << static_cast<int>(static_cast<unsigned char>(bytes[0]));
    EXPECT_FALSE(skips(bytes.substr(0, bytes.size() - 1))) << "cut";
  }
  for (const std::string& bytes :
       {""s, "\xc1"s, "\x81\x01\x01"s, "\xde\0\0"s, "\xdf\0\0\0\0"s, "\xd4\1\1"s, "\xc7\0\1"s}) {
    EXPECT_FALSE(skips(bytes)) << "no kind of ours";
  }
  EXPECT_TRUE(skips(std::string(7, '\x91') + '\x01'));
  EXPECT_FALSE(skips(std::string(8, '\x91') + '\x01')) << "too deep";
}

}  // namespace
}  // namespace workpool

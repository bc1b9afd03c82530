// SPDX-License-Identifier: MIT
// Messages longer than a frame, in parts.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <vector>

#include "common/wire/codec.h"
#include "tests/unit/common/same_message.h"
#include "tests/unit/common/sample_messages.h"

namespace workpool {
namespace {

constexpr Header kHeader = sample::kHeader;

Part part(std::uint32_t index, std::string_view bytes, bool last, std::uint64_t seq = 1) {
  return Part{{kHeader.run, kHeader.session, seq}, index, last, bytes};
}

// The parts in these frames, read as the other side does.
std::optional<std::string> joined(const std::vector<std::string>& frames) {
  PartAssembler assembler;
  for (const std::string& frame : frames) {
    const auto decoded = decode_lane(frame);
    if (!decoded || !std::holds_alternative<Part>(decoded->content)) return std::nullopt;
    if (!assembler.add(std::get<Part>(decoded->content))) return std::nullopt;
  }
  return assembler.take();
}

TEST(Parts, UpTo64KiBAMessageTravelsWhole) {
  for (const std::size_t size : {std::size_t{1}, kPartBytesMost - 1, kPartBytesMost}) {
    const auto frames = frames_of(kHeader, std::string(size, 'x'));
    ASSERT_EQ(frames.size(), 1U) << size;
    EXPECT_EQ(frames[0], std::string(size, 'x'));
  }
}

TEST(Parts, BeyondItComesInParts) {
  for (const std::size_t size : {kPartBytesMost + 1, 2 * kPartBytesMost - 1, 2 * kPartBytesMost,
                                 2 * kPartBytesMost + 1, std::size_t{1} << 20, kMessageBytesMost}) {
    std::string message(size, '\0');
    for (std::size_t i = 0; i < size; ++i) message[i] = static_cast<char>(i * 31 >> 3);
    const auto frames = frames_of(kHeader, std::string(message));
    EXPECT_EQ(frames.size(), (size + kPartBytesMost - 1) / kPartBytesMost);
    for (std::size_t i = 0; i < frames.size(); ++i) {
      EXPECT_LE(frames[i].size(), kPartBytesMost + 64);
      const auto decoded = decode_sink(frames[i]);
      ASSERT_TRUE(decoded);
      const Part& piece = std::get<Part>(decoded->content);
      EXPECT_TRUE(same(piece.header, kHeader)) << "all carry the message's own number";
      EXPECT_EQ(piece.index, i);
      EXPECT_EQ(piece.last, i + 1 == frames.size());
    }
    EXPECT_EQ(joined(frames), message);
  }
}

TEST(Parts, AnItemOfAMegabyteComesBack) {
  JobOrder order;
  order.attempt = 1;
  order.work = std::string(1 << 20, 'w');
  const LaneMessage jobs = Jobs{1, 2, {order}};
  std::string encoded;
  encode(kHeader, jobs, encoded);
  const auto whole = joined(frames_of(kHeader, std::move(encoded)));
  ASSERT_TRUE(whole);
  const auto decoded = decode_lane(*whole);
  ASSERT_TRUE(decoded);
  EXPECT_TRUE(same(std::get<LaneMessage>(decoded->content), jobs));
  EXPECT_TRUE(same(decoded->header, kHeader));
}

TEST(Parts, OneIsMissing) {
  PartAssembler assembler;
  EXPECT_TRUE(assembler.add(part(0, "a", false)));
  EXPECT_FALSE(assembler.add(part(2, "c", true)));
  EXPECT_FALSE(assembler.take());
  EXPECT_FALSE(PartAssembler().add(part(1, "b", true))) << "the first one";
}

TEST(Parts, OneComesTwice) {
  PartAssembler assembler;
  EXPECT_TRUE(assembler.add(part(0, "a", false)));
  EXPECT_TRUE(assembler.add(part(1, "b", false)));
  EXPECT_FALSE(assembler.add(part(1, "b", false)));
  PartAssembler first_twice;
  EXPECT_TRUE(first_twice.add(part(0, "a", false)));
  EXPECT_FALSE(first_twice.add(part(0, "a", false)));
}

TEST(Parts, OneOfAnotherMessage) {
  PartAssembler assembler;
  EXPECT_TRUE(assembler.add(part(0, "a", false, 1)));
  EXPECT_FALSE(assembler.add(part(1, "b", true, 2)));
  PartAssembler cut_short;
  EXPECT_TRUE(cut_short.add(part(0, "a", false, 1)));
  EXPECT_FALSE(cut_short.add(part(0, "b", true, 2))) << "the end of the one before was lost";
}

TEST(Parts, NothingComesBehindTheLast) {
  PartAssembler assembler;
  EXPECT_TRUE(assembler.add(part(0, "a", true)));
  EXPECT_FALSE(assembler.add(part(1, "b", true)));
  EXPECT_EQ(assembler.take(), "a");
  EXPECT_FALSE(assembler.take()) << "it was emptied";
}

TEST(Parts, OneMessageFollowsAnother) {
  PartAssembler assembler;
  for (const std::uint64_t seq : {5, 6, 7}) {
    EXPECT_TRUE(assembler.add(part(0, "ab", false, seq)));
    EXPECT_FALSE(assembler.take());
    EXPECT_TRUE(assembler.add(part(1, "c", true, seq)));
    EXPECT_EQ(assembler.take(), "abc");
  }
}

TEST(Parts, TooLongAMessageIsRefusedBeforeItIsKept) {
  PartAssembler assembler;
  const std::string piece(kPartBytesMost, 'x');
  std::uint32_t index = 0;
  for (; index < kMessageBytesMost / kPartBytesMost; ++index)
    ASSERT_TRUE(assembler.add(part(index, piece, false)));
  EXPECT_FALSE(assembler.add(part(index, "x", true)));
}

TEST(Parts, SuitTheWorkerTimeout) {
  EXPECT_EQ(part_bytes_for(seconds(10)), kPartBytesMost);
  EXPECT_EQ(part_bytes_for(seconds(3600)), kPartBytesMost);
  EXPECT_EQ(part_bytes_for(seconds(2)), kPartBytesMost / 5);
  EXPECT_EQ(part_bytes_for(Duration(1)), 4096U);
  const std::string message(100'000, 'y');
  const auto frames = frames_of(kHeader, std::string(message), part_bytes_for(seconds(2)));
  EXPECT_EQ(frames.size(), 8U);
  EXPECT_EQ(joined(frames), message);
}

TEST(Parts, OneLargerThanWeSendIsRefused) {
  const auto frames = frames_of(kHeader, std::string(kPartBytesMost + 1, 'x'));
  EXPECT_TRUE(decode_sink(frames[0]));
  std::string larger = frames[0];
  const std::size_t length = larger.size() - kPartBytesMost - 4;  // c6 and four bytes stand before them
  ASSERT_EQ(static_cast<unsigned char>(larger[length - 1]), 0xc6);
  larger[length + 3] = '\x01';
  larger += 'x';
  EXPECT_FALSE(decode_sink(larger));
}

}  // namespace
}  // namespace workpool

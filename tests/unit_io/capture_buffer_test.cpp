// SPDX-License-Identifier: MIT
#include "worker/io/process/capture_buffer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/base/text.h"

namespace workpool::worker {
namespace {

struct Kept {
  std::string text;
  std::uint64_t cut = 0;
};

// `bytes` in pieces of `piece`.
Kept keep(std::string_view bytes, std::size_t limit, std::size_t piece = 1000) {
  CaptureBuffer buffer(limit);
  for (std::size_t at = 0; at < bytes.size(); at += piece) buffer.append(bytes.substr(at, piece));
  Kept kept;
  kept.text = buffer.take(kept.cut);
  return kept;
}

std::string digits(std::size_t size) {
  std::string text;
  while (text.size() < size) text += static_cast<char>('0' + text.size() % 10);
  return text;
}

TEST(CaptureBuffer, KeepsAllWithinTheLimit) {
  for (const std::size_t size : {0U, 1U, 4U, 5U, 6U, 9U, 10U}) {
    for (const std::size_t piece : {1U, 3U, 100U}) {
      const Kept kept = keep(digits(size), 10, piece);
      EXPECT_EQ(kept.text, digits(size));
      EXPECT_EQ(kept.cut, 0U);
    }
  }
}

TEST(CaptureBuffer, KeepsHeadAndTailBeyondIt) {
  for (const std::size_t size : {11U, 12U, 14U, 15U, 19U, 20U, 23U, 100U, 1001U}) {
    for (const std::size_t piece : {1U, 2U, 7U, 9U, 13U, 5000U}) {
      const std::string all = digits(size);
      const Kept kept = keep(all, 10, piece);
      EXPECT_EQ(kept.text, all.substr(0, 5) + all.substr(size - 5)) << size << ' ' << piece;
      EXPECT_EQ(kept.cut, size - 10);
    }
  }
}

TEST(CaptureBuffer, TheTailHasTheOddByte) {
  EXPECT_EQ(keep("abcdefghij", 5).text, "abhij");
  EXPECT_EQ(keep("abcdefghij", 1).text, "j");
  EXPECT_EQ(keep("abcdefghij", 0).text, "");
  EXPECT_EQ(keep("abcdefghij", 0).cut, 10U);
}

TEST(CaptureBuffer, CutsBetweenLetters) {
  std::string all;
  for (int i = 0; i < 40; ++i) all += "é😀€";  // 2, 4 and 3 bytes
  for (std::size_t limit = 2; limit < 60; ++limit) {
    const Kept kept = keep(all, limit, 7);
    EXPECT_TRUE(is_utf8(kept.text)) << limit;
    EXPECT_EQ(kept.text.size() + kept.cut, all.size());
    EXPECT_LE(kept.text.size(), limit);
    EXPECT_GE(kept.text.size() + 6, limit) << "at most 3 bytes a side are given up";
  }
}

// Every text of up to five letters of every width, at every limit.
TEST(CaptureBuffer, KeepsLettersWholeHoweverLittleIsDropped) {
  const std::vector<std::string> letters = {"a", "\u00e9", "\u20ac", "\U0001f600"};
  std::vector<std::string> texts = {""};
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (i >= 1 + 4 + 16 + 64 + 256) break;
    for (const std::string& letter : letters) texts.push_back(texts[i] + letter);
  }
  for (const std::string& text : texts) {
    for (std::size_t limit = 2; limit < 12; ++limit) {
      const Kept kept = keep(text, limit, 3);
      EXPECT_TRUE(is_utf8(kept.text)) << text << " at " << limit;
      EXPECT_LE(kept.text.size(), limit);
      EXPECT_EQ(kept.text.size() + kept.cut, text.size());
    }
  }
}

TEST(CaptureBuffer, BytesThatAreNoLettersAreCutAnywhere) {
  const Kept kept = keep(std::string(100, '\xff'), 11);
  EXPECT_EQ(kept.text, std::string(11, '\xff'));
  EXPECT_EQ(kept.cut, 89U);
}

}  // namespace
}  // namespace workpool::worker

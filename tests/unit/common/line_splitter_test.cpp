// SPDX-License-Identifier: MIT
#include "common/formats/line_splitter.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <string>
#include <tuple>
#include <vector>

namespace workpool {
namespace {

// text (of a long line what is certain to be there), offset, end, ended, too_long
using Seen = std::tuple<std::string, std::uint64_t, std::uint64_t, bool, bool>;

std::size_t head_bytes(std::size_t line_bytes_max) { return std::min<std::size_t>(64, line_bytes_max + 1); }

// The same by looking at all of the input at once.
std::vector<Seen> naive(const std::string& input, std::size_t line_bytes_max) {
  std::vector<Seen> lines;
  for (std::size_t begin = 0; begin < input.size();) {
    const std::size_t newline = input.find('\n', begin);
    const bool ended = newline != std::string::npos;
    const std::size_t end = ended ? newline + 1 : input.size();
    const std::size_t mark = begin == 0 && input.starts_with("\xef\xbb\xbf") ? 3 : 0;
    if (begin + mark == input.size()) break;  // nothing but a mark
    std::string text = input.substr(begin + mark, (ended ? newline : end) - begin - mark);
    if (!text.empty() && text.back() == '\r') text.pop_back();
    const bool too_long = text.size() > line_bytes_max;
    if (too_long) text.resize(head_bytes(line_bytes_max));
    lines.emplace_back(text, begin + mark, end, ended, too_long);
    begin = end;
  }
  return lines;
}

// Gives `splitter` the input from its end of bytes on, in blocks of the sizes that `block` draws.
template <typename Draw>
bool feed(LineSplitter& splitter, const std::string& input, const Draw& block) {
  if (splitter.finished()) return false;
  const auto at = static_cast<std::size_t>(splitter.end_of_bytes());
  const auto room = splitter.room();
  EXPECT_FALSE(room.empty());
  const std::size_t size = std::min({room.size(), block(), input.size() - at});
  std::copy_n(input.begin() + static_cast<std::ptrdiff_t>(at), size, room.begin());
  splitter.add(size);
  if (at == input.size()) splitter.finish();
  return true;
}

template <typename Draw>
std::vector<Seen> split(const std::string& input, LineSplitter& splitter, std::size_t line_bytes_max,
                        const Draw& block) {
  std::vector<Seen> lines;
  LineSplitter::Line line;
  do {
    while (splitter.next(line)) {
      const std::size_t shown = line.too_long ? head_bytes(line_bytes_max) : line.text.size();
      lines.emplace_back(std::string(line.text.substr(0, shown)), line.offset, line.end, line.ended,
                         line.too_long);
    }
  } while (feed(splitter, input, block));
  return lines;
}

std::string random_input() {
  std::string input = *rc::gen::element<std::string>("", "", "\xef\xbb\xbf", "\n");
  for (const auto& [size, ending] : *rc::gen::container<std::vector<std::pair<int, int>>>(
           rc::gen::pair(rc::gen::inRange(0, 40), rc::gen::inRange(0, 6)))) {
    input.append(static_cast<std::size_t>(size), static_cast<char>('a' + size % 26));
    static const char* const kEndings[] = {"\n", "\n", "\r\n", "\r", "\r\r\n", "\xef\xbb\xbf\n"};
    input += kEndings[ending];
  }
  return input;
}

RC_GTEST_PROP(LineSplitter, CutsAsANaiveOneDoes, ()) {
  const std::string input = random_input();
  const auto longest = static_cast<std::size_t>(*rc::gen::inRange(4, 100));
  LineSplitter splitter(longest, static_cast<std::size_t>(*rc::gen::inRange(1, 50)));
  const auto lines =
      split(input, splitter, longest, [] { return static_cast<std::size_t>(*rc::gen::inRange(1, 30)); });
  RC_ASSERT(lines == naive(input, longest));
}

RC_GTEST_PROP(LineSplitter, FindsTheLineAtAnyOffset, ()) {
  const std::string input = random_input();
  LineSplitter splitter(4 + input.size(), static_cast<std::size_t>(*rc::gen::inRange(1, 50)));
  const auto block = [] { return static_cast<std::size_t>(*rc::gen::inRange(1, 30)); };
  const std::vector<Seen> lines = naive(input, input.size());
  RC_PRE(!lines.empty());
  for (const Seen& expected : *rc::gen::container<std::vector<Seen>>(rc::gen::elementOf(lines))) {
    splitter.seek(std::get<1>(expected));
    LineSplitter::Line line;
    while (!splitter.next(line)) RC_ASSERT(feed(splitter, input, block));
    RC_ASSERT(std::string(line.text) == std::get<0>(expected));
    RC_ASSERT(line.offset == std::get<1>(expected));
    RC_ASSERT(line.end == std::get<2>(expected));
  }
}

// So that a file that is held as a whole is never read again.
TEST(LineSplitter, TheLastLineIsFoundAgainWithoutMoreBytes) {
  LineSplitter splitter(100, 10);
  const std::string input = "ab\ncd";
  for (const char byte : input) {
    splitter.room()[0] = byte;
    splitter.add(1);
  }
  splitter.finish();
  LineSplitter::Line line;
  for (const std::uint64_t offset : {3, 0, 3}) {
    splitter.seek(offset);
    ASSERT_TRUE(splitter.next(line)) << offset;
    EXPECT_EQ(line.text, offset == 0 ? "ab" : "cd");
  }
}

TEST(LineSplitter, KnowsALineThatIsTooLongBeforeItsEnd) {
  LineSplitter splitter(100, 10);
  const std::string input = "ab\n" + std::string(102, 'x');
  std::vector<Seen> lines;
  LineSplitter::Line line;
  for (std::size_t given = 0; given < input.size(); ++given) {
    EXPECT_FALSE(splitter.in_long_line()) << given;
    splitter.room()[0] = input[given];
    splitter.add(1);
    while (splitter.next(line))
      lines.emplace_back(std::string(line.text), line.offset, line.end, line.ended, line.too_long);
  }
  EXPECT_TRUE(splitter.in_long_line()) << "one byte more than a CR may be";
  EXPECT_EQ(splitter.position(), 3U);
  EXPECT_EQ(lines.size(), 1U);
}

TEST(LineSplitter, ALineWithoutEndTakesNoMemory) {
  LineSplitter splitter(1000, 100);
  LineSplitter::Line line;
  for (int i = 0; i < 100'000; ++i) {
    const auto room = splitter.room();
    ASSERT_LT(room.size(), 4000U);
    std::fill(room.begin(), room.end(), 'x');
    splitter.add(room.size());
    ASSERT_FALSE(splitter.next(line));
  }
  splitter.room()[0] = '\n';
  splitter.add(1);
  ASSERT_TRUE(splitter.next(line));
  EXPECT_TRUE(line.too_long);
  EXPECT_EQ(line.text, std::string(64, 'x'));
}

}  // namespace
}  // namespace workpool

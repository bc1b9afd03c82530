// SPDX-License-Identifier: MIT
#include "common/each/value_reader.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstring>

namespace workpool {
namespace {

using Row = std::vector<std::string>;
using Rows = std::vector<Row>;
using Taken = ValueReader::Taken;

// Feeds `text` in pieces of `piece` bytes; an error becomes a last row ("error", line, message).
struct Reading {
  Reading(ValueFormat format, std::string_view input, std::size_t piece = SIZE_MAX)
      : reader(format), text(input), step(std::max<std::size_t>(piece, 1)) {}

  bool more() {
    const std::span<char> room = reader.room();
    const std::size_t size = std::min({step, text.size(), room.size()});
    std::memcpy(room.data(), text.data(), size);
    text.remove_prefix(size);
    if (size == 0) reader.finish();
    reader.add(size);
    return true;
  }
  Rows rows() {
    Rows all;
    Row row;
    while (true) {
      const Taken taken = reader.next(row);
      if (taken == Taken::kRow) all.push_back(row);
      if (taken == Taken::kMore) more();
      if (taken == Taken::kEnd) return all;
      if (taken == Taken::kError) {
        all.push_back({"error", std::to_string(reader.line()), reader.error()});
        return all;
      }
    }
  }
  std::string columns(bool named = true) {
    Taken taken = Taken::kMore;
    while ((taken = reader.read_columns(named)) == Taken::kMore) more();
    return taken == Taken::kError ? std::to_string(reader.line()) + ": " + reader.error() : "";
  }

  ValueReader reader;
  std::string_view text;
  std::size_t step;
};

Rows rows_of(ValueFormat format, std::string_view text) { return Reading(format, text).rows(); }

Rows table_of(ValueFormat format, std::string_view text, std::size_t piece = SIZE_MAX) {
  Reading reading(format, text, piece);
  const std::string wrong = reading.columns();
  if (!wrong.empty()) return {{"error", wrong}};
  Rows all = reading.rows();
  all.insert(all.begin(), reading.reader.columns());
  return all;
}

TEST(ValueReader, Lines) {
  EXPECT_EQ(rows_of(ValueFormat::kLines, "a\nb c\n\n\r\nd\r\ne"), (Rows{{"a"}, {"b c"}, {"d"}, {"e"}}));
  EXPECT_EQ(rows_of(ValueFormat::kLines, "\xef\xbb\xbfx\n"), (Rows{{"x"}}));
  EXPECT_EQ(rows_of(ValueFormat::kLines, ""), Rows{});
  EXPECT_EQ(rows_of(ValueFormat::kLines, "\n\n"), Rows{});
}

TEST(ValueReader, ValuesThatEndWithNul) {
  EXPECT_EQ(rows_of(ValueFormat::kNul, std::string_view("a\nb\0\r\0\0c", 8)),
            (Rows{{"a\nb"}, {"\r"}, {""}, {"c"}}));
  EXPECT_EQ(rows_of(ValueFormat::kNul, std::string_view("a\0", 2)), (Rows{{"a"}}));
}

TEST(ValueReader, RowsOfCsv) {
  EXPECT_EQ(table_of(ValueFormat::kCsv, "x,y\r\n1,\"a,b\"\r\n\n\"q\"\"r\",\"two\nlines\"\n,\n"),
            (Rows{{"x", "y"}, {"1", "a,b"}, {"q\"r", "two\nlines"}, {"", ""}}));
  EXPECT_EQ(table_of(ValueFormat::kTsv, "x\ty\n1,2\t\"3\"\n"), (Rows{{"x", "y"}, {"1,2", "3"}}));
  EXPECT_EQ(table_of(ValueFormat::kCsv, "x,y\n1,"), (Rows{{"x", "y"}, {"1", ""}}));
  EXPECT_EQ(table_of(ValueFormat::kCsv, "x\n\"a\""), (Rows{{"x"}, {"a"}}));
}

TEST(ValueReader, RowsWithoutNames) {
  Reading reading(ValueFormat::kCsv, "1,2\n3,4\n");
  EXPECT_EQ(reading.columns(false), "");
  EXPECT_EQ(reading.reader.columns(), (Row{"", ""}));
  EXPECT_EQ(reading.rows(), (Rows{{"1", "2"}, {"3", "4"}}));
}

TEST(ValueReader, MistakesInRowsHaveTheirPlace) {
  EXPECT_EQ(table_of(ValueFormat::kCsv, "x,y\n1,2\n3\n").back(),
            (Row{"error", "3", "1 column, but the first row has 2"}));
  EXPECT_EQ(table_of(ValueFormat::kCsv, "x\n\"a\nb\"\n\"c\n").back(),
            (Row{"error", "4", "column 1: the quote that opens here is never closed"}));
  EXPECT_EQ(table_of(ValueFormat::kCsv, "x\n\"a\"b\n").back().at(1), "2");
  EXPECT_EQ(table_of(ValueFormat::kCsv, "x,x\n1,2\n").back(),
            (Row{"error", "1: two columns are called \"x\": rename one"}));
}

TEST(ValueReader, JsonObjects) {
  EXPECT_EQ(
      table_of(ValueFormat::kJsonLines,
               "{\"a\": \"x\\ny\", \"b\": 1.50}\n\n {\"b\": [1, {\"c\": null}], \"z\": 1, \"a\": null}\n"),
      (Rows{{"a", "b"}, {"x\ny", "1.50"}, {"", "[1,{\"c\":null}]"}}));
  EXPECT_EQ(table_of(ValueFormat::kJsonLines, "{\"a\":1}\n{\"b\":1}\n").back(),
            (Row{"error", "2", "no member \"a\", which the first object has"}));
  EXPECT_EQ(table_of(ValueFormat::kJsonLines, "{\"a\":1}\n[1]\n").back().at(1), "2");
  EXPECT_EQ(table_of(ValueFormat::kJsonLines, "{\"a\":1}\n{\"a\":}\n").back().at(1), "2");
  EXPECT_EQ(table_of(ValueFormat::kJsonLines, "{}\n").back(),
            (Row{"error", "1: an empty object: the first one names the columns"}));
}

TEST(ValueReader, ARowThatNeverEndsIsRefused) {
  const std::string text(kValueRowBytesMax + 100'000, 'a');
  for (const ValueFormat format : {ValueFormat::kLines, ValueFormat::kNul, ValueFormat::kCsv}) {
    const Rows rows = Reading(format, text, 4096).rows();
    ASSERT_EQ(rows.size(), 1U);
    EXPECT_EQ(rows.front().front(), "error");
  }
}

// However the bytes come, the rows are the same.
RC_GTEST_PROP(ValueReader, PiecesMakeNoDifference, ()) {
  const auto letters = rc::gen::elementOf(std::string("ab,\"\n\r\t{}:1\\"));
  const auto text = *rc::gen::container<std::string>(letters);
  const auto piece = *rc::gen::inRange<std::size_t>(1, 5);
  for (const ValueFormat format : {ValueFormat::kLines, ValueFormat::kNul}) {
    RC_ASSERT(Reading(format, text, piece).rows() == Reading(format, text).rows());
  }
  for (const ValueFormat format : {ValueFormat::kCsv, ValueFormat::kTsv, ValueFormat::kJsonLines}) {
    RC_ASSERT(table_of(format, text, piece) == table_of(format, text));
  }
}

// What a CSV writer that quotes everything writes is read back.
RC_GTEST_PROP(ValueReader, ReadsBackWhatWasQuoted, (const std::vector<std::string>& values)) {
  RC_PRE(!values.empty());
  std::string text;
  for (std::size_t i = 0; i < values.size(); ++i) text += (i == 0 ? "c" : ",c") + std::to_string(i);
  text += "\r\n";
  for (std::size_t i = 0; i < values.size(); ++i) {
    text += i == 0 ? "\"" : ",\"";
    for (const char c : values[i]) text += c == '"' ? std::string("\"\"") : std::string(1, c);
    text += '"';
  }
  text += "\r\n";
  const Rows rows = table_of(ValueFormat::kCsv, text);
  RC_ASSERT(rows.size() == 2U);
  RC_ASSERT(rows.back() == values);
}

}  // namespace
}  // namespace workpool

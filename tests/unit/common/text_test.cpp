// SPDX-License-Identifier: MIT
#include "common/base/text.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <string>

namespace workpool {
namespace {

std::string json(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

std::string base64(std::string_view bytes) {
  std::string out;
  append_base64(out, bytes);
  return out;
}

TEST(Text, Utf8IsStrict) {
  EXPECT_TRUE(is_utf8(""));
  EXPECT_TRUE(is_utf8("plain ascii, longer than eight bytes"));
  EXPECT_TRUE(
      is_utf8("Gr\xc3\xbc\xc3\x9f"
              "e \xe2\x82\xac \xf0\x9f\x98\x80"));
  EXPECT_TRUE(is_utf8("\xf4\x8f\xbf\xbf"));
  EXPECT_FALSE(is_utf8("\xc0\xaf")) << "overlong";
  EXPECT_FALSE(is_utf8("\xe0\x9f\xbf")) << "overlong";
  EXPECT_FALSE(is_utf8("\xf0\x8f\xbf\xbf")) << "overlong";
  EXPECT_FALSE(is_utf8("\xed\xa0\x80")) << "surrogate";
  EXPECT_FALSE(is_utf8("\xf4\x90\x80\x80")) << "beyond U+10FFFF";
  EXPECT_FALSE(is_utf8("\x80"));
  EXPECT_FALSE(is_utf8("\xe2\x82")) << "cut";
  EXPECT_EQ(utf8_valid_bytes("12345678\xe2\x82\xac\xff x"), 11U);
}

TEST(Text, JsonStringsEscapeWhatATerminalMustNotSee) {
  EXPECT_EQ(json("a\"b\\c"), R"("a\"b\\c")");
  EXPECT_EQ(json("\n\t\r\b\f"), R"("\n\t\r\b\f")");
  EXPECT_EQ(json(std::string_view("\x00\x1b\x7f", 3)), "\"\\u0000\\u001b\\u007f\"");
  EXPECT_EQ(json("\xe2\x82\xac"), "\"\xe2\x82\xac\"");
}

RC_GTEST_PROP(TextProperty, JsonStringBytesIsExact, (const std::string& text)) {
  RC_ASSERT(json(text).size() == json_string_bytes(text));
}

// Long texts are searched 64 bytes at a time, then sixteen, then one.
TEST(Text, EveryByteCountsWhereverItStands) {
  constexpr std::size_t kLength = 140;
  std::string text(kLength, 'a');
  for (int byte = 0; byte < 256; ++byte) {
    const std::string written = json(std::string(1, static_cast<char>(byte)));
    const std::string alone = written.substr(1, written.size() - 2);
    for (std::size_t at = 0; at < kLength; ++at) {
      text[at] = static_cast<char>(byte);
      ASSERT_EQ(json(text), '"' + std::string(at, 'a') + alone + std::string(kLength - at - 1, 'a') + '"')
          << "byte " << byte << " at " << at;
      ASSERT_EQ(utf8_valid_bytes(text), byte < 0x80 ? kLength : at) << "byte " << byte;
      text[at] = 'a';
    }
  }
}

TEST(Text, Base64IsThatOfRfc4648) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(base64("\xff\xfe\xfd"), "//79");
}

TEST(Text, Base64IsReadStrictly) {
  for (const char* text : {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYmFy", "//79"})
    EXPECT_EQ(base64(base64_bytes(text).value_or("refused")), text);
  for (const char* text :
       {"Z", "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Zm9v=", "====", "Zm 9", "Zm9v\n", "=m9v", "Z=9v"})
    EXPECT_FALSE(base64_bytes(text)) << text;
}

RC_GTEST_PROP(Text, Base64GoesBothWays, (const std::string& bytes)) {
  RC_ASSERT(base64_bytes(base64(bytes)) == bytes);
}

TEST(Text, PrintableShowsEveryControlByte) {
  EXPECT_EQ(printable("a\x1b[31m\x7f"), "a\\x1b[31m\\x7f");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "\\xc2\\x9b31m")
      << "C1";
  EXPECT_EQ(printable("\xc2\xa0\xe2\x82\xac"), "\xc2\xa0\xe2\x82\xac");
  EXPECT_EQ(printable("\xff\xe2\x82"), "\\xff\\xe2\\x82");
  EXPECT_EQ(printable("a\u202eb\u2066\u2069\u200f\u061c\u2028\u2029"),
            "a\\xe2\\x80\\xaeb\\xe2\\x81\\xa6\\xe2\\x81\\xa9\\xe2\\x80\\x8f\\xd8\\x9c\\xe2\\x80\\xa8\\xe2\\x8"
            "0\\xa9");
  EXPECT_EQ(printable("\u05d0\u0628\u200d\u2026\u2065\u206a"), "\u05d0\u0628\u200d\u2026\u2065\u206a")
      << "letters";
  EXPECT_EQ(printable("abcdef", 4), "abcd…");
  EXPECT_EQ(printable("abc\x01", 5), "abc…") << "an escape is not cut";
}

TEST(Text, CutsBetweenLetters) {
  EXPECT_EQ(utf8_prefix("a\xe2\x82\xac"
                        "b",
                        3),
            "a");
  EXPECT_EQ(utf8_prefix("a\xe2\x82\xac"
                        "b",
                        4),
            "a\xe2\x82\xac");
  EXPECT_EQ(utf8_prefix("ab", 9), "ab");
  EXPECT_EQ(utf8_suffix("a\xe2\x82\xac"
                        "b",
                        3),
            "b");
  EXPECT_EQ(utf8_suffix("a\xe2\x82\xac"
                        "b",
                        4),
            "\xe2\x82\xac"
            "b");
  EXPECT_EQ(utf8_prefix("\x80\x80\x80\x80", 3), "\x80\x80\x80") << "no UTF-8: exactly the limit";
  EXPECT_EQ(utf8_suffix("\x80\x80\x80\x80", 3), "\x80\x80\x80");
}

RC_GTEST_PROP(TextProperty, CutsKeepUtf8Valid, (std::string bytes)) {
  std::string text;
  for (const char byte : bytes)
    text += (byte & 1) != 0 ? "\xf0\x9f\x98\x80" : (byte & 2) != 0 ? "\xc3\xbc" : "x";
  const auto limit = *rc::gen::inRange<std::size_t>(0, text.size() + 1);
  const auto prefix = utf8_prefix(text, limit);
  const auto suffix = utf8_suffix(text, limit);
  RC_ASSERT(is_utf8(prefix) && prefix.size() <= limit && prefix.size() + 4 > limit);
  RC_ASSERT(is_utf8(suffix) && suffix.size() <= limit && suffix.size() + 4 > limit);
}

TEST(Text, NearestNamesWhatWasMeant) {
  constexpr std::array<std::string_view, 4> kKnown{"cmd", "env", "priority", "timeout"};
  const auto near = [&](std::string_view word) { return nearest(word, kKnown.data(), kKnown.size()); };
  EXPECT_EQ(near("evn"), "env") << "a swap is one edit";
  EXPECT_EQ(near("comd"), "cmd");
  EXPECT_EQ(near("Timeout"), "timeout");
  EXPECT_EQ(near("prority"), "priority");
  EXPECT_EQ(near("CMD"), "cmd");
  EXPECT_EQ(near("prio"), "priority") << "abbreviated";
  EXPECT_EQ(near("priors"), "priority") << "another ending";
  EXPECT_EQ(near("command"), "cmd") << "written out";
  EXPECT_EQ(near("environment"), "env");
  EXPECT_EQ(near("colour"), "");
  EXPECT_EQ(near("tea"), "");
  EXPECT_EQ(near("en"), "env");
  EXPECT_EQ(near(""), "");
  EXPECT_EQ(near(std::string(100000, 'x')), "");
}

}  // namespace
}  // namespace workpool

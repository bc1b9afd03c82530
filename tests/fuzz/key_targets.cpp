// SPDX-License-Identifier: MIT
// Key files and join keys: what people copy, edit and cut short.
#include <variant>

#include "common/base/check.h"
#include "common/base/keys.h"
#include "common/base/text.h"
#include "common/formats/key_file.h"
#include "tests/fuzz/targets.h"

namespace workpool::fuzz {
namespace {

KeyBytes all(std::uint8_t byte) {
  KeyBytes bytes;
  bytes.fill(byte);
  return bytes;
}

KeyFile pool() {
  KeyFile file{SecretKey(all(1)), {}, 1'798'761'599};
  file.workers.push_back({"node7", PublicKey{all(2)}});
  file.workers.push_back({"a \"b\" \xc3\xbc", PublicKey{all(3)}, {}, 0});
  return file;
}

KeyFile file_of_a_run() {
  KeyFile file{SecretKey(all(1))};
  file.workers.push_back({"any", SecretKey(all(4)).public_key(), SecretKey(all(4))});
  return file;
}

bool is_one_line(std::string_view text) { return !text.empty() && printable(text) == text; }

}  // namespace

// A file that is read is written and read as the same one; one that is refused says where.
void run_key_file(std::string_view input) {
  const auto parsed = parse_key_file(input);
  if (const auto* fault = std::get_if<KeyFileFault>(&parsed)) {
    CHECK(is_one_line(fault->problem) && fault->line <= input.size());
    return;
  }
  const std::string text = key_file_text(std::get<KeyFile>(parsed));
  const auto again = parse_key_file(text);
  CHECK(std::holds_alternative<KeyFile>(again) && key_file_text(std::get<KeyFile>(again)) == text);
}

void run_join_key(std::string_view input) {
  const auto parsed = parse_join_key(input);
  if (const auto* problem = std::get_if<std::string>(&parsed)) {
    CHECK(is_one_line(*problem));
    return;
  }
  // A key has one text: nothing but white space can stand around it.
  const std::string text = join_key_text(std::get<JoinKey>(parsed));
  CHECK(text.size() == kJoinKeyLetters && input.find(text) != std::string_view::npos);
}

std::vector<std::string> key_file_seeds() {
  return {key_file_text(pool()),
          key_file_text(file_of_a_run()),
          key_file_text(KeyFile{SecretKey(all(9))}),
          "",
          "{}\n",
          "{\"v\":2}\n"};
}

std::vector<std::string> join_key_seeds() {
  const std::string text = join_key_text({PublicKey{all(0xfb)}, SecretKey(all(0xef))});
  return {text, " " + text + "\r\n", "wp2-abc", "wp1-", ""};
}

}  // namespace workpool::fuzz

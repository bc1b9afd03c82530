// SPDX-License-Identifier: MIT
// The command of `each`, with placeholders, and the jobs lines that it makes (docs/reference.md, "each").
// Pure; may be used by several threads.
//
//   {}  {1}  {name}    all values of the job; the first; the one of that column
//   {.} {1/} {name//}  a part of it (value_parts.h)
//   {#}                the job's number, from 1
//   {{                 a `{`
//
// Anything else in braces is text: `${HOME}`, `{print $1}`, `{1..3}`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/each/shell_text.h"
#include "common/each/value_parts.h"
#include "common/formats/job_defaults.h"

namespace workpool {

// What the values of a job are called.
struct ValueNames {
  std::size_t count = 1;             // {1} to {count}
  std::vector<std::string> columns;  // by their place; empty for values that have only numbers
  bool one_source = true;            // the values of a job are a group from one source (-n)
};

// What a line says next to its command, the same in all jobs.
struct CommandSetting {
  JobDefaults defaults;
  std::uint32_t slots = 1;
  std::int32_t priority = 0;
  bool shell = false;  // the command is one string for a shell, and values are quoted for it
  // Paths for what jobs print: templates of values, into which {id}, {line} and {attempt} may go, too. Empty:
  // none.
  std::string output_path;
  std::string error_path;
  std::vector<std::string> limits{};  // keys: templates of values
};

// The values of one job.
struct JobValues {
  std::vector<std::string_view> values;  // at most ValueNames::count; a missing one is empty
  std::uint64_t number = 0;              // of the job, from 1
  std::optional<std::string_view> standard_input{};
};

class CommandTemplate {
 public:
  // `words`: the command as typed; not empty. Returns what is wrong with it, for people, if something is.
  // `takes_values`: without any placeholder the values become the last arguments.
  static std::variant<CommandTemplate, std::string> parse(const std::vector<std::string>& words,
                                                          const ValueNames& names,
                                                          const CommandSetting& setting, bool takes_values);

  // Appends the jobs line of these values, without a newline.
  void append_line(std::string& out, const JobValues& job) const;

 private:
  static constexpr std::size_t kAll = SIZE_MAX;         // {}
  static constexpr std::size_t kNumber = SIZE_MAX - 1;  // {#}
  static constexpr std::size_t kText = SIZE_MAX - 2;
  static constexpr std::size_t kForWorker = SIZE_MAX - 3;  // a placeholder that only the worker can replace
  struct Piece {
    std::size_t value = kText;  // the value's place, or one of the four above
    ValuePart part = ValuePart::kWhole;
    std::string text{};
    ShellPlace place{};  // if a shell reads it
  };
  using Word = std::vector<Piece>;

  std::optional<std::string> add_word(const std::string& word) {
    return add_pieces(word, words_.emplace_back());
  }
  std::optional<std::string> add_pieces(const std::string& word, Word& pieces);
  std::optional<std::string> read_path(std::string_view flag, std::string_view path, Word& pieces);
  std::optional<std::string> find_shell_places();
  // Reads the placeholder that starts at word[at]. Returns how many bytes it takes, 0 if none is there.
  std::size_t placeholder_at(std::string_view word, std::size_t at, Word& into, std::string& wrong) const;
  std::optional<std::size_t> value_named(std::string_view name) const;
  std::string known_placeholders() const;
  void append_array(std::string& out, const JobValues& job) const;
  void append_shell(std::string& out, const JobValues& job) const;
  // `quoted`: values as a shell needs them.
  void expand(std::string& out, const Word& word, const JobValues& job, bool quoted) const;
  void append_values(std::string& out, const JobValues& job) const;
  void append_limits(std::string& out, const JobValues& job) const;
  void append_path(std::string& out, std::string_view member, const Word& path, const JobValues& job) const;

  ValueNames names_;
  bool shell_ = false;
  std::vector<Word> words_;
  Word output_path_;
  Word error_path_;
  std::vector<Word> limits_;
  std::string setting_;  // the members that all lines share
};

}  // namespace workpool

// SPDX-License-Identifier: MIT
#include "dispatcher/cli_foreign_flags.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "common/base/text.h"

namespace workpool::dispatcher {

namespace {

struct Answer {
  std::string_view flag;
  std::string_view answer;
};
constexpr std::array kAnswers = {
    Answer{"-P", "-j N"},
    Answer{"--max-procs", "-j N"},
    Answer{"-N", "-n N"},
    Answer{"--max-replace-args", "-n N"},
    Answer{"-L", "-n N"},
    Answer{"-I", "{} is always the placeholder"},
    Answer{"-i", "{} is always the placeholder"},
    Answer{"-X", "-n N, with as many values as a command may take"},
    Answer{"-m", "-n N, with as many values as a command may take"},
    Answer{"-d", "--colsep, or --null"},
    Answer{"-C", "--colsep"},
    Answer{"--handler", "run, with a jobs file: the jobs of each are commands"},
    Answer{"--joblog", "-o FILE, and show FILE"},
    Answer{"--resume", "-o FILE: the same command continues"},
    Answer{"--resume-failed", "-o FILE --retry-failed"},
    Answer{"--results", "-o FILE, and show FILE --stdout"},
    Answer{"--link", ":::+ between the sources"},
    Answer{"--xapply", ":::+ between the sources"},
    Answer{"--halt", "--max-fails or --until-ok"},
    Answer{"--pipe", "--chunks N"},
    Answer{"-S", "--listen ADDRESS here, and a worker there"},
    Answer{"--sshlogin", "--listen ADDRESS here, and a worker there"},
    Answer{"--bar", "a terminal shows progress by itself; elsewhere --progress plain"},
    Answer{"--eta", "a terminal shows progress by itself; elsewhere --progress plain"},
    Answer{"-q", "leave it out: no shell reads the command without --shell"},
    Answer{"-r", "leave it out: nothing runs without values"},
    Answer{"-v", "--tag or --dry-run"},
    Answer{"-t", "--tag or --dry-run"},
    Answer{"--dryrun", "--dry-run"},
    Answer{"-u", "leave it out: output is printed when a job ends"},
    Answer{"--group", "leave it out: output is always grouped"},
};

const Flag* flag_named(const CommandTable& table, std::string_view name) {
  const auto found = std::find_if(table.flags.begin(), table.flags.end(),
                                  [&](const Flag& flag) { return flag.name == name; });
  return found == table.flags.end() ? nullptr : &*found;
}

// Whether this flag takes the next word as its value.
bool takes_next(const CommandTable& table, std::string_view word) {
  if (word.starts_with("--")) {
    const Flag* const flag = flag_named(table, word.substr(2));
    return flag != nullptr && !flag->value.empty();
  }
  for (std::size_t i = 1; i < word.size(); ++i) {
    const auto flag = std::find_if(table.flags.begin(), table.flags.end(),
                                   [&](const Flag& known) { return known.letter == word[i]; });
    if (flag == table.flags.end()) return false;
    if (!flag->value.empty()) return i + 1 == word.size();
  }
  return false;
}

}  // namespace

std::size_t flag_words(const CommandTable& table, const std::vector<std::string>& words) {
  std::size_t at = 0;
  while (at < words.size() && words[at].size() > 1 && words[at].front() == '-' && words[at] != "--")
    at += takes_next(table, words[at]) ? 2 : 1;
  return std::min(at, words.size());
}

std::string foreign_flag(const CommandTable& table, const std::vector<std::string>& words) {
  for (std::size_t at = 0; at < words.size(); at += takes_next(table, words[at]) ? 2 : 1) {
    const std::string_view word = words[at];
    const bool is_long = word.starts_with("--");
    const std::string_view name = is_long ? word.substr(0, word.find('=')) : word.substr(0, 2);
    // `--results` is ours, too.
    const bool is_known = is_long ? flag_named(table, name.substr(2)) != nullptr
                                  : std::any_of(table.flags.begin(), table.flags.end(),
                                                [&](const Flag& flag) { return flag.letter == name.back(); });
    if (is_known) continue;
    const auto found =
        std::find_if(kAnswers.begin(), kAnswers.end(), [&](const Answer& one) { return one.flag == name; });
    if (found == kAnswers.end()) continue;
    return "there is no " + printable(name, 80) + " here; instead: " + std::string(found->answer);
  }
  return "";
}

}  // namespace workpool::dispatcher

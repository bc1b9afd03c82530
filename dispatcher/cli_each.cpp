// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "common/base/outcome.h"
#include "common/base/text.h"
#include "dispatcher/cli_commands.h"
#include "dispatcher/cli_values.h"

namespace workpool::dispatcher {

namespace {

constexpr std::uint32_t kValuesPerJobMax = 100'000;
constexpr std::uint32_t kLinesPerChunkMax = 1'000'000;

constexpr const char* kEachEpilogue =
    R"(Placeholders: {} the value; {1} {2} by source or column; {NAME} by column; {#} the job's number. Each
with a part of a path before the }: {.} without its ending, {/} the name, {//} the folder, {/.} the
name without its ending. {{ is a {. A command without any gets the values as its last arguments.

Sources, after the command; several of them make every combination:
  ::: VALUE...      values          :::+ VALUE...     paired with the source before
  :::: FILE...      a line each     ::::+ FILE...     the same, paired
Without any: the lines of stdin.

Examples:
  workpool-dispatcher each gzip -9 {} ::: *.log
  find photos -name '*.jpg' -print0 | workpool-dispatcher each -0 vipsthumbnail {} -o thumbs/{/.}.jpg
  workpool-dispatcher each --csv params.csv -o sweep.jsonl ./simulate --rate {rate} --out out/{#}
  workpool-dispatcher each ./train --lr {1} --seed {2} ::: 0.1 0.01 ::: 1 2 3 4
  workpool-dispatcher each --shell 'zcat {} | wc -l' :::: files.txt

Exit codes: those of run.
)";

// What the flags say before it is put together.
struct Given {
  RunOptions options;
  EachOptions each;
  std::vector<std::string> files;  // -a
  std::string rows;                // --csv, --tsv, --jsonl
  bool nul = false;
  bool no_header = false;
  bool quiet = false;
  OutputOptions output;
};

Setter set_rows(Given& given, ValueFormat format) {
  return [&given, format](const std::string& value) -> std::string {
    if (value.empty()) return "is empty";
    if (!given.rows.empty() && given.each.format != format) return "is a second kind of rows: give one";
    given.each.format = format;
    given.rows = value;
    return "";
  };
}

Setter set_shell(CommandSetting& setting) {
  return [&setting](const std::string& value) -> std::string {
    setting.shell = value != "false";
    setting.shell_program = value == "true" || value == "false" ? "" : value;
    return "";
  };
}

Setter add_file(std::vector<std::string>& files) {
  return [&files](const std::string& value) -> std::string {
    if (value.empty()) return "is empty";
    files.push_back(value);
    return "";
  };
}

std::vector<Flag> value_flags(Given& given) {
  return {
      {"null", '0', "", "values end with NUL instead of a newline, as find -print0 writes them", "",
       set_switch(given.nul)},
      {"arg-file", 'a', "FILE", "values are the lines of FILE (:::: FILE); can be given several times", "",
       add_file(given.files), true},
      {"csv", 0, "FILE",
       "values are the rows of FILE (RFC 4180); the first row names the columns; - is stdin", "",
       set_rows(given, ValueFormat::kCsv)},
      {"tsv", 0, "FILE", "the same with tabs between the columns", "", set_rows(given, ValueFormat::kTsv)},
      {"jsonl", 0, "FILE", "values are the JSON objects of FILE, one a line; the first names the columns", "",
       set_rows(given, ValueFormat::kJsonLines)},
      {"no-header", 0, "", "the first row of --csv or --tsv is a row: its columns are {1}, {2} and so on", "",
       set_switch(given.no_header)},
      {"per-job", 'n', "N", "how many values each job takes; the last job takes what is left", "1",
       set_number(given.each.values_per_job, 1, kValuesPerJobMax)},
      {"chunks", 0, "N", "each job reads N lines of the input on its stdin", "",
       set_number(given.each.lines_per_chunk, 1, kLinesPerChunkMax)},
      {"shell", 0, "", "the command is one string for /bin/sh (--shell=bash: for bash); values are quoted",
       "", set_shell(given.each.setting)},
      {"dry-run", 0, "", "print the jobs as a jobs file and run nothing", "",
       set_switch(given.options.dry_run)},
      {"keep-order", 'k', "", "print what jobs write in the order of the values", "as jobs end",
       set_switch(given.output.keep_order)},
      {"tag", 0, "", "print the values and a tab before each line that a job writes", "",
       set_switch(given.output.tagged)},
      {"quiet", 0, "", "do not print what jobs write", "", set_switch(given.quiet)},
  };
}

CommandTable table_of(Given& given, const ProgramNames& names) {
  std::vector<Flag> flags = value_flags(given);
  for (Flag& flag : command_flags(given.each.setting)) flags.push_back(std::move(flag));
  flags = without_variables(std::move(flags));
  for (Flag& flag : run_flags(given.options)) {
    if (flag.name == "format") continue;
    if (flag.name == "results") {
      flag.help = "records the results here, one JSON line per job; the same command again continues";
      flag.initial = "not recorded";
    } else if (flag.name == "capture") {
      flag.initial = "256KiB";
    }
    flags.push_back(std::move(flag));
  }
  return {names.dispatcher + " each",
          "[flags] COMMAND [ARGUMENT...] [::: VALUE...]",
          "Runs a command once for each value, in parallel, and prints what each job writes when it ends. "
          "Flags come before the command. No shell sees the values, whatever they contain.",
          {},
          std::move(flags),
          with_names(kEachEpilogue, names)};
}

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

// How many words are flags with their values.
std::size_t flag_words(const CommandTable& table, const std::vector<std::string>& words) {
  std::size_t at = 0;
  while (at < words.size() && words[at].size() > 1 && words[at].front() == '-' && words[at] != "--")
    at += takes_next(table, words[at]) ? 2 : 1;
  return std::min(at, words.size());
}

bool is_source(const std::string& word) {
  return word == ":::" || word == "::::" || word == ":::+" || word == "::::+";
}

// Reads the sources that start at `at`; returns what is wrong, or "".
std::string read_sources(const std::vector<std::string>& words, std::size_t at, EachOptions& each) {
  while (at < words.size()) {
    const std::string& kind = words[at++];
    EachSource source;
    source.is_file = kind.starts_with("::::");
    source.linked = kind.back() == '+';
    if (source.linked && each.sources.empty())
      return kind + " is paired with the source before it, and there is none";
    const std::size_t first = at;
    while (at < words.size() && !is_source(words[at])) ++at;
    if (source.is_file && at == first) return kind + " needs the name of a file";
    for (std::size_t i = first; source.is_file && i < at; ++i) {
      source.path = words[i];
      each.sources.push_back(source);
    }
    if (source.is_file) continue;
    source.values.assign(words.begin() + static_cast<std::ptrdiff_t>(first),
                         words.begin() + static_cast<std::ptrdiff_t>(at));
    each.sources.push_back(std::move(source));
  }
  return "";
}

EachSource file_source(const std::string& path) {
  EachSource source;
  source.is_file = true;
  source.path = path;
  return source;
}

// Puts flags and words together; returns what is wrong, or "".
std::string settle(Given& given, const std::vector<std::string>& words) {
  EachOptions& each = given.each;
  const auto end = std::find_if(words.begin(), words.end(), is_source);
  each.command.assign(words.begin(), end);
  if (each.command.empty()) return "COMMAND is missing; to run each line of a file as a command: run FILE";
  for (const std::string& file : given.files) each.sources.push_back(file_source(file));
  if (std::string wrong = read_sources(words, static_cast<std::size_t>(end - words.begin()), each);
      !wrong.empty())
    return wrong;
  if (!given.rows.empty()) {
    if (!each.sources.empty()) return "--csv, --tsv and --jsonl go with no other source";
    if (given.nul) return "--null goes with values, not with rows";
    each.sources.push_back(file_source(given.rows));
    each.named_columns = !given.no_header || each.format == ValueFormat::kJsonLines;
  } else if (given.no_header) {
    return "--no-header needs --csv or --tsv";
  } else if (given.nul) {
    each.format = ValueFormat::kNul;
  }
  if (each.sources.empty()) each.sources.push_back(file_source("-"));
  if (std::count_if(each.sources.begin(), each.sources.end(),
                    [](const EachSource& source) { return source.path == "-"; }) > 1)
    return "stdin (-) can be only one of the sources";
  const bool one_source = each.sources.size() == 1 && given.rows.empty();
  if (each.values_per_job > 1 && !one_source) return "--per-job needs one source of single values";
  if (each.lines_per_chunk > 0 && !one_source) return "--chunks needs one source of lines";
  if (each.lines_per_chunk > 0 && each.values_per_job > 1) return "--chunks and --per-job: give one of them";
  return "";
}

}  // namespace

CommandTable describe_each(const ProgramNames& names) {
  Given none;
  return table_of(none, names);
}

CommandLine parse_each(const Invocation& invocation) {
  Given given;
  given.options.names = invocation.names;
  given.options.capture_bytes = kCaptureBytesMax;
  const CommandTable table = table_of(given, invocation.names);
  const std::size_t flags = flag_words(table, invocation.arguments);
  const auto command = invocation.arguments.begin() + static_cast<std::ptrdiff_t>(flags);
  const std::vector<std::string> flags_given(invocation.arguments.begin(), command);
  const Invocation flags_only{invocation.names, flags_given, invocation.environment, invocation.console};
  if (const auto code = read_command(table, flags_only)) return *code;
  std::vector<std::string> words(command, invocation.arguments.end());
  if (!words.empty() && words.front() == "--") words.erase(words.begin());
  RunOptions& options = given.options;
  std::string wrong = settle(given, words);
  options.jobs = "-";
  options.flag_words = flags;
  if (!given.quiet) options.output = given.output;
  options.each = std::move(given.each);
  if (options.results.empty()) options.results = "/dev/null";
  if (options.dry_run && wrong.empty()) return options;
  return finish_run(std::move(options), std::move(wrong), table, invocation);
}

}  // namespace workpool::dispatcher

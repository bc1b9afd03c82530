// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <utility>

#include "common/base/job.h"
#include "common/base/outcome.h"
#include "common/base/text.h"
#include "dispatcher/cli_commands.h"
#include "dispatcher/cli_foreign_flags.h"
#include "dispatcher/cli_values.h"

namespace workpool::dispatcher {

namespace {

constexpr std::uint32_t kValuesPerJobMax = 100'000;
constexpr std::uint32_t kLinesPerChunkMax = 1'000'000;
constexpr std::uint32_t kSlotsMost = 65'535;

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

Setter set_shell(Given& given) {
  return [&given](const std::string& value) -> std::string {
    given.options.defaults.shell.clear();
    if (set_switch(given.each.setting.shell)(value).empty()) return "";
    given.each.setting.shell = true;
    return set_shell_program(given.options.defaults)(value);
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
      {"colsep", 0, "TEXT", "TEXT separates columns in the lines of the values: {1}, {2} and so on", "",
       set_text(given.each.separator)},
      {"no-header", 0, "", "the first row of --csv or --tsv is a row: its columns are {1}, {2} and so on", "",
       set_switch(given.no_header)},
      {"per-job", 'n', "N", "how many values each job takes; the last job takes what is left", "1",
       set_number(given.each.values_per_job, 1, kValuesPerJobMax)},
      {"chunks", 0, "N", "each job reads N lines of the input on its stdin", "",
       set_number(given.each.lines_per_chunk, 1, kLinesPerChunkMax)},
      {"shell", 0, "", "the command is one string for /bin/sh (--shell=bash: for bash); values are quoted",
       "", set_shell(given)},
      {"dry-run", 0, "", "print the jobs as a jobs file and run nothing", "",
       set_switch(given.options.dry_run)},
      {"keep-order", 'k', "", "print what jobs write in the order of the values", "as jobs end",
       set_switch(given.output.keep_order)},
      {"tag", 0, "", "print the values and a tab before each line that a job writes", "",
       set_switch(given.output.tagged)},
      {"quiet", 0, "", "do not print what jobs write", "", set_switch(given.quiet)},
  };
}

// KEY may hold values: then each key that comes of it has the limit for itself.
Setter add_limit(CommandSetting& setting, JobDefaults& defaults) {
  return [&setting, &defaults](const std::string& value) -> std::string {
    std::string key;
    LimitRule rule;
    if (std::string wrong = read_limit(value, key, rule); !wrong.empty()) return wrong;
    if (key.find('*') != std::string::npos) return "has a * in its key: put a value there, such as host:{1}";
    if (setting.limits.size() == kLimitsMax) return "is one limit too many";
    setting.limits.push_back(key);
    const std::size_t first = key.find('{');
    const std::size_t last = key.rfind('}');
    if (first < last && last != std::string::npos) key.replace(first, last + 1 - first, "*");
    if (defaults.limits->has(key))
      return "has the key of another limit: let its text differ, such as host:{1}";
    defaults.limits->set(key, rule);
    return "";
  };
}

std::vector<Flag> requirement_flags(CommandSetting& setting, JobDefaults& defaults) {
  const Setter add_label = [&defaults](const std::string& value) -> std::string {
    if (value.empty() || value.size() > kLabelBytesMax || !is_utf8(value) || printable(value) != value)
      return "is no label: printable text of at most 64 bytes";
    if (!defaults.labels) defaults.labels.emplace();
    defaults.labels->push_back(value);
    return "";
  };
  const Setter set_priority = [&setting](const std::string& value) -> std::string {
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), setting.priority);
    return error == std::errc() && end == value.data() + value.size() ? ""
                                                                      : "is not a whole number of 32 bits";
  };
  return {
      {"slots", 0, "N", "how many slots of a worker each job takes", "1",
       set_number(setting.slots, 1, kSlotsMost)},
      {"label", 0, "NAME", "a label that a worker must have; can be given several times", "", add_label,
       true},
      {"limit", 0, "KEY=RULE",
       "what the jobs with this key may do together, over all workers: N at once, N/s starts, or N,N/s; KEY "
       "may hold values, such as host:{1}, and each key that comes of it has the limit for itself; can be "
       "given several times",
       "", add_limit(setting, defaults), true},
      {"priority", 0, "N", "of the jobs; higher first", "0", set_priority}};
}

CommandTable table_of(Given& given, const ProgramNames& names) {
  std::vector<Flag> flags = value_flags(given);
  for (Flag& flag : command_flags(given.options.defaults)) flags.push_back(std::move(flag));
  CommandSetting& setting = given.each.setting;
  for (Flag& flag : file_flags(set_text(setting.output_path), set_text(setting.error_path)))
    flags.push_back(std::move(flag));
  for (Flag& flag : requirement_flags(setting, given.options.defaults)) flags.push_back(std::move(flag));
  flags = without_variables(std::move(flags));
  for (Flag& flag : run_flags(given.options)) {
    // The jobs of each are commands.
    if (flag.name == "format" || flag.name == "handler" || flag.name == "handler-jobs") continue;
    if (flag.name == "results") {
      flag.help = "records the results here, one JSON line per job; the same command again continues";
      flag.initial = "not recorded";
    } else if (flag.name == "capture") {
      flag.initial = "16MiB";
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

// The first mistake of those who come from GNU parallel, whose command is always for a shell.
bool is_shell_text(const std::vector<std::string>& command) {
  return command.size() == 1 && command.front().find(' ') != std::string::npos &&
         command.front().find_first_of("|;<>&$(`") != std::string::npos;
}

// Puts flags and words together; returns what is wrong, or "".
std::string settle(Given& given, const std::vector<std::string>& words) {
  EachOptions& each = given.each;
  const auto end = std::find_if(words.begin(), words.end(), is_source);
  each.command.assign(words.begin(), end);
  if (each.command.empty())
    return "COMMAND is missing; to run the values themselves: each sh -c {} ::: …, or run FILE";
  const auto is_blank = [](const std::string& word) {
    return word.find_first_not_of(" \t\n") == std::string::npos;
  };
  if (each.command.front().empty() ||
      (each.setting.shell && std::all_of(each.command.begin(), each.command.end(), is_blank)))
    return "COMMAND is empty";
  if (!each.setting.shell && is_shell_text(each.command))
    return "COMMAND is one word, so it is the name of a program: add --shell to have a shell run it";
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
  if (!each.separator.empty()) {
    if (!given.rows.empty() || given.nul) return "--colsep goes with lines, not with rows or --null";
    each.format = ValueFormat::kSeparated;
    each.named_columns = false;
  }
  if (each.lines_per_chunk > 0) {
    if (given.nul || !each.separator.empty()) return "--chunks needs lines: leave out --null and --colsep";
    each.format = ValueFormat::kRawLines;
  }
  if (each.sources.empty()) each.sources.push_back(file_source("-"));
  if (std::count_if(each.sources.begin(), each.sources.end(),
                    [](const EachSource& source) { return source.path == "-"; }) > 1)
    return "stdin (-) can be only one of the sources";
  if (!each.separator.empty() && (each.sources.size() > 1 || !each.sources.front().is_file))
    return "--colsep needs one source of lines: a file or stdin";
  const bool one_source = each.sources.size() == 1 && given.rows.empty() && each.separator.empty();
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
  if (const std::string foreign = foreign_flag(table, flags_given); !foreign.empty()) {
    invocation.console.line(table.program + ": " + foreign + " (see --help)");
    return ExitCode::kUsage;
  }
  if (const auto code = read_command(table, flags_only)) return *code;
  std::vector<std::string> words(command, invocation.arguments.end());
  if (!words.empty() && words.front() == "--") words.erase(words.begin());
  RunOptions& options = given.options;
  std::string wrong = settle(given, words);
  options.jobs = "-";
  options.flag_words = flags;
  // Results on stdout leave no room there for what jobs write.
  if (!given.quiet && options.results != "-") options.output = given.output;
  // Each line says them itself.
  given.each.setting.defaults = options.defaults;
  options.defaults = JobDefaults{.limits = options.defaults.limits};
  options.each = std::move(given.each);
  if (options.results.empty()) options.results = "/dev/null";
  if (options.dry_run && wrong.empty()) return options;
  return finish_run(std::move(options), std::move(wrong), table, invocation);
}

}  // namespace workpool::dispatcher

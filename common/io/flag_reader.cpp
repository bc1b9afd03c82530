// SPDX-License-Identifier: MIT
#include "common/io/flag_reader.h"

#include <cstdio>
#include <cstdlib>

#include <CLI/CLI.hpp>

#include "common/base/manual.h"

namespace workpool {

namespace {

GivenFlags read_flags(const CommandTable& table, const std::vector<std::string>& arguments) {
  GivenFlags given;
  CLI::App app;
  app.set_help_flag();  // ours: CLI11 does not wrap
  app.allow_extras();   // so that an unknown flag gets a suggestion
  const CLI::callback_t keep = [](const CLI::results_t&) { return true; };
  const CLI::Option* help = app.add_flag("-h,--help");
  const CLI::Option* version = app.add_flag("--version");
  std::vector<const CLI::Option*> options;
  for (const Flag& flag : table.flags) {
    const std::string names =
        (flag.letter == 0 ? "" : std::string("-") + flag.letter + ",") + "--" + flag.name;
    options.push_back(flag.value.empty() ? app.add_flag(names)
                                         : app.add_option(names, keep)->expected(1)->take_all());
  }
  std::vector<const CLI::Option*> positionals;
  for (const Positional& positional : table.positionals) {
    // One that may be repeated is what remains.
    if (!positional.repeatable) positionals.push_back(app.add_option(positional.name, keep)->expected(1));
  }

  // CLI11 would take the next argument as the value of `--flag=`.
  for (const std::string& argument : arguments) {
    if (argument == "--") break;
    if (argument.size() > 3 && argument.rfind("--", 0) == 0 && argument.find('=') == argument.size() - 1) {
      given.error = argument.substr(0, argument.size() - 1) + ": the value is empty";
      return given;
    }
  }
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::ArgumentMismatch&) {
    // Only the last argument can mismatch: a flag without its value.
    given.error = (arguments.empty() ? std::string("a flag") : arguments.back()) + " needs a value";
  } catch (const CLI::ParseError& error) {
    given.error = error.what();
  }
  given.help = help->count() != 0;
  given.version = version->count() != 0;
  for (std::size_t i = 0; i < options.size(); ++i) {
    if (options[i]->count() != 0) given.values[table.flags[i].name] = options[i]->results();
  }
  for (const CLI::Option* positional : positionals) {
    if (positional->count() != 0) given.positionals.push_back(positional->results().front());
  }
  bool flags_over = false;
  for (const std::string& extra : app.remaining()) {
    const bool is_flag = !flags_over && extra.size() > 1 && extra.front() == '-';
    if (!flags_over && extra == "--") {
      flags_over = true;
      continue;
    }
    (is_flag ? given.unknown : given.positionals).push_back(extra);
  }
  return given;
}

}  // namespace

bool print_help(std::string_view text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
}

std::optional<ExitCode> run_table(const CommandTable& table, const std::vector<std::string>& arguments,
                                  const Environment& environment, Console& console) {
  // Not for people, so in no help.
  if (arguments.size() == 1 && arguments.front() == "--list-flags")
    return print_help(flag_list(table)) ? ExitCode::kOk : ExitCode::kResultsFailed;
  const GivenFlags given = read_flags(table, arguments);
  if (given.help || given.version) {
    const std::string text =
        given.help ? help_text(table) : std::string("workpool ") + WORKPOOL_VERSION + "\n";
    return print_help(text) ? ExitCode::kOk : ExitCode::kResultsFailed;
  }
  const std::string wrong = apply_flags(table, given, environment);
  if (wrong.empty()) return std::nullopt;
  console.line(table.program + ": " + wrong + " (see --help)");
  return ExitCode::kUsage;
}

const char* process_environment(const std::string& name) { return std::getenv(name.c_str()); }

}  // namespace workpool

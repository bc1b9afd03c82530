// SPDX-License-Identifier: MIT
#include "dispatcher/io/status/status.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "common/base/address.h"
#include "common/base/text.h"
#include "common/io/flag_reader.h"
#include "common/io/join_key_source.h"
#include "common/io/runs_here.h"
#include "dispatcher/io/results/results_path.h"
#include "dispatcher/io/status/results_status.h"
#include "dispatcher/io/status/status_client.h"
#include "dispatcher/io/terminal/status_json.h"
#include "dispatcher/io/terminal/status_line.h"

namespace workpool::dispatcher {
namespace {

constexpr std::chrono::seconds kWatchInterval{2};
const Address kUsualAddress{"127.0.0.1", 5555};

struct Answers {
  std::vector<std::string> runs;     // JSON
  std::vector<std::string> results;  // of runs on this machine that have been asked: where to look after them
  std::string problem;               // if there is none
};

Answers answers_of(StatusAnswer&& answer) {
  if (answer.json.empty()) return {{}, {}, std::move(answer.problem)};
  return {{std::move(answer.json)}, {}, ""};
}

Answers ask(const Address& address, bool all, const std::shared_ptr<const JoinKey>& key = nullptr) {
  StatusAnswer answer = ask_status(address, all, key);
  if (answer.json.empty()) answer.problem = "no dispatcher at " + address.text() + ": " + answer.problem;
  return answers_of(std::move(answer));
}

// A run of this machine. If its dispatcher does not answer, its files do.
void ask(const RunHere& run, bool all, Answers& found) {
  StatusAnswer answer = ask_status(run.address, all);
  if (answer.json.empty()) answer = status_of_results(run.results);
  if (!answer.json.empty()) {
    found.runs.push_back(std::move(answer.json));
    found.results.push_back(run.results);
  } else {
    found.problem = "the run of process " + std::to_string(run.pid) + " does not answer within 5 s";
  }
}

// `path`: of RESULTS, or of the jobs file of runs that go on here.
Answers answer_for(const std::string& path, bool all) {
  char resolved[PATH_MAX];
  const std::string real = ::realpath(path.c_str(), resolved) != nullptr ? resolved : path;
  StatusAnswer from_file;
  Answers found;
  std::string problem;
  for (const RunHere& run : runs_here(problem)) {
    bool is_it = run.results == real || run.jobs == real;
    // Its results may go there through a shell.
    if (!is_it && run.results == "-") {
      if (from_file.json.empty() && from_file.problem.empty()) from_file = status_of_results(path);
      is_it = from_file.json.find("\"run\":\"" + hex64(run.run.value) + "\"") != std::string::npos;
    }
    if (is_it) ask(run, all, found);
  }
  if (!found.runs.empty() || !found.problem.empty()) return found;
  found = answers_of(status_of_results(path));
  if (!found.runs.empty()) return found;
  // A jobs file whose results have the usual name.
  StatusAnswer usual = status_of_results(default_results(path));
  return usual.json.empty() ? found : answers_of(std::move(usual));
}

Answers answers_here(bool all) {
  Answers found;
  std::string problem;
  for (const RunHere& run : runs_here(problem)) ask(run, all, found);
  if (!found.runs.empty() || !found.problem.empty()) return found;
  found = ask(kUsualAddress, all);
  if (!found.runs.empty()) return found;
  found.problem = problem.empty() ? "no run of yours goes on here, and " + found.problem
                                  : "it is not known which runs go on here: " + problem;
  return found;
}

Answers look(const StatusOptions& options) {
  if (options.address) return ask(*options.address, options.all, options.key);
  return options.path.empty() ? answers_here(options.all) : answer_for(options.path, options.all);
}

// Of runs that were there and are gone: what their files say.
Answers look_after(const std::vector<std::string>& results) {
  Answers found;
  for (const std::string& path : results) {
    StatusAnswer answer = status_of_results(path);
    if (!answer.json.empty()) found.runs.push_back(std::move(answer.json));
  }
  return found;
}

std::string text_of(const Answers& answers, const StatusOptions& options) {
  std::string text;
  const bool rows = answers.runs.size() > 1;
  if (rows && !options.json) text = status_row_head();
  for (const std::string& json : answers.runs) {
    const auto worded = options.json ? std::nullopt : rows ? status_row(json) : status_text(json);
    text += worded.value_or(json + "\n");
  }
  return text;
}

// As much as fits the window, from its top left corner on.
std::string screen_of(std::string_view text) {
  winsize size{};
  const bool known = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 1 && size.ws_col > 0;
  const std::size_t rows = known ? size.ws_row - 1 : 23;
  const std::size_t columns = known ? size.ws_col : 80;
  std::string screen = "\x1b[H";
  for (std::size_t row = 0; row < rows && !text.empty(); ++row) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    screen += fit(std::string(text.substr(0, end)), columns) + "\x1b[K\n";
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return screen + "\x1b[J";
}

bool redraws_stdout() {
  const char* const terminal = std::getenv("TERM");
  const std::string_view name = terminal != nullptr ? terminal : "";
  return ::isatty(STDOUT_FILENO) == 1 && !name.empty() && name != "dumb";
}

// Until the run is over, nothing answers any more, or a signal ends the program.
ExitCode watch(const StatusOptions& options, Console& console) {
  const bool redraws = redraws_stdout() && !options.json;
  bool any = false;
  if (redraws && !print_answer("\x1b[2J", console)) return ExitCode::kResultsFailed;
  std::vector<std::string> seen;
  for (;;) {
    Answers answers = look(options);
    const bool gone = answers.runs.empty();
    const std::string problem = answers.problem;
    if (gone) answers = look_after(seen);
    if (answers.runs.empty()) {
      console.line("workpool-dispatcher: " + (any ? "the run is gone: " + problem : problem));
      return any ? ExitCode::kOk : ExitCode::kNotAllOk;
    }
    if (!answers.results.empty()) seen = answers.results;
    const std::string text = text_of(answers, options);
    const std::string gap = any && !options.json ? "\n" : "";
    if (!print_answer(redraws ? screen_of(text) : gap + text, console)) return ExitCode::kResultsFailed;
    any = true;
    if (gone || std::all_of(answers.runs.begin(), answers.runs.end(), says_over)) return ExitCode::kOk;
    std::this_thread::sleep_for(kWatchInterval);
  }
}

}  // namespace

ExitCode status(const StatusOptions& given, Console& console) {
  StatusOptions options = given;
  FoundJoinKey found = find_join_key(options.key_file, process_environment);
  if (const auto* fault = std::get_if<JoinKeyFault>(&found)) {
    console.line("workpool-dispatcher: " + fault->message);
    return fault->code;
  }
  if (auto* key = std::get_if<JoinKey>(&found))
    options.key = std::make_shared<const JoinKey>(std::move(*key));
  if (options.watch) return watch(options, console);
  const Answers answers = look(options);
  if (answers.runs.empty()) {
    console.line("workpool-dispatcher: " + answers.problem);
    return ExitCode::kNotAllOk;
  }
  return print_answer(text_of(answers, options), console) ? ExitCode::kOk : ExitCode::kResultsFailed;
}

}  // namespace workpool::dispatcher

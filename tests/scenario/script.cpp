// SPDX-License-Identifier: MIT
#include "tests/scenario/script.h"

#include <functional>
#include <map>
#include <sstream>
#include <utility>

#include "common/base/units.h"
#include "tests/scenario/stage.h"

namespace workpool::scenario {
namespace {

using Words = std::vector<std::string>;

Words words_of(const std::string& line) {
  std::istringstream stream(line);
  Words words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

class Player {
 public:
  Player() {
    stage_.options.worker_timeout = seconds(10);
    know_setup();
    know_faults();
  }

  Played play(const std::string& text) {
    std::istringstream stream(text);
    int number = 0;
    for (std::string line; std::getline(stream, line);) {
      ++number;
      if (line.starts_with("  ")) continue;  // what happened last time
      played_.lines.push_back(line);
      const Words words = words_of(line);
      if (words.empty() || words[0] == "#") continue;
      line_ = std::to_string(number) + ": " + line;
      command(words);
      for (const std::string& happened : std::exchange(stage_.transcript, {}))
        played_.lines.push_back("  " + happened);
      if (const std::string wrong = stage_.check(); !wrong.empty()) fault(wrong);
    }
    return std::move(played_);
  }

 private:
  void fault(const std::string& what) { played_.faults.push_back(line_ + ": " + what); }

  // The values of name=value words; a word without is named "".
  static std::map<std::string, std::string> named(const Words& words, std::size_t from) {
    std::map<std::string, std::string> values;
    for (std::size_t i = from; i < words.size(); ++i) {
      const std::size_t equals = words[i].find('=');
      if (equals != std::string::npos) values[words[i].substr(0, equals)] = words[i].substr(equals + 1);
    }
    return values;
  }
  Duration duration(const std::string& text) {
    if (const auto value = parse_duration(text)) return *value;
    fault("no duration: " + text);
    return Duration{0};
  }

  void command(const Words& words) {
    const std::string& name = words[0];
    if (name == "expect") {
      if (!holds(words)) fault("does not hold");
      return;
    }
    const auto found = commands_.find(name);
    if (found == commands_.end() || words.size() <= found->second.arguments) return fault("not understood");
    found->second.run(words);
    if (found->second.settles) stage_.settle();
  }

  bool holds(const Words& words) {
    const std::size_t n = words.size();
    if (n == 4 && words[1] == "recorded") return stage_.recorded(words[2]) == words[3];
    if (n == 4 && words[1] == "nothing") return stage_.recorded(words[3]).empty();
    if (n == 4 && words[1] == "begun") return stage_.begun(words[2]) == std::stoul(words[3]);
    if (n == 3 && words[1] == "finished") return stage_.finished() == std::stoi(words[2]);
    if (n == 2 && words[1] == "running") return !stage_.finished();
    if (n == 3 && words[1] == "held") return stage_.snapshot().held == std::stoul(words[2]);
    if (n == 4 && words[2] == "runs") return stage_.runs(words[1], words[3]);
    if (n == 4 && words[2] == "idle") return !stage_.runs(words[1], words[3]);
    std::string state;
    for (std::size_t i = 2; i < n; ++i) state += (i > 2 ? " " : "") + words[i];
    return n > 2 && stage_.state_of(words[1]) == state;
  }

  void option(const Words& words) {
    auto values = named(words, 1);
    auto& options = stage_.options;
    if (values.contains("worker_timeout")) options.worker_timeout = duration(values["worker_timeout"]);
    if (values.contains("unsatisfiable_after"))
      options.unsatisfiable_after = duration(values["unsatisfiable_after"]);
    if (values.contains("grace")) options.grace = duration(values["grace"]);
    if (values.contains("crash_limit"))
      options.crash_limit = static_cast<std::uint32_t>(std::stoul(values["crash_limit"]));
    if (values.contains("listening")) options.listening = values["listening"] == "yes";
    const auto number = [&values](const char* name) -> std::optional<std::uint32_t> {
      if (!values.contains(name)) return std::nullopt;
      return static_cast<std::uint32_t>(std::stoul(values[name]));
    };
    if (values.contains("max_fails")) options.stop.not_ok = number("max_fails");
    if (values.contains("max_fails_percent")) options.stop.not_ok_percent = number("max_fails_percent");
    if (values.contains("until_ok")) options.stop.ok = number("until_ok");
    if (values.contains("streaming")) options.streaming = values["streaming"] == "yes";
  }

  void job(const Words& words) {
    auto values = named(words, 2);
    JobSetup job;
    job.name = words[1];
    if (values.contains("priority")) job.priority = std::stoi(values["priority"]);
    if (values.contains("retries")) job.retries = static_cast<std::uint32_t>(std::stoul(values["retries"]));
    if (values.contains("timeout")) job.timeout = duration(values["timeout"]);
    if (values.contains("slots"))
      job.requirement.slots = static_cast<std::uint32_t>(std::stoul(values["slots"]));
    if (values.contains("label")) job.requirement.labels = {values["label"]};
    if (values.contains("type")) job.requirement.type = values["type"];
    job.by_shell = values.contains("shell");
    stage_.jobs.push_back(std::move(job));
  }

  void input(const std::string& what) {
    if (what == "changed") return stage_.tell(dispatcher::JobsFileChanged{1});
    if (what == "broken") return stage_.tell(dispatcher::InputBroken{});
    if (what == "ended") return stage_.tell(dispatcher::InputEnded{});
    fault("not understood");
  }

  void worker(const Words& words) {
    auto values = named(words, 2);
    worker::SessionOptions options;
    options.name = values.contains("name") ? values["name"] : words[1];
    if (values.contains("slots")) options.slots = static_cast<std::uint32_t>(std::stoul(values["slots"]));
    if (values.contains("label")) options.labels = {values["label"]};
    if (values.contains("type")) options.handlers = {values["type"]};
    if (values.contains("grace")) options.grace = duration(values["grace"]);
    if (values.contains("orphan_grace")) options.orphan_grace = duration(values["orphan_grace"]);
    stage_.add_worker(words[1], options,
                      values["lane"] == "late"   ? "lane"
                      : values["sink"] == "late" ? "sink"
                                                 : "");
  }

  void end(const Words& words) {
    const std::string& how = words[3];
    const Status status = how == "ok"                              ? Status::kOk
                          : how == "timeout" || how == "lost-slot" ? Status::kTimeout
                                                                   : Status::kFailed;
    const worker::AttemptEnd end =
        how == "by-signal" ? worker::AttemptEnd::kDoubtful : worker::AttemptEnd::kOutcome;
    Outcome outcome;
    outcome.status = status;
    outcome.kind = how == "no-program"          ? ErrorKind::kSpawn
                   : status == Status::kOk      ? ErrorKind::kNone
                   : status == Status::kTimeout ? ErrorKind::kTimeout
                                                : ErrorKind::kExit;
    if (how.starts_with("exit-")) outcome.command.emplace().exit = std::stoi(how.substr(5));
    if (!stage_.end_run(words[1], words[2], end, outcome, how == "lost-slot")) fault("it does not run there");
  }

  void know_setup() {
    commands_["option"] = {1, false, [this](const Words& w) { option(w); }};
    commands_["job"] = {1, false, [this](const Words& w) { job(w); }};
    commands_["worker"] = {1, true, [this](const Words& w) { worker(w); }};
    commands_["dispatcher"] = {1, true, [this](const Words& w) {
                                 w[1] == "crash" ? stage_.crash_dispatcher() : stage_.start_dispatcher();
                               }};
    commands_["input"] = {1, true, [this](const Words& w) { input(w[1]); }};
    commands_["local"] = {1, true, [this](const Words& w) {
                            if (w[1] != "fails") return fault("not understood");
                            stage_.tell(dispatcher::LocalWorkerFailed{});
                          }};
    commands_["advance"] = {1, false, [this](const Words& w) { stage_.advance(duration(w[1])); }};
    commands_["signal"] = {
        1, true, [this](const Words& w) {
          stage_.tell(dispatcher::StopRequested{w[1] == "int"    ? dispatcher::StopKind::kInterrupt
                                                : w[1] == "term" ? dispatcher::StopKind::kTerminate
                                                                 : dispatcher::StopKind::kHangup});
        }};
    commands_["end"] = {3, true, [this](const Words& w) { end(w); }};
    commands_["returns"] = {2, true, [this](const Words& w) {
                              if (!stage_.end_run(w[1], w[2], worker::AttemptEnd::kStopped, {}, false))
                                fault("it does not run there");
                            }};
  }

  void know_faults() {
    commands_["pause"] = {1, true, [this](const Words& w) { stage_.pause(w[1], true); }};
    commands_["resume"] = {1, true, [this](const Words& w) { stage_.pause(w[1], false); }};
    commands_["hold"] = {2, true, [this](const Words& w) { stage_.hold(w[1], w[2], true); }};
    commands_["release"] = {2, true, [this](const Words& w) { stage_.hold(w[1], w[2], false); }};
    commands_["lose"] = {2, true, [this](const Words& w) { stage_.lose(w[1], w[2]); }};
    commands_["part"] = {2, true, [this](const Words& w) { stage_.part(w[1], w[2]); }};
    commands_["cut"] = {2, true, [this](const Words& w) { stage_.cut(w[1], w[2]); }};
    commands_["connect"] = {1, true, [this](const Words& w) { stage_.connect_late(w[1]); }};
    commands_["die"] = {1, true, [this](const Words& w) { stage_.die(w[1]); }};
    commands_["engine"] = {1, true, [this](const Words& w) { stage_.start_engine(w[1]); }};
    commands_["vanish"] = {1, true, [this](const Words& w) { stage_.vanish(w[1]); }};
    commands_["stop"] = {1, true, [this](const Words& w) { stage_.stop_worker(w[1]); }};
  }

  struct Command {
    std::size_t arguments = 0;  // at least
    bool settles = true;
    std::function<void(const Words&)> run;
  };

  Stage stage_;
  std::map<std::string, Command> commands_;
  Played played_;
  std::string line_;
};

}  // namespace

Played play(const std::string& text) { return Player().play(text); }

}  // namespace workpool::scenario

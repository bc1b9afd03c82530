// SPDX-License-Identifier: MIT
#include "dispatcher/io/show/show.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>

#include "common/base/text.h"
#include "common/io/cores.h"
#include "dispatcher/io/results/state_file.h"
#include "dispatcher/io/show/contents.h"
#include "dispatcher/io/show/counting_lines.h"
#include "dispatcher/io/show/csv.h"
#include "dispatcher/io/show/file_parts.h"
#include "dispatcher/io/show/job_commands.h"
#include "dispatcher/io/show/line_walk.h"
#include "dispatcher/io/show/rows.h"
#include "dispatcher/io/show/stats.h"

namespace workpool::dispatcher {
namespace {

const std::string kSpeaker = "workpool-dispatcher: ";
constexpr std::size_t kThreadsMost = 8;        // more would wait for the one that writes
constexpr std::size_t kLinesPerThread = 2000;  // a thread costs as much as some hundred lines

// Thrown to end the command with this code, after all messages have been printed.
struct Ended {
  ExitCode code = ExitCode::kOk;
};

// stdout, in the order of the calls.
class Output {
 public:
  explicit Output(Console& console) : console_(console) {}

  // Returns false if nobody reads any more. Throws Ended if writing fails otherwise.
  bool write(std::string_view text) {
    while (!text.empty()) {
      const ssize_t count = ::write(STDOUT_FILENO, text.data(), text.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0 && errno == EPIPE) return false;
      if (count <= 0) {
        console_.line(kSpeaker + "cannot write to stdout: " + std::strerror(errno));
        throw Ended{ExitCode::kResultsFailed};
      }
      text.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
  }

 private:
  Console& console_;
};

std::optional<std::size_t> columns_of_stdout() {
  if (::isatty(STDOUT_FILENO) != 1) return std::nullopt;
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

std::vector<Status> wanted_statuses(const ShowOptions& options) {
  std::vector<Status> statuses = options.statuses;
  if (options.failed) {
    for (const Status status : {Status::kFailed, Status::kTimeout, Status::kQuarantined, Status::kInvalid})
      statuses.push_back(status);
  }
  return statuses;
}

class Show {
 public:
  Show(const ShowOptions& options, Console& console)
      : options_(options), console_(console), output_(console) {}

  ExitCode go() {
    auto opened = open_to_read(options_.results);
    if (const auto* why = std::get_if<std::string>(&opened))
      return refuse("cannot read the results file " + shown_path() + ": " + *why);
    results_ = std::move(std::get<Descriptor>(opened));
    open_jobs();
    Selection selection(options_.wanted, wanted_statuses(options_));
    counting_ = read_counting_lines(results_.get(), jobs_ ? &jobs_->index() : nullptr, selection);
    const ReplaySummary& read = counting_.results;
    if (read.lines == 0 && read.damaged > 0) {
      return refuse(shown_path() + " is no results file: none of its " + counted(read.damaged, "line") +
                    " is a result. Give the file of `run -o`");
    }
    print();
    say_what_is_missing();
    const std::vector<std::string> unmatched = selection.unmatched();
    for (const std::string& text : unmatched)
      console_.line(kSpeaker + shown_path() + " has no result of '" + printable(text, 200) + "'");
    return unmatched.empty() && files_.missing().empty() ? ExitCode::kOk : ExitCode::kNotAllOk;
  }

 private:
  std::string shown_path() const { return printable(options_.results); }

  ExitCode refuse(const std::string& why) {
    console_.line(kSpeaker + why);
    return ExitCode::kNotAllOk;
  }

  void open_jobs() {
    if (options_.no_jobs) return;
    const std::string path = state_head_of(options_.results).jobs;
    if (path.empty() || path == "-") return;
    auto opened = JobsAtHand::open(path, options_.format, options_.defaults);
    if (auto* jobs = std::get_if<std::unique_ptr<JobsAtHand>>(&opened)) {
      jobs_ = std::move(*jobs);
    } else if (shows_commands()) {
      console_.line(kSpeaker + "commands are left out: " + std::get<std::string>(opened));
    }
  }

  bool shows_commands() const {
    return options_.csv || !(options_.json || options_.stats || options_.shows_content());
  }

  // Visits all lines with a visitor of this type on each thread.
  template <class Visitor, class... Arguments>
  Visitors walk(const TextSink& sink, const Arguments&... arguments) {
    const std::size_t threads =
        std::min<std::size_t>({usable_cores(), kThreadsMost, counting_.lines.size() / kLinesPerThread + 1});
    Visitors visitors;
    for (std::size_t i = 0; i < threads; ++i) visitors.push_back(std::make_unique<Visitor>(arguments...));
    lost_ = walk_lines(results_.get(), counting_.lines, visitors, sink,
                       [this, &sink](const FilePart& part) { return files_.show(part, sink); });
    return visitors;
  }

  void print() {
    const TextSink sink = [this](std::string_view text) { return output_.write(text); };
    if (options_.stats) {
      print_stats();
    } else if (options_.json) {
      walk<JsonVisitor>(sink);
    } else if (options_.csv) {
      print_csv(sink);
    } else if (options_.shows_content()) {
      say_what_was_cut<ContentVisitor>(walk<ContentVisitor>(sink, options_));
    } else {
      print_rows(sink);
    }
  }

  void print_rows(const TextSink& sink) {
    std::optional<RowLayout> layout;
    if (const auto columns = columns_of_stdout()) {
      layout.emplace();
      layout->columns = *columns;
      for (const auto& visitor : walk<WidthVisitor>(nullptr))
        layout->widths.widen(dynamic_cast<const WidthVisitor&>(*visitor).widths());
      if (!counting_.lines.empty() && !sink(header_of(*layout))) return;
    }
    walk<RowVisitor>(sink, layout, jobs_.get());
  }

  void print_csv(const TextSink& sink) {
    InputNames names;
    for (const auto& visitor : walk<InputNamesVisitor>(nullptr))
      names.add(dynamic_cast<const InputNamesVisitor&>(*visitor).names());
    const std::vector<std::string> inputs = names.in_order();
    if (sink(csv_header(options_, inputs)))
      say_what_was_cut<CsvVisitor>(walk<CsvVisitor>(sink, options_, inputs, jobs_.get()));
  }

  template <class Visitor>
  void say_what_was_cut(const Visitors& visitors) {
    CutOutput cut;
    for (const auto& visitor : visitors) cut.add(dynamic_cast<const Visitor&>(*visitor).cut());
    if (const std::string text = cut.text(); !text.empty()) console_.line(kSpeaker + text);
  }

  void print_stats() {
    Stats stats;
    for (const auto& visitor : walk<StatsVisitor>(nullptr))
      stats.add(dynamic_cast<const StatsVisitor&>(*visitor).stats());
    output_.write(stats.text());
  }

  // What a reader of the answer has to know of RESULTS.
  void say_what_is_missing() {
    const ReplaySummary& read = counting_.results;
    if (read.damaged > 0) {
      console_.line(kSpeaker + shown_path() + ": " + counted(read.damaged, "line") +
                    " left out as damaged, the first is line " + std::to_string(read.damaged_lines.front()) +
                    "; the same `run` again runs their jobs again");
    }
    for (const std::string& line : files_.missing()) console_.line(kSpeaker + line);
    if (lost_ > 0)
      console_.line(kSpeaker + shown_path() + " was changed while it was read: " + counted(lost_, "result") +
                    " left out; show it again");
  }

  const ShowOptions& options_;
  Console& console_;
  Output output_;
  FileParts files_;
  Descriptor results_;
  std::unique_ptr<JobsAtHand> jobs_;  // null if the jobs file is not at hand
  CountingLines counting_;
  std::uint64_t lost_ = 0;
};

}  // namespace

ExitCode show(const ShowOptions& options, Console& console) {
  try {
    return Show(options, console).go();
  } catch (const Ended& ended) {
    return ended.code;
  } catch (const StoreError& error) {
    console.line(kSpeaker + error.message);
    return ExitCode::kNotAllOk;
  }
}

}  // namespace workpool::dispatcher

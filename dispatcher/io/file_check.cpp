// SPDX-License-Identifier: MIT
#include "dispatcher/io/file_check.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "common/base/text.h"
#include "common/io/cores.h"
#include "dispatcher/io/show/counting_lines.h"
#include "dispatcher/io/show/file_parts.h"
#include "dispatcher/io/show/line_walk.h"

namespace workpool::dispatcher {
namespace {

constexpr std::size_t kThreadsMost = 8;

class FileVisitor final : public LineVisitor {
 public:
  bool wants(std::string_view text) const override {
    return text.find("\":{\"file\":") != std::string_view::npos;
  }
  void take(const CountingLine& line, std::string_view /*text*/, const ResultView& view,
            std::string& /*out*/) override {
    if (line.job == kNoJob) return;  // it does not count
    const auto output = output_file_of(view);
    const auto errors = error_file_of(view);
    if (output) check("stdout", *output, line, view);
    if (errors && !(output && output->path == errors->path)) check("stderr", *errors, line, view);
  }

  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  // By line of the job.
  std::vector<std::pair<std::uint64_t, std::string>> bad;

 private:
  void check(const char* stream, const ResultFile& file, const CountingLine& line, const ResultView& view) {
    ++files;
    bytes += file.bytes;
    const std::string why = file_fault(file);
    if (why.empty()) return;
    bad.emplace_back(line.line, std::string(stream) + " of line " + std::to_string(line.line) + " in " +
                                    printable(file.path, 1000) + " (worker " +
                                    printable(text_in(view.worker), 100) + "): " + why);
  }
};

}  // namespace

FileReport check_files(const JobIndex& index, int results_fd) {
  Selection all({}, {});
  const CountingLines counting = read_counting_lines(results_fd, &index, all);
  Visitors visitors;
  const std::size_t threads = std::min<std::size_t>(usable_cores(), kThreadsMost);
  for (std::size_t i = 0; i < threads; ++i) visitors.push_back(std::make_unique<FileVisitor>());
  walk_lines(results_fd, counting.lines, visitors, [](std::string_view) { return true; });
  FileReport report;
  std::vector<std::pair<std::uint64_t, std::string>> bad;
  for (const auto& visitor : visitors) {
    const auto& found = dynamic_cast<const FileVisitor&>(*visitor);
    report.files += found.files;
    report.bytes += found.bytes;
    bad.insert(bad.end(), found.bad.begin(), found.bad.end());
  }
  report.bad = bad.size();
  std::sort(bad.begin(), bad.end());
  for (std::size_t i = 0; i < std::min(bad.size(), FileReport::kListed); ++i)
    report.bad_first.push_back(std::move(bad[i].second));
  return report;
}

std::string format_files(const FileReport& report) {
  std::string text = "  files: " + std::to_string(report.files - report.bad) + " of " +
                     std::to_string(report.files) + " as their results say, " +
                     counted(report.bytes, "byte") + " in all\n";
  for (const std::string& line : report.bad_first) text += "  bad file: " + line + "\n";
  if (report.bad > report.bad_first.size())
    text += "  bad files: " + std::to_string(report.bad - report.bad_first.size()) + " more\n";
  return text;
}

}  // namespace workpool::dispatcher

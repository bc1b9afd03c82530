// SPDX-License-Identifier: MIT
#include "dispatcher/io/show/stats.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "dispatcher/io/show/result_fields.h"
#include "dispatcher/io/terminal/status_line.h"

namespace workpool::dispatcher {
namespace {

using Cells = std::vector<std::string>;

// The time of the job on this place of those sorted by time: of `share` of them, rounded up.
std::string percentile(std::vector<Duration>& times, double share) {
  if (times.empty()) return "";
  const auto count = static_cast<double>(times.size());
  auto place = static_cast<std::size_t>(count * share);
  if (static_cast<double>(place) == count * share && place > 0) --place;
  const auto at = times.begin() + static_cast<std::ptrdiff_t>(std::min(place, times.size() - 1));
  std::nth_element(times.begin(), at, times.end());
  return run_time_text(*at);
}

std::string memory_text(std::uint64_t kib) {
  if (kib < 1024) return fmt::format("{}KiB", kib);
  const double mib = static_cast<double>(kib) / 1024;
  return mib < 1024 ? fmt::format("{:.1f}MiB", mib) : fmt::format("{:.1f}GiB", mib / 1024);
}

// What the tables have in common; a table leaves out a column that no row has anything in.
constexpr std::array<std::string_view, 7> kHeadings = {"JOBS",    "NOT OK",   "MEDIAN",     "P95",
                                                       "LONGEST", "CPU TIME", "MOST MEMORY"};

Cells cells_of(std::string name, Figures& figures, bool with_not_ok) {
  std::vector<Duration>& times = figures.run_times;
  return {std::move(name),
          std::to_string(figures.jobs),
          with_not_ok ? std::to_string(figures.not_ok) : "",
          percentile(times, 0.5),
          percentile(times, 0.95),
          times.empty() ? "" : run_time_text(*std::max_element(times.begin(), times.end())),
          figures.has_cpu ? run_time_text(figures.cpu) : "",
          figures.has_memory ? memory_text(figures.memory_kib) : ""};
}

// The first column to the left, numbers to the right.
std::string table_of(std::string_view first_heading, const std::vector<Cells>& rows) {
  Cells headings = {std::string(first_heading)};
  headings.insert(headings.end(), kHeadings.begin(), kHeadings.end());
  std::vector<std::size_t> widths(headings.size());
  for (std::size_t i = 0; i < widths.size(); ++i) {
    for (const Cells& row : rows) widths[i] = std::max(widths[i], letters_in(row[i]));
    if (widths[i] > 0) widths[i] = std::max(widths[i], headings[i].size());
  }
  std::string text;
  const auto append = [&text, &widths](const Cells& row) {
    std::string line;
    for (std::size_t i = 0; i < widths.size(); ++i) {
      if (widths[i] == 0) continue;
      const std::string padding(widths[i] - letters_in(row[i]), ' ');
      line += i == 0 ? row[i] + padding : "  " + padding + row[i];
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + '\n';
  };
  append(headings);
  for (const Cells& row : rows) append(row);
  return text;
}

void take_result(Figures& figures, const CountingLine& line, const ResultView& view) {
  ++figures.jobs;
  if (line.status != Status::kOk) ++figures.not_ok;
  if (const auto ran = duration_in(view.run_ms)) figures.run_times.push_back(*ran);
  if (const auto cpu = duration_in(view.cpu_ms)) {
    figures.has_cpu = true;
    figures.cpu += *cpu;
  }
  if (const auto memory = number_in(view.max_rss_kib); memory && *memory >= 0) {
    figures.has_memory = true;
    figures.memory_kib = std::max(figures.memory_kib, static_cast<std::uint64_t>(*memory));
  }
}

}  // namespace

void Figures::add(const Figures& other) {
  jobs += other.jobs;
  not_ok += other.not_ok;
  run_times.insert(run_times.end(), other.run_times.begin(), other.run_times.end());
  has_cpu |= other.has_cpu;
  cpu += other.cpu;
  has_memory |= other.has_memory;
  memory_kib = std::max(memory_kib, other.memory_kib);
}

void Stats::add(const Stats& other) {
  for (std::size_t i = 0; i < by_status.size(); ++i) by_status[i].add(other.by_status[i]);
  for (const auto& [worker, figures] : other.by_worker) by_worker[worker].add(figures);
}

std::string Stats::text() {
  std::vector<Cells> statuses;
  Figures all;
  for (std::size_t i = 0; i < by_status.size(); ++i) {
    if (by_status[i].jobs == 0) continue;
    all.add(by_status[i]);
    statuses.push_back(cells_of(name_of(static_cast<Status>(i)), by_status[i], false));
  }
  if (statuses.size() != 1) statuses.push_back(cells_of("all", all, false));
  std::string text = table_of("STATUS", statuses);
  std::vector<Cells> workers;
  for (auto& [worker, figures] : by_worker) workers.push_back(cells_of(shown_whole(worker), figures, true));
  if (!workers.empty()) text += '\n' + table_of("WORKER", workers);
  return text;
}

void StatsVisitor::take(const CountingLine& line, std::string_view /*text*/, const ResultView& view,
                        std::string& /*out*/) {
  take_result(stats_.by_status[static_cast<std::size_t>(line.status)], line, view);
  const std::string worker = text_in(view.worker);
  if (!worker.empty()) take_result(stats_.by_worker[worker], line, view);
}

}  // namespace workpool::dispatcher

// SPDX-License-Identifier: MIT
#include "dispatcher/io/terminal/status_json.h"

#include <fmt/format.h>

#include <cstdlib>

#include "common/base/text.h"
#include "common/formats/json_scalars.h"
#include "dispatcher/io/terminal/status_line.h"

namespace workpool::dispatcher {

namespace {

void append_text(std::string& out, std::string_view name, std::string_view value) {
  out += ",\"";
  out += name;
  out += "\":";
  // Paths and names may be any bytes; JSON may not.
  append_json_string(out, is_utf8(value) ? value : std::string_view(printable(value)));
}

std::string counts_json(const Snapshot& s) {
  return fmt::format(
      R"({{"total":{},"total_known":{},"before":{},"done":{},"ok":{},"failed":{},"timeout":{},"quarantined":{},)"
      R"("invalid":{},"running":{},"held":{},"delayed":{},"retried":{},"redelivered":{},"duplicates":{}}})",
      s.total, s.total_known, s.before, s.done(), s.ok, s.failed, s.timeout, s.quarantined, s.invalid,
      s.running, s.held, s.delayed, s.retried, s.redelivered, s.duplicates);
}

std::string worker_json(const WorkerView& worker) {
  std::string out = "{\"name\":";
  append_json_string(out, is_utf8(worker.name) ? worker.name : printable(worker.name));
  out += fmt::format(R"(,"slots":{},"busy":{},"held":{},"done":{},"accepting":{},"suspect":{}}})",
                     worker.slots, worker.busy, worker.held, worker.done, worker.accepting, worker.suspect);
  return out;
}

std::string_view get(const JsonScalars& values, const std::string& name) {
  const auto place = values.find(name);
  return place == values.end() ? std::string_view("?") : std::string_view(place->second);
}

std::string shown(const JsonScalars& values, const std::string& name) {
  return printable(get(values, name), 300);
}

std::string worker_line(const JsonScalars& values, const std::string& prefix) {
  std::string state = get(values, prefix + "suspect") == "true" ? "suspect" : "ready";
  if (state == "ready" && get(values, prefix + "accepting") == "false") state = "not accepting";
  return fmt::format("{:<24} {:>6} {:>6} {:>6} {:>10}  {}\n", printable(get(values, prefix + "name"), 64),
                     shown(values, prefix + "slots"), shown(values, prefix + "busy"),
                     shown(values, prefix + "held"), shown(values, prefix + "done"), state);
}

std::string jobs_line(const JsonScalars& values) {
  const std::string more = get(values, "jobs.total_known") == "false" ? "+" : "";
  std::string text = fmt::format("jobs     {}/{}{} done: {} ok", shown(values, "jobs.done"),
                                 shown(values, "jobs.total"), more, shown(values, "jobs.ok"));
  for (const char* status : {"failed", "timeout", "quarantined", "invalid"}) {
    const std::string count = shown(values, std::string("jobs.") + status);
    if (count != "0") text += ", " + count + " " + status;
  }
  text +=
      fmt::format("; {} running, {} held by workers, {} waiting for a retry\n", shown(values, "jobs.running"),
                  shown(values, "jobs.held"), shown(values, "jobs.delayed"));
  return text;
}

}  // namespace

std::string status_json(const StatusFacts& facts, std::size_t bytes_max) {
  std::string out = "{\"v\":1";
  append_text(out, "version", facts.version);
  append_text(out, "run", hex64(facts.run.value));
  append_text(out, "phase", facts.snapshot.phase);
  append_text(out, "waiting_for", waiting_text(facts.snapshot.waiting_for));
  out += fmt::format(",\"uptime_s\":{:.3f}", static_cast<double>(facts.uptime.count()) / 1e6);
  append_text(out, "jobs_file", facts.jobs);
  append_text(out, "results_file", facts.results);
  out += ",\"jobs\":" + counts_json(facts.snapshot);
  out += fmt::format(",\"slots\":{},\"workers_total\":{},\"workers\":[", facts.snapshot.slots,
                     facts.workers.size());
  constexpr std::size_t kTailBytes = 40;  // of what follows the workers
  std::size_t listed = 0;
  for (const WorkerView& worker : facts.workers) {
    const std::string entry = worker_json(worker);
    if (out.size() + entry.size() + 1 + kTailBytes > bytes_max) break;
    if (listed++ != 0) out += ',';
    out += entry;
  }
  out += fmt::format("],\"workers_left_out\":{}}}", facts.workers.size() - listed);
  return out;
}

std::optional<std::string> status_text(std::string_view json) {
  const auto parsed = json_scalars(json);
  if (!parsed || get(*parsed, "v") != "1") return std::nullopt;
  const JsonScalars& values = *parsed;
  const double uptime = std::strtod(std::string(get(values, "uptime_s")).c_str(), nullptr);
  const double bounded = uptime >= 0 && uptime < 1e9 ? uptime : 0;
  std::string text = fmt::format(
      "run      {} is {}, up {} (workpool {})\n", shown(values, "run"), shown(values, "phase"),
      format_roughly(Duration(static_cast<std::int64_t>(bounded * 1e6))), shown(values, "version"));
  text += fmt::format("files    {} -> {}\n", shown(values, "jobs_file"), shown(values, "results_file"));
  text += jobs_line(values);
  if (!get(values, "waiting_for").empty()) text += "waiting  " + shown(values, "waiting_for") + "\n";
  text += fmt::format("workers  {}, {} slots\n", shown(values, "workers_total"), shown(values, "slots"));
  for (std::size_t i = 0; values.count(fmt::format("workers.{}.name", i)) != 0; ++i) {
    if (i == 0)
      text += fmt::format("\n{:<24} {:>6} {:>6} {:>6} {:>10}  state\n", "worker", "slots", "busy", "held",
                          "done");
    text += worker_line(values, fmt::format("workers.{}.", i));
  }
  const std::string left_out = shown(values, "workers_left_out");
  if (left_out != "0" && left_out != "?") text += "(" + left_out + " more)\n";
  return text;
}

}  // namespace workpool::dispatcher

// SPDX-License-Identifier: MIT
#include "dispatcher/io/terminal/status_json.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>

#include "common/base/text.h"
#include "common/formats/json_scalars.h"
#include "dispatcher/io/terminal/command_words.h"
#include "dispatcher/io/terminal/counts_json.h"
#include "dispatcher/io/terminal/json_object.h"
#include "dispatcher/io/terminal/status_line.h"

namespace workpool::dispatcher {

namespace {

void append_text(std::string& out, std::string_view name, std::string_view value) {
  out += ",\"";
  out += name;
  out += "\":";
  JsonObject::append_text(out, value);
}

std::string jobs_json(const Snapshot& s) {
  return counts_json(s)
      .number("running", s.running)
      .number("held", s.held)
      .number("delayed", s.delayed)
      .number("held_up", s.held_up)
      .number("retried", s.retried)
      .number("redelivered", s.redelivered)
      .number("duplicates", s.duplicates)
      .end();
}

std::string worker_json(const WorkerView& worker) {
  std::string out = "{\"name\":";
  JsonObject::append_text(out, worker.name);
  out += fmt::format(R"(,"slots":{},"busy":{},"held":{},"done":{},"accepting":{},"suspect":{}}})",
                     worker.slots, worker.busy, worker.held, worker.done, worker.accepting, worker.suspect);
  return out;
}

std::string running_json(const RunningView& job) {
  std::string out = fmt::format(R"({{"line":{})", job.line);
  append_text(out, "id", job.id);
  if (!job.name.empty()) append_text(out, "name", job.name);
  append_text(out, "worker", job.worker);
  out += fmt::format(R"(,"s":{:.3f},"attempt":{},"slots":{})", static_cast<double>(job.ran.count()) / 1e6,
                     job.attempt, job.slots);
  if (job.progress) {
    out +=
        fmt::format(R"(,"progress":{:.3f})", job.progress->thousandths / static_cast<double>(kProgressMost));
    if (!job.progress->text.empty()) append_text(out, "text", job.progress->text);
  }
  return out + '}';
}

std::string limit_json(const HeldUp& limit) {
  std::string out = "{\"limit\":";
  JsonObject::append_text(out, limit_text(limit));
  return out + fmt::format(R"(,"held":{},"jobs":{}}})", limit.held, limit.jobs);
}

// Adds entries as long as the whole has no more than `bytes_max`. Returns how many.
template <class Entry>
std::size_t append_entries(std::string& out, const std::vector<Entry>& entries,
                           std::string (*json_of)(const Entry&), std::size_t bytes_max) {
  std::size_t listed = 0;
  for (const Entry& entry : entries) {
    const std::string json = json_of(entry);
    if (out.size() + json.size() + 1 > bytes_max) break;
    if (listed++ != 0) out += ',';
    out += json;
  }
  return listed;
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
  if (values.contains("uptime_s")) {
    text +=
        fmt::format("; {} running, {} held by workers, {} waiting for a retry", shown(values, "jobs.running"),
                    shown(values, "jobs.held"), shown(values, "jobs.delayed"));
  }
  return text + "\n";
}

Duration seconds_in(const JsonScalars& values, const std::string& name) {
  const double seconds = std::strtod(std::string(get(values, name)).c_str(), nullptr);
  return Duration(static_cast<std::int64_t>((seconds >= 0 && seconds < 1e9 ? seconds : 0) * 1e6));
}

std::string run_line(const JsonScalars& values) {
  std::string text = "run      " + shown(values, "run");
  const std::string phase = shown(values, "phase");
  if (values.contains("uptime_s"))
    return text + fmt::format(" is {}, up {} (workpool {})\n", phase,
                              format_roughly(seconds_in(values, "uptime_s")), shown(values, "version"));
  if (phase == "over") return text + " is over\n";
  if (phase == "running") return text + " is running, but cannot be asked from here\n";
  if (phase == "ended")
    return text + " is not running; whether jobs are left only the same command as before finds out\n";
  return text + " is not running, and jobs are left: the same command as before goes on\n";
}

// The jobs that have run longest.
std::string running_lines(const JsonScalars& values) {
  std::string text;
  std::size_t listed = 0;
  for (;; ++listed) {
    const std::string prefix = fmt::format("running.{}.", listed);
    if (!values.contains(prefix + "id")) break;
    if (listed == 0) text += fmt::format("\n{:>9}  {:<24} {:>7}  job\n", "running", "worker", "attempt");
    std::string job = "line " + shown(values, prefix + "line");
    if (values.contains(prefix + "name")) {
      job = "'" + shown(values, prefix + "name") + "', " + job;
    } else if (!is_digest(get(values, prefix + "id"))) {
      job += ", id " + shown(values, prefix + "id");
    }
    if (values.contains(prefix + "progress")) {
      const double done = std::strtod(std::string(get(values, prefix + "progress")).c_str(), nullptr);
      job += fmt::format(": {:.0f} %", std::floor(100 * done + 1e-6));
    }
    if (values.contains(prefix + "text")) job += ", " + shown(values, prefix + "text");
    text +=
        fmt::format("{:>9}  {:<24} {:>7}  {}\n", format_roughly(seconds_in(values, prefix + "s")),
                    printable(get(values, prefix + "worker"), 64), shown(values, prefix + "attempt"), job);
  }
  const std::uint64_t total = std::strtoull(std::string(get(values, "running_total")).c_str(), nullptr, 10);
  if (total > listed)
    text += fmt::format("({} more have run for over a second; --all lists them)\n", total - listed);
  return text;
}

std::string limit_lines(const JsonScalars& values) {
  std::string text;
  std::size_t listed = 0;
  for (;; ++listed) {
    const std::string prefix = fmt::format("limits.{}.", listed);
    if (!values.contains(prefix + "limit")) break;
    text += fmt::format("{}{}: {} of its jobs at workers, {} held up\n",
                        listed == 0 ? "limits   " : "         ", shown(values, prefix + "limit"),
                        shown(values, prefix + "held"), shown(values, prefix + "jobs"));
  }
  const std::uint64_t total = std::strtoull(std::string(get(values, "limits_total")).c_str(), nullptr, 10);
  if (total > listed) text += fmt::format("         ({} more)\n", total - listed);
  return text;
}

std::string worker_lines(const JsonScalars& values) {
  std::string text;
  for (std::size_t i = 0; values.contains(fmt::format("workers.{}.name", i)); ++i) {
    if (i == 0)
      text += fmt::format("\n{:<24} {:>6} {:>6} {:>6} {:>10}  state\n", "worker", "slots", "busy", "held",
                          "done");
    text += worker_line(values, fmt::format("workers.{}.", i));
  }
  const std::string left_out = shown(values, "workers_left_out");
  if (left_out != "0" && left_out != "?") text += "(" + left_out + " more)\n";
  return text;
}

}  // namespace

std::string status_json(const StatusFacts& facts, std::size_t bytes_max) {
  std::string out = "{\"v\":1";
  append_text(out, "version", facts.version);
  append_text(out, "run", hex64(facts.run.value));
  append_text(out, "phase", facts.snapshot.phase);
  append_text(out, "waiting_for", waiting_text(facts.snapshot.waiting_for));
  if (facts.uptime)
    out += fmt::format(",\"uptime_s\":{:.3f}", static_cast<double>(facts.uptime->count()) / 1e6);
  if (!facts.listen.empty()) {
    append_text(out, "listen", facts.listen);
    append_text(out, "access", facts.insecure ? "open" : "keys");
  }
  append_text(out, "jobs_file", facts.jobs);
  append_text(out, "results_file", facts.results);
  out += ",\"jobs\":" + jobs_json(facts.snapshot);
  out += fmt::format(",\"running_total\":{},\"running\":[", facts.running.jobs);
  append_entries(out, facts.running.longest, running_json, bytes_max / 2);
  out += fmt::format("],\"limits_total\":{},\"limits\":[", facts.limits.size());
  const auto shown =
      facts.limits.begin() + static_cast<std::ptrdiff_t>(std::min(kLimitsShown, facts.limits.size()));
  append_entries(out, {facts.limits.begin(), shown}, limit_json, bytes_max / 2 + kLimitsShown * 600);
  out += "]";
  out += fmt::format(",\"slots\":{},\"workers_total\":{},\"workers\":[", facts.snapshot.slots,
                     facts.workers.size());
  constexpr std::size_t kTailBytes = 40;  // of what follows the workers
  const std::size_t listed = append_entries(out, facts.workers, worker_json, bytes_max - kTailBytes);
  out += fmt::format("],\"workers_left_out\":{}}}", facts.workers.size() - listed);
  return out;
}

std::optional<std::string> status_text(std::string_view json) {
  const auto parsed = json_scalars(json);
  if (!parsed || get(*parsed, "v") != "1") return std::nullopt;
  const JsonScalars& values = *parsed;
  std::string text = run_line(values);
  text += fmt::format("files    {} -> {}\n", shown(values, "jobs_file"), shown(values, "results_file"));
  text += jobs_line(values);
  if (!values.contains("uptime_s")) return text;
  if (values.contains("listen"))
    text += "listens  " + shown(values, "listen") +
            (get(values, "access") == "open" ? ", open to everyone (--insecure)\n" : ", with keys\n");
  if (!get(values, "waiting_for").empty()) text += "waiting  " + shown(values, "waiting_for") + "\n";
  text += fmt::format("workers  {}, {} slots\n", shown(values, "workers_total"), shown(values, "slots"));
  return text + limit_lines(values) + running_lines(values) + worker_lines(values);
}

std::optional<std::string> status_row(std::string_view json) {
  const auto parsed = json_scalars(json);
  if (!parsed || get(*parsed, "v") != "1") return std::nullopt;
  const JsonScalars& values = *parsed;
  const std::string more = get(values, "jobs.total_known") == "false" ? "+" : "";
  const std::string results = shown(values, "results_file");
  return fmt::format("{:<10} {:>16} {:>10} {:>8} {:>8}  {} -> {}\n", shown(values, "phase"),
                     shown(values, "jobs.done") + "/" + shown(values, "jobs.total") + more,
                     shown(values, "jobs.ok"), shown(values, "workers_total"),
                     format_roughly(seconds_in(values, "uptime_s")), shown(values, "jobs_file"), results);
}

std::string status_row_head() {
  return fmt::format("{:<10} {:>16} {:>10} {:>8} {:>8}  files\n", "run", "done", "ok", "workers", "up");
}

bool says_over(std::string_view json) {
  const auto parsed = json_scalars(json);
  return parsed && !parsed->contains("uptime_s") && get(*parsed, "phase") != "running";
}

}  // namespace workpool::dispatcher

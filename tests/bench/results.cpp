// SPDX-License-Identifier: MIT
// What a result line costs: printed, read, replayed into an index, and made durable by the writer. Figures
// only. usage: bench_results [FOLDER]    the file system to write to; the current one without
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "common/formats/results_file.h"
#include "dispatcher/core/job_index.h"
#include "dispatcher/io/results/journal_writer.h"
#include "dispatcher/io/results/results_replay.h"
#include "tests/support/owned_result.h"

namespace workpool::dispatcher {
namespace {

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// As of a no-op job, the shortest there is.
OwnedResult noop_line(std::uint64_t number) {
  OwnedResult line;
  line.spec = spec_of_work(std::to_string(number));
  line.repeat = 1;
  line.line = number + 1;
  line.attempt = 1;
  line.worker = "node7";
  line.queued = microseconds(1234);
  line.ran = microseconds(50);
  line.finished_ms = 1'795'450'867'123;
  line.run = RunId{0x0123456789abcdef};
  return line;
}

std::vector<JournalEntry> noop_entries(std::uint64_t first, std::uint64_t count) {
  std::vector<JournalEntry> entries;
  for (std::uint64_t i = 0; i < count; ++i) {
    const OwnedResult line = noop_line(first + i);
    Record record;
    record.facts.spec = line.spec;
    record.facts.repeat = line.repeat;
    record.facts.line = line.line;
    record.attempt = line.attempt;
    record.worker = line.worker;
    record.queued = line.queued;
    record.ran = line.ran;
    entries.emplace_back(std::move(record));
  }
  return entries;
}

void bench_format() {
  constexpr int kLines = 2'000'000;
  const OwnedResult line = noop_line(123'456);
  std::string out;
  const double print_s = seconds_of([&] {
    for (int i = 0; i < kLines; ++i) {
      if (out.size() > 1 << 20) out.clear();
      append_result_line(out, line);
    }
  });
  out.clear();
  append_result_line(out, line);
  const std::string_view text = std::string_view(out).substr(0, out.size() - 1);
  ReplayedLine read;
  int good = 0;
  const double read_s = seconds_of([&] {
    for (int i = 0; i < kLines; ++i) good += read_result_line(text, read) == LineDamage::kNone ? 1 : 0;
  });
  std::printf("print  %6.0f ns a line of %zu bytes\nread   %6.0f ns a line%s\n", print_s / kLines * 1e9,
              out.size(), read_s / kLines * 1e9, good == kLines ? "" : " (damaged!)");
}

// Appends `count` records in batches, never more than a few thousand ahead of the writer.
void bench_writer(const std::string& path, Durability durability, std::uint64_t count, std::uint64_t batch) {
  const int fd = open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  std::mutex mutex;
  std::condition_variable changed;
  const std::vector<JournalEntry> entries = noop_entries(0, batch);
  const double took = seconds_of([&] {
    JournalWriter writer({fd, true}, durability, [&] {
      const std::lock_guard<std::mutex> lock(mutex);
      changed.notify_all();
    });
    for (std::uint64_t given = 0; given < count; given += batch) {
      std::vector<JournalEntry> copy = entries;
      writer.append(std::move(copy));
      std::unique_lock<std::mutex> held(mutex);
      changed.wait_for(held, std::chrono::milliseconds(100),
                       [&] { return given < writer.state().durable + 20'000; });
    }
    writer.finish(seconds(60));
  });
  std::printf("write  %6.0f k records/s, %s, batches of %lu\n", static_cast<double>(count) / took / 1e3,
              durability == Durability::kSync ? "sync" : "os", static_cast<unsigned long>(batch));
  close(fd);
}

void bench_latency(const std::string& path, int count) {
  const int fd = open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  for (const Durability durability : {Durability::kSync, Durability::kOs}) {
    JournalWriter writer({fd, true}, durability, nullptr);
    const double took = seconds_of([&] {
      for (int i = 0; i < count; ++i) {
        writer.append(noop_entries(0, 1));
        writer.finish(seconds(60));
      }
    });
    std::printf("alone  %6.0f us a record, %s\n", took / count * 1e6,
                durability == Durability::kSync ? "sync" : "os");
  }
  close(fd);
}

void bench_replay(const std::string& path, std::uint64_t count) {
  std::string content;
  JobIndex index;
  JobIndex::Entry entry;
  entry.requirement = index.requirement_number(Requirement{});
  for (std::uint64_t i = 0; i < count; ++i) {
    const OwnedResult line = noop_line(i);
    append_result_line(content, line);
    entry.line = i + 1;
    entry.repeat = 1;
    entry.key_prefix = key_of_id(line.id).high;
    entry.spec_prefix = line.spec.high;
    index.add(entry);
  }
  index.seal();
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (write(fd, content.data(), content.size()) != static_cast<ssize_t>(content.size())) std::perror("write");
  ReplaySummary summary;
  const double took = seconds_of([&] { summary = replay_into(fd, index); });
  std::printf("replay %6.0f k lines/s into an index of %lu jobs\n",
              static_cast<double>(summary.lines) / took / 1e3, static_cast<unsigned long>(count));
  close(fd);
}

}  // namespace
}  // namespace workpool::dispatcher

int main(int argc, char** argv) {
  using namespace workpool::dispatcher;
  const std::string path = (argc > 1 ? std::string(argv[1]) : std::string(".")) + "/bench_results.jsonl";
  bench_format();
  for (const std::uint64_t batch : {100, 1000, 5000})
    bench_writer(path, Durability::kSync, batch * 400, batch);
  bench_writer(path, Durability::kOs, 1'000'000, 1000);
  bench_latency(path, 300);
  bench_replay(path, 1'000'000);
  unlink(path.c_str());
  return 0;
}

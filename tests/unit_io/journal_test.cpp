// SPDX-License-Identifier: MIT
#include "dispatcher/io/results/journal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "dispatcher/io/results/state_file.h"
#include "tests/unit_io/results_fixture.h"

namespace workpool::dispatcher {
namespace {

constexpr Duration kGenerous = seconds(20);

class Journals : public testing::Test {
 protected:
  StoreOptions options(bool overwrite = false) {
    StoreOptions given;
    given.path = folder_.results();
    given.jobs_path = "/jobs/a.jsonl";
    given.overwrite = overwrite;
    return given;
  }
  static Record line(const std::string& id) {
    Record result;
    result.facts.id = id;
    result.facts.line = 1;
    result.facts.spec = spec_of(id);
    result.attempt = 1;
    return result;
  }
  static GrantedName name(std::uint64_t worker, const std::string& text) { return {WorkerId{worker}, text}; }
  static bool until(const std::function<bool()>& holds) {
    const auto limit = std::chrono::steady_clock::now() + kGenerous;
    while (!holds()) {
      if (std::chrono::steady_clock::now() > limit) return false;
      std::this_thread::sleep_for(milliseconds(1));
    }
    return true;
  }

  ResultsFolder folder_;
};

TEST_F(Journals, WhatIsAppendedIsReplayedByTheNextStart) {
  for (int start = 1; start <= 2; ++start) {
    JobIndex index = index_of({"a", "b", "c"});
    Journal journal(options());
    const ReplaySummary summary = journal.replay(index);
    EXPECT_EQ(summary.lines, start == 1 ? 0U : 2U);
    EXPECT_EQ(journal.begin(summary, kRun), kRun);
    EXPECT_EQ(journal.worker_names().size(), start == 1 ? 0U : 2U);
    if (start == 2) {
      EXPECT_EQ(index.ids().past(0), JobRegister::Past::kOk);
      EXPECT_EQ(index.ids().past(2), JobRegister::Past::kNone);
      EXPECT_EQ(journal.worker_names()[1].name, "node-2");
      break;
    }
    std::atomic<int> calls{0};
    journal.start(std::nullopt, [&calls] { ++calls; });
    journal.append({name(1, "node"), line("a"), name(2, "node-2"), line("b")});
    EXPECT_TRUE(until([&] { return journal.state().durable == 4; }));
    EXPECT_GT(calls, 0);
    EXPECT_TRUE(journal.in_place());
  }
}

TEST_F(Journals, OverwritingReadsNothing) {
  folder_.write(folder_.results(), line_of("another's"));
  JobIndex index = index_of({"a"});
  Journal journal(options(true));
  EXPECT_EQ(journal.replay(index).lines, 0U);
  EXPECT_EQ(journal.begin({}, kRun), kRun);
  EXPECT_EQ(folder_.read(folder_.results()), "");
}

TEST_F(Journals, AnothersResultsAreRefused) {
  folder_.write(folder_.results(), line_of("another's"));
  JobIndex index = index_of({"a"});
  const Journal journal(options());
  EXPECT_THROW(journal.replay(index), StoreError);
}

// ---- one numbering over two files ----

class Pipe {
 public:
  Pipe() { EXPECT_EQ(pipe2(ends_, O_CLOEXEC), 0); }
  ~Pipe() {
    close(ends_[0]);
    close(ends_[1]);
  }
  int read_end() const { return ends_[0]; }
  int write_end() const { return ends_[1]; }
  // Until not one byte more fits.
  std::size_t fill() const {
    fcntl(ends_[1], F_SETFL, O_NONBLOCK);
    std::size_t filled = 0;
    const std::string block(4096, '.');
    for (ssize_t count = 0; (count = write(ends_[1], block.data(), block.size())) > 0;)
      filled += static_cast<std::size_t>(count);
    fcntl(ends_[1], F_SETFL, 0);
    return filled;
  }

 private:
  int ends_[2] = {-1, -1};
};

// The state file's disk is frozen: write(2) does not return. Nobody but the journal's thread waits for it,
// and nothing behind the name is durable before it.
TEST_F(Journals, AFrozenDiskHoldsUpNobodyButItsThread) {
  const Pipe frozen;
  const std::size_t filled = frozen.fill();
  const int fd = open(folder_.results().c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  {
    JournalWriter writer({fd, true, "", frozen.write_end()}, Durability::kOs, nullptr);
    const auto start = std::chrono::steady_clock::now();
    writer.append({line("a")});
    EXPECT_TRUE(until([&] { return writer.state().durable == 1; }));
    writer.append({name(1, "node"), line("b")});
    EXPECT_TRUE(until([&] { return writer.state().blocked; }));
    for (int i = 0; i < 1000; ++i) writer.append({line("more")});
    EXPECT_EQ(writer.state().durable, 1U);
    EXPECT_EQ(writer.state().error, 0);
    EXPECT_LT(std::chrono::steady_clock::now() - start, kGenerous);
    // It thaws.
    std::string bytes(1 << 20, '\0');
    std::string thawed;
    const auto read_some = [&](int wait_ms) {
      pollfd ready{frozen.read_end(), POLLIN, 0};
      if (poll(&ready, 1, wait_ms) != 1) return;
      thawed.append(bytes.data(),
                    static_cast<std::size_t>(read(frozen.read_end(), bytes.data(), bytes.size())));
    };
    EXPECT_TRUE(until([&] {
      read_some(10);
      return writer.state().durable == 1003;
    }));
    read_some(0);  // the name may have come after the last look
    std::string expected;
    append_name_line(expected, name(1, "node"));
    EXPECT_EQ(thawed.substr(filled), expected);
  }
  close(fd);
}

TEST_F(Journals, EntriesAreDurableInTheirOrder) {
  const Pipe frozen;
  frozen.fill();
  const int fd = open(folder_.results().c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  {
    JournalWriter writer({fd, true, "", frozen.write_end()}, Durability::kSync, nullptr);
    writer.append({line("a"), line("b"), name(1, "node"), line("c")});
    EXPECT_TRUE(until([&] { return writer.state().durable == 2; })) << "what stands before the name";
    EXPECT_FALSE(writer.finish(milliseconds(200)));
    EXPECT_EQ(writer.state().durable, 2U);
    EXPECT_EQ(folder_.read(folder_.results()).find("\"c\""), std::string::npos);
    writer.give_up();
  }
  close(fd);
}

TEST_F(Journals, NamesThatAreKeptNowhereAreDurableAtOnce) {
  const int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
  {
    JournalWriter writer({fd, false}, Durability::kOs, nullptr);
    writer.append({name(1, "node"), line("a"), name(2, "other")});
    EXPECT_TRUE(writer.finish(kGenerous));
    EXPECT_EQ(writer.state().durable, 3U);
  }
  close(fd);
}

TEST_F(Journals, AStateFileThatCannotBeWrittenIsFinal) {
  const int fd = open(folder_.results().c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  const int state = open("/dev/null", O_RDONLY | O_CLOEXEC);
  {
    JournalWriter writer({fd, true, "", state}, Durability::kOs, nullptr);
    writer.append({name(1, "node"), line("a")});
    EXPECT_FALSE(writer.finish(kGenerous));
    EXPECT_EQ(writer.state().error, EBADF);
    EXPECT_EQ(writer.state().durable, 0U);
  }
  EXPECT_EQ(folder_.read(folder_.results()), "") << "nothing is written after an error";
  close(fd);
  close(state);
}

}  // namespace
}  // namespace workpool::dispatcher

// SPDX-License-Identifier: MIT
// Console and log: what they print, and that a stderr which is closed, full, gone or blocked costs messages
// only.
#include "common/io/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <thread>
#include <vector>

#include "tests/unit_io/forked.h"

namespace workpool {
namespace {

// All that can be read without waiting.
std::string drain(int fd) {
  std::string text;
  char buffer[4096];
  pollfd poll_fd{fd, POLLIN, 0};
  while (::poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & POLLIN) != 0) {
    const ssize_t count = ::read(fd, buffer, sizeof buffer);
    if (count <= 0) break;
    text.append(buffer, static_cast<std::size_t>(count));
  }
  return text;
}

class Pipe {
 public:
  Pipe() { EXPECT_EQ(::pipe2(ends_, O_CLOEXEC), 0); }
  ~Pipe() {
    close_reader();
    ::close(ends_[1]);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  void close_reader() {
    if (ends_[0] != -1) ::close(ends_[0]);
    ends_[0] = -1;
  }
  int writer() const { return ends_[1]; }
  std::string read() const { return drain(ends_[0]); }

 private:
  int ends_[2] = {-1, -1};
};

TEST(ConsoleTest, LinesGoOutWhole) {
  const Pipe pipe;
  Console console(pipe.writer());
  EXPECT_FALSE(console.redrawable());
  console.line("one");
  console.live("never shown on a pipe");
  console.line("two\nthree");
  EXPECT_EQ(pipe.read(), "one\ntwo\nthree\n");
}

TEST(ConsoleTest, LeavesTheSharedDescriptionBlocking) {
  const Pipe pipe;
  const Console console(pipe.writer());
  EXPECT_EQ(::fcntl(pipe.writer(), F_GETFL) & O_NONBLOCK, 0);
}

TEST(ConsoleTest, ABlockedPipeDelaysThenCostsMessages) {
  const Pipe pipe;
  Console console(pipe.writer());
  const std::string line(999, 'x');
  for (int i = 0; i < 1000; ++i) console.line(line);  // a pipe takes 64 KiB, the console keeps 256 more
  std::string all = pipe.read();
  console.flush(seconds(0));
  while (true) {
    const std::string more = pipe.read();
    if (more.empty()) break;
    all += more;
    console.flush(seconds(0));
  }
  console.line("after");
  all += pipe.read();
  const std::string notice = "\nafter\n(";
  const std::size_t at = all.find(notice);
  ASSERT_NE(at, std::string::npos);
  EXPECT_NE(all.find(" lines before this one were lost", at), std::string::npos);
  const std::size_t lost = std::stoul(all.substr(at + notice.size()));
  EXPECT_GT(lost, 500U);
  // Nothing was torn: every line is whole, and each is there or counted.
  EXPECT_EQ(static_cast<std::size_t>(std::count(all.begin(), all.end(), '\n')) - 2, 1000 - lost);
  std::size_t start = 0;
  for (std::size_t end = 0; (end = all.find('\n', start)) != std::string::npos; start = end + 1) {
    const std::string found = all.substr(start, end - start);
    EXPECT_TRUE(found == line || found.front() == '(' || found == "after") << found;
  }
}

TEST(ConsoleTest, FlushWaitsForASlowReaderButNotForever) {
  const Pipe pipe;
  Console console(pipe.writer());
  for (int i = 0; i < 200; ++i) console.line(std::string(999, 'x'));
  console.flush(milliseconds(1));  // comes back although nobody reads
  std::string all;
  std::thread flusher([&console] { console.flush(seconds(60)); });
  while (all.size() < 200'000) all += pipe.read();
  flusher.join();
  EXPECT_EQ(all.size(), 200'000U);
}

TEST(ConsoleTest, AReaderThatIsGoneCostsMessagesOnly) {
  const auto before = ::signal(SIGPIPE, SIG_IGN);
  Pipe pipe;
  Console console(pipe.writer());
  pipe.close_reader();
  console.line("lost");
  console.line("lost too");
  ::signal(SIGPIPE, before);
}

TEST(ConsoleTest, AClosedOrFullDescriptorCostsMessagesOnly) {
  Console closed(987);
  closed.line("lost");
  closed.live("lost");
  closed.flush(seconds(0));
  const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(full, 0);
  Console console(full);
  console.line("lost");
  ::close(full);
}

TEST(ConsoleTest, SocketsAreNeverWaitedFor) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  Console console(ends[1]);
  for (int i = 0; i < 3000; ++i) console.line(std::string(999, 'x'));
  EXPECT_LT(drain(ends[0]).size(), 3'000'000U);
  ::close(ends[0]);
  console.line("gone");  // no SIGPIPE either
  ::close(ends[1]);
}

TEST(ConsoleTest, LogLinesPassAboveTheLiveLine) {
  int terminal = -1;
  int slave = -1;
  ASSERT_EQ(::openpty(&terminal, &slave, nullptr, nullptr, nullptr), 0);
  ::setenv("TERM", "xterm", 1);
  Console console(slave);
  ASSERT_TRUE(console.redrawable());
  EXPECT_EQ(console.columns(), 80U);
  const winsize size = {24, 132, 0, 0};
  ASSERT_EQ(::ioctl(terminal, TIOCSWINSZ, &size), 0);
  EXPECT_EQ(console.columns(), 132U);
  console.live("1/2");
  console.line("event");
  console.live("2/2");
  console.live("");
  console.line("end");
  const std::string clear = "\r \x1b[J\r\x1b[K";
  const auto drawn = [](const std::string& text) { return "\x1b[?7l" + text + "\x1b[?7h\r"; };
  EXPECT_EQ(drain(terminal), clear + drawn("1/2") + clear + "event\r\n" + drawn("1/2") + clear +
                                 drawn("2/2") + clear + "end\r\n");
  ::setenv("TERM", "dumb", 1);
  EXPECT_FALSE(Console(slave).redrawable());
  ::close(terminal);
  ::close(slave);
}

TEST(ConsoleTest, ClosedStandardDescriptorsAreFilled) {
  WORKPOOL_SKIP_WHERE_FORK_MAY_HANG();
  const int code = code_of_child([] {
    ::close(0);
    ::close(2);
    fill_standard_descriptors();
    const int next = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    const bool right =
        (::fcntl(0, F_GETFL) & O_ACCMODE) == O_WRONLY && (::fcntl(2, F_GETFL) & O_ACCMODE) == O_WRONLY;
    return next > 2 && right ? 0 : 1;
  });
  EXPECT_EQ(code, 0);
}

// ---- log ----

class LogTest : public ::testing::Test {
 protected:
  Log log_at(LogLevel level) {
    return {console_, level, [this] { return now_; }};
  }
  // What was logged, without the times.
  std::vector<std::string> lines() {
    std::vector<std::string> found;
    std::string text = pipe_.read();
    while (!text.empty()) {
      const std::size_t end = text.find('\n');
      EXPECT_EQ(text.substr(4, 1) + text.substr(10, 1) + text.substr(23, 2), "-TZ ") << text;
      found.push_back(text.substr(25, end - 25));
      text.erase(0, end + 1);
    }
    return found;
  }

  Pipe pipe_;
  Console console_{pipe_.writer()};
  Time now_{seconds(100)};
};

using Lines = std::vector<std::string>;

TEST_F(LogTest, EventsWithFields) {
  auto log = log_at(LogLevel::kInfo);
  log.info("registered",
           {{"run", "00ff"}, {"slots", 4}, {"after", Duration(milliseconds(1500))}, {"back", false}});
  log.warn("worker_lost", {{"name", "a b"}, {"why", "said \"no\"\n\x1b[2J"}, {"empty", ""}});
  log.debug("job_started", {{"id", "x"}});
  EXPECT_FALSE(log.shows(LogLevel::kDebug));
  EXPECT_EQ(lines(),
            (Lines{"info registered run=00ff slots=4 after=1.5s back=no",
                   "warn worker_lost name=\"a b\" why=\"said \\\"no\\\"\\x0a\\x1b[2J\" empty=\"\""}));
}

TEST_F(LogTest, InWordsForAPerson) {
  Log log(
      console_, LogLevel::kInfo, [this] { return now_; }, LogStyle::kWords);
  log.info("joined", {{"detail", "as w"}});
  log.write(LogLevel::kInfo, "joined", {{"detail", "as w"}}, "joined tcp://h:1 as w");
  log.warn("fewer_slots", {{"slots", 4}, {"asked_for", 9}, {"reason", "no room\x1b[2J"}});
  log.error("engine_hangs");
  log.debug("job_started");
  EXPECT_EQ(
      pipe_.read(),
      "joined: as w\njoined tcp://h:1 as w\nwarning: fewer slots: no room\\x1b[2J (slots 4, asked for 9)\n"
      "error: engine hangs\n");
  for (int i = 0; i < 50; ++i) log.warn("bad");
  now_ += seconds(11);
  pipe_.read();
  log.warn("bad");
  EXPECT_EQ(pipe_.read(), "warning: bad (45 more such lines left out)\n");
}

TEST_F(LogTest, LevelsByName) {
  EXPECT_EQ(log_level_named("trace"), LogLevel::kTrace);
  EXPECT_EQ(log_level_named("error"), LogLevel::kError);
  EXPECT_EQ(log_level_named("Error"), std::nullopt);
}

TEST_F(LogTest, RepeatsAreLeftOutAndCounted) {
  auto log = log_at(LogLevel::kTrace);
  for (int i = 0; i < 50; ++i) log.warn("bad_frame", {{"i", i}});
  log.warn("other");
  now_ += seconds(11);
  log.warn("bad_frame", {{"i", 50}});
  EXPECT_EQ(lines(),
            (Lines{"warn bad_frame i=0", "warn bad_frame i=1", "warn bad_frame i=2", "warn bad_frame i=3",
                   "warn bad_frame i=4", "warn other", "warn bad_frame i=50 repeats_left_out=45"}));
  for (int i = 0; i < 50; ++i) log.debug("job_started");
  EXPECT_EQ(lines().size(), 50U);
}

TEST_F(LogTest, BracesInAnEventAreText) {
  auto log = log_at(LogLevel::kInfo);
  log.info("odd", {{"text", "{} {0} %v"}});
  EXPECT_EQ(lines(), (Lines{"info odd text=\"{} {0} %v\""}));
}

TEST_F(LogTest, ManyThreads) {
  auto log = log_at(LogLevel::kDebug);
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&log] {
      for (int i = 0; i < 100; ++i) log.debug("job_started", {{"i", i}});
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(lines().size(), 400U);
}

}  // namespace
}  // namespace workpool

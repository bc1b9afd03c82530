// SPDX-License-Identifier: MIT
// What a person sees of a run: on a pipe without one escape character, on a terminal with one line that
// moves.
#include "dispatcher/io/terminal/terminal.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "dispatcher/io/net/reachable_host.h"
#include "dispatcher/io/terminal/shell_words.h"
#include "tests/unit_io/terminal_fixture.h"

namespace workpool::dispatcher {
namespace {

// ---- live line and plain lines ----

TEST(TerminalTest, APipeGetsALineEveryTenSecondsAndNoEscapes) {
  const Screen screen(Screen::Kind::kPipe);
  for (const Progress progress : {Progress::kAuto, Progress::kBar, Progress::kPlain}) {
    Console console(screen.fd());
    Terminal terminal(console, options_of(progress), kStart);
    EXPECT_EQ(terminal.next_draw(), kStart + seconds(10));
    terminal.attempt_ended(milliseconds(1), 1);
    for (int i = 0; i <= 25; ++i)
      terminal.show(snapshot_of(static_cast<std::uint64_t>(i), 0, 100), kStart + seconds(i));
    terminal.report(failure("x", "exit status 2"), kStart);
    terminal.finish(snapshot_of(99, 1, 100), AllRecorded{false}, kStart + seconds(26));
    const string text = screen.read();
    EXPECT_EQ(text.find('\x1b'), string::npos);
    EXPECT_TRUE(
        has(text, "10/100 (10%)  ok 10  failed 0  running 4  2 workers, 4 slots  10s  1.0/s  ETA 1m30s\n"))
        << text;
    EXPECT_TRUE(has(text, "\n20/100 (20%)")) << text;
    EXPECT_FALSE(has(text, "\n25/100"));
    EXPECT_EQ(terminal.next_draw(), kNever);
  }
}

TEST(TerminalTest, ATerminalGetsOneLineThatMovesTenTimesASecond) {
  const Screen screen(Screen::Kind::kTerminal);
  Console console(screen.fd());
  Terminal terminal(console, options_of(), kStart);
  terminal.attempt_ended(milliseconds(1), 1);
  for (int i = 0; i < 1000; ++i) terminal.show(snapshot_of(1, 0, 10), kStart + milliseconds(i));
  const string text = screen.read();
  EXPECT_EQ(std::count(text.begin(), text.end(), 'J'), 10) << text;
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 0);
  screen.columns(20);
  terminal.show(snapshot_of(2, 0, 10), kStart + seconds(2));
  EXPECT_EQ(screen.read(), " \x1b[J\x1b[K\x1b[?7l2/10  1.0/s  ETA 8s\x1b[?7h");
  terminal.report(failure("x", "exit status 2"), kStart + seconds(2));
  EXPECT_TRUE(has(screen.read(), "\x1b[31mnot ok\x1b[0m  job 'x'"));
  terminal.finish(snapshot_of(10, 0, 10), AllRecorded{true}, kStart + seconds(3));
  EXPECT_TRUE(has(screen.read(), "done: 10 ok of 10 jobs\n3.0s, "));
}

TEST(TerminalTest, NoColorAndDumbTerminals) {
  const Screen screen(Screen::Kind::kTerminal);
  ::setenv("NO_COLOR", "1", 1);
  {
    Console console(screen.fd());
    Terminal terminal(console, options_of(), kStart);
    terminal.report(failure("x", "exit status 2"), kStart);
  }
  EXPECT_TRUE(has(screen.read(), "not ok  job 'x'"));
  ::setenv("TERM", "dumb", 1);
  Console console(screen.fd());
  Terminal terminal(console, options_of(Progress::kBar), kStart);
  terminal.show(snapshot_of(1, 0, 10), kStart + seconds(10));
  const string text = screen.read();
  EXPECT_TRUE(has(text, "1/10"));
  EXPECT_FALSE(has(text, "\x1b"));
}

TEST(TerminalTest, ProgressNoneLeavesFailuresAndSummary) {
  const Screen screen(Screen::Kind::kPipe);
  Console console(screen.fd());
  TerminalOptions alone = options_of(Progress::kNone);
  alone.listening = false;
  Terminal terminal(console, alone, kStart);
  terminal.banner({});
  EXPECT_EQ(terminal.next_draw(), kNever);
  terminal.show(snapshot_of(1, 0, 10), kStart + seconds(60));
  EXPECT_EQ(screen.read(), "");
  terminal.report(failure("x", "exit status 2"), kStart);
  terminal.finish(snapshot_of(9, 1, 10), AllRecorded{false}, kStart + seconds(61));
  EXPECT_TRUE(has(screen.read(), "done: 9 ok, 1 failed of 10 jobs"));
}

TEST(TerminalTest, RatesAndDurations) {
  RateMeter meter(kStart);
  for (int i = 0; i <= 100; ++i)
    meter.sample(static_cast<std::uint64_t>(i < 50 ? i : 50 + (i - 50) * 3), kStart + seconds(i));
  EXPECT_NEAR(meter.per_second(), 3.0, 0.01);
  EXPECT_NEAR(meter.per_second_overall(), 2.0, 0.01);
  EXPECT_EQ(format_roughly(seconds(59)), "59.0s");
  EXPECT_EQ(format_roughly(milliseconds(59'990)), "1m0s");
  EXPECT_EQ(format_roughly(seconds(7322)), "2h2m");
  EXPECT_EQ(fit("aöüb", 4), "aöüb");
  EXPECT_EQ(fit("aöüb", 3), "aö…");
  EXPECT_EQ(fit("ab", 0), "");
}

TEST(TerminalTest, IfNothingEndsForAWhileTheLongestJobIsShown) {
  const Screen screen(Screen::Kind::kTerminal);
  Console console(screen.fd());
  Terminal terminal(console, options_of(), kStart);
  RunningJobs running;
  const auto show = [&](std::uint64_t ok, Duration after) {
    running.longest = {"slow", "", 3, "node7", after};
    terminal.note_running(running);
    terminal.show(snapshot_of(ok, 0, 10), kStart + after);
    return screen.read();
  };
  EXPECT_FALSE(has(show(1, seconds(1)), "longest"));
  EXPECT_FALSE(has(show(1, milliseconds(5999)), "longest"));
  EXPECT_TRUE(has(show(1, milliseconds(6100)), "longest: 'slow' on node7, 6s"));
  EXPECT_FALSE(has(show(2, milliseconds(6300)), "longest")) << "something has ended";
  EXPECT_TRUE(has(show(2, seconds(12)), "longest: 'slow' on node7, 12s"));
}

TEST(TerminalTest, TheRetryThatComesFirstIsShownUntilItComes) {
  const Screen screen(Screen::Kind::kTerminal);
  screen.columns(160);
  Console console(screen.fd());
  Terminal terminal(console, options_of(), kStart);
  Snapshot snapshot = snapshot_of(1, 0, 10);
  snapshot.delayed = 2;
  terminal.report(JobRetried{"x", 1, "exit status 1", seconds(30)}, kStart);
  terminal.report(JobRetried{"y", 1, "exit status 2", seconds(12)}, kStart);
  for (int i = 0; i < 1000; ++i) terminal.report(JobRetried{"z", 1, "later", seconds(40)}, kStart);
  terminal.show(snapshot, kStart);
  EXPECT_TRUE(has(screen.read(), "2 wait to be retried, the first for 12s: exit status 2"));
  snapshot.delayed = 1;
  terminal.show(snapshot, kStart + seconds(13));
  EXPECT_TRUE(has(screen.read(), "1 waits 17s to be retried: exit status 1"));
}

// ---- failures and other reports ----

TEST(TerminalTest, TheFirstTenFailuresAreToldOthersCounted) {
  const Screen screen(Screen::Kind::kPipe);
  Console console(screen.fd());
  Terminal terminal(console, options_of(), kStart);
  const auto fail = [&](int i) {
    terminal.report(failure("job" + std::to_string(i), "exit status 2"), kStart);
  };
  for (int i = 0; i < 10; ++i) fail(i);
  const string ten = screen.read();
  EXPECT_TRUE(has(ten, "not ok  job 'job9' (line 12): exit status 2 on node7\n")) << ten;
  EXPECT_FALSE(has(ten, "only counted")) << ten;
  for (int i = 10; i < 30; ++i) fail(i);
  JobEnded late = failure("slow", "still running after 2s");
  late.status = Status::kTimeout;
  late.kind = ErrorKind::kTimeout;
  terminal.report(late, kStart);
  EXPECT_EQ(screen.read(), "(further failures are only counted)\n");
  terminal.finish(snapshot_of(0, 31, 31), AllRecorded{false}, kStart + seconds(1));
  const string summary = screen.read();
  EXPECT_TRUE(has(summary, "      30  exit status 2, e.g. job 'job0' (line 12)\n")) << summary;
  EXPECT_TRUE(has(summary, "       1  timeout: still running after 2s, e.g. job 'slow' (line 12)\n"))
      << summary;
}

TEST(TerminalTest, AReasonThatOneWorkerHasIsNamedWithItIfThereAreSeveral) {
  Failures failures;
  for (int i = 0; i < 2; ++i) failures.add(failure("x", "no such program"));
  JobEnded other = failure("y", "exit status 2");
  failures.add(other);
  other.worker = "node8";
  failures.add(other);
  EXPECT_EQ(failures.groups(true, {}),
            "       2  exit status 2, e.g. job 'y' (line 12)\n"
            "       2  no such program, e.g. job 'x' (line 12); all on worker node7");
  EXPECT_EQ(failures.groups(false, {}).find("all on worker"), string::npos);
}

TEST(TerminalTest, NothingOfAJobReachesTheTerminalRaw) {
  const Screen screen(Screen::Kind::kPipe);
  Console console(screen.fd());
  Terminal terminal(console, options_of(), kStart);
  JobEnded job = failure("a\x1b[2Jb", "exit\nstatus\x07");
  job.last_line = "\x1b]0;title\x07\xff";
  job.worker = "w\x9b";
  terminal.report(job, kStart);
  terminal.report(ReturnsEverything{"odd\x1b[1m"}, kStart);
  terminal.report(WorkerLeft{"w\x1b", ConnectionLost{}, 3, true}, kStart);
  terminal.report(EngineDied{"w\x1b", "signal\x1b", {"a\x1b"}}, kStart);
  terminal.report(JobUnsatisfiable{{"t\x1b", {"l\x1b"}, 2}, 1, false}, kStart);
  Snapshot snapshot = snapshot_of(0, 1, 1);
  snapshot.waiting_for = FittingWorker{{"t\x1b", {"l\x1b"}, 2}};
  terminal.show(snapshot, kStart + seconds(10));
  terminal.finish(snapshot, NoLocalWorker{"cannot start \x1b"}, kStart + seconds(11));
  const string text = screen.read();
  EXPECT_TRUE(std::all_of(text.begin(), text.end(), [](char c) {
    return c == '\n' || (c >= 0x20 && c < 0x7f);
  })) << text;
  EXPECT_TRUE(
      has(text, "job 'a\\x1b[2Jb' (line 12): exit\\x0astatus\\x07 on w\\x9b: \\x1b]0;title\\x07\\xff\n"))
      << text;
}

TEST(TerminalTest, ComingAndGoingIsToldWithinBounds) {
  const Screen screen(Screen::Kind::kPipe);
  Console console(screen.fd());
  Terminal terminal(console, options_of(), kStart);
  // Every half second one leaves and one joins, so there are four of each in two seconds.
  for (int i = 0; i < 18; ++i) {
    const Time now = kStart + i * milliseconds(500);
    terminal.report(WorkerJoined{"w" + std::to_string(i), 2, false}, now);
    terminal.report(WorkerLeft{"w" + std::to_string(i), SaidGoodbye{}, 0, false}, now);
    terminal.show(snapshot_of(0, 0, 9), now);
  }
  const string text = screen.read();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 20) << text;
  EXPECT_TRUE(text.starts_with("worker w0 joined (2 slots)\nworker w0 left: said goodbye\n")) << text;
  terminal.report(WorkerLeft{"w1", SilentFor{seconds(10)}, 1, true}, kStart + seconds(30));
  terminal.say("something else");
  const string later = screen.read();
  EXPECT_TRUE(has(later, " more such lines left out)\n")) << later;
  EXPECT_TRUE(later.ends_with("worker w1 is lost: silent for 10s; 1 job goes to others\nsomething else\n"))
      << later;
}

TEST(TerminalTest, ACrowdOfWorkersIsOneLineAndNoLineComesLate) {
  const Screen screen(Screen::Kind::kPipe);
  Console console(screen.fd());
  TerminalOptions options = options_of(Progress::kNone);
  Terminal terminal(console, options, kStart);
  for (int i = 0; i < 100; ++i) terminal.report(WorkerJoined{"w" + std::to_string(i), 2, false}, kStart);
  EXPECT_EQ(screen.read(), "");
  EXPECT_EQ(terminal.next_draw(), kStart + seconds(2));
  terminal.show(snapshot_of(0, 0, 9), kStart + milliseconds(1999));
  EXPECT_EQ(screen.read(), "");
  terminal.show(snapshot_of(0, 0, 9), kStart + seconds(2));
  EXPECT_EQ(screen.read(), "100 workers joined, 200 slots\n");
  // Whatever else is said comes behind what was there before.
  terminal.report(WorkerJoined{"late", 2, false}, kStart + seconds(3));
  terminal.report(failure("x", "exit status 2"), kStart + seconds(3));
  EXPECT_TRUE(screen.read().starts_with("worker late joined (2 slots)\nnot ok  job 'x'"));
  for (int i = 0; i < 6; ++i) terminal.report(WorkerLeft{"w", SaidGoodbye{}, 0, false}, kStart + seconds(4));
  terminal.finish(snapshot_of(9, 0, 9), AllRecorded{true}, kStart + seconds(4));
  EXPECT_TRUE(screen.read().starts_with("6 workers left: said goodbye\ndone: 9 ok"));
}

TEST(TerminalTest, LevelsAndTheLocalWorker) {
  const Screen screen(Screen::Kind::kPipe);
  Console console(screen.fd());
  TerminalOptions options = options_of();
  options.listening = false;
  Terminal quiet(console, options, kStart);
  quiet.report(WorkerJoined{"here", 2, false}, kStart);
  quiet.report(WorkerLeft{"here", SaidGoodbye{}, 0, false}, kStart);
  quiet.report(JobRetried{"x", 1, "exit status 1", seconds(1)}, kStart);
  EXPECT_EQ(screen.read(), "");
  options.log_level = "error";
  Terminal silent(console, options, kStart);
  silent.report(WorkerLeft{"here", ConnectionLost{}, 0, true}, kStart);
  silent.report(ReturnsEverything{"x"}, kStart);
  EXPECT_EQ(screen.read(), "");
  options.log_level = "debug";
  Terminal talking(console, options, kStart);
  talking.report(JobRetried{"x", 1, "exit status 1", milliseconds(1500)}, kStart);
  EXPECT_EQ(screen.read(), "job 'x' is tried again in 1.5s (attempt 1: exit status 1)\n");
}

TEST(TerminalTest, ProgressNoneStillSaysHowWorkersCome) {
  const Screen screen(Screen::Kind::kPipe);
  Console console(screen.fd());
  TerminalOptions listening = options_of(Progress::kNone);
  listening.listening = true;
  Terminal terminal(console, listening, kStart);
  BannerFacts facts;
  facts.listen = Address{"127.0.0.1", 31000};
  terminal.banner(facts);
  EXPECT_TRUE(has(screen.read(), "tcp://127.0.0.1:31000"));
}

TEST(TerminalTest, AWorkerOutOfReachIsNotSaidToBeLost) {
  const Screen screen(Screen::Kind::kPipe);
  Console console(screen.fd());
  Terminal terminal(console, options_of(), kStart);
  terminal.report(WorkerOutOfReach{"w"}, kStart);
  terminal.report(WorkerLeft{"w", SilentFor{seconds(10)}, 0, true, false}, kStart);
  terminal.say("end");
  const string text = screen.read();
  EXPECT_TRUE(has(text, "worker w has registered but did not connect for its jobs")) << text;
  EXPECT_FALSE(has(text, "lost")) << text;
}

TEST(TerminalTest, WhileStoppingNothingGoesToOthers) {
  const Screen screen(Screen::Kind::kPipe);
  Console console(screen.fd());
  Terminal terminal(console, options_of(), kStart);
  terminal.report(WorkerLeft{"w", SilentFor{seconds(2)}, 2, true}, kStart);
  terminal.stop_requested(StopKind::kInterrupt, 3, {}, seconds(30));
  terminal.report(WorkerLeft{"w", SilentFor{seconds(2)}, 2, true}, kStart);
  terminal.say("end");
  EXPECT_EQ(screen.read(),
            "worker w is lost: silent for 2s; 2 jobs go to others\n"
            "Ctrl-C: leaving now\n"
            "worker w is lost: silent for 2s; 2 jobs not done\nend\n");
}

TEST(TerminalTest, StopsAreAnsweredAtOnce) {
  const Screen screen(Screen::Kind::kPipe);
  Console console(screen.fd());
  Terminal terminal(console, options_of(), kStart);
  Snapshot snapshot;
  snapshot.running = 37;
  terminal.stop_requested(StopKind::kInterrupt, 1, snapshot, seconds(30));
  snapshot.running = 1;
  terminal.stop_requested(StopKind::kInterrupt, 2, snapshot, seconds(30));
  terminal.stop_requested(StopKind::kInterrupt, 3, snapshot, seconds(30));
  terminal.stop_requested(StopKind::kTerminate, 1, snapshot, seconds(30));
  snapshot.running = 0;
  snapshot.stuck_records = 4;
  terminal.stop_requested(StopKind::kInterrupt, 1, snapshot, seconds(30));
  terminal.stop_requested(StopKind::kInterrupt, 2, snapshot, seconds(30));
  EXPECT_EQ(screen.read(),
            "Ctrl-C: finishing 37 running jobs; Ctrl-C again cancels them\n"
            "Ctrl-C: cancelling 1 job; Ctrl-C again leaves at once\n"
            "Ctrl-C: leaving now\n"
            "SIGTERM: finishing 1 running job, for at most 30s; a second signal cancels it\n"
            "Ctrl-C: nothing new is started; waiting until 4 results can be written; Ctrl-C again "
            "leaves without them\n"
            "Ctrl-C: leaving; 4 results could not be written, and those jobs run again\n");
}

// ---- banner and summary ----

TEST(TerminalTest, BannerHasTheWorkerCommand) {
  BannerFacts facts;
  facts.version = "0.1.0";
  facts.jobs = "jobs.jsonl";
  facts.results = "out.jsonl";
  facts.total = 200;
  facts.before = 20;
  facts.local_slots = 4;
  EXPECT_EQ(banner_text(facts),
            "workpool 0.1.0: 200 jobs from jobs.jsonl, 20 of them done before\n"
            "results go to out.jsonl; a local worker runs 4 jobs at a time");
  facts.listen = Address{"0.0.0.0", 5555};
  facts.reachable = "10.1.2.3";
  facts.insecure = true;
  const string text = banner_text(facts);
  EXPECT_TRUE(has(text, "\n  workpool-worker tcp://10.1.2.3:5555 --insecure")) << text;
  EXPECT_TRUE(has(text, "open to everyone")) << text;
  EXPECT_LE(std::count(text.begin(), text.end(), '\n') + 1, 5);
  facts.listen = Address{"::1", 5555};
  facts.reachable = "::1";
  EXPECT_EQ(worker_command(facts), "workpool-worker 'tcp://[::1]:5555' --insecure");
  facts.insecure = false;
  facts.join_key = "wp1-abc";
  EXPECT_EQ(worker_command(facts), "WORKPOOL_KEY=wp1-abc workpool-worker 'tcp://[::1]:5555'");
  EXPECT_TRUE(has(banner_text(facts), ", encrypted;"));
  facts.join_key.clear();
  facts.key_file = "pool.key";
  EXPECT_EQ(worker_command(facts), "WORKPOOL_KEY=wp1-... workpool-worker 'tcp://[::1]:5555'");
  EXPECT_TRUE(has(banner_text(facts), "keygen pool.key --worker NAME")) << banner_text(facts);
}

TEST(TerminalTest, ReachableHosts) {
  EXPECT_EQ(reachable_host("192.168.7.7"), "192.168.7.7");
  EXPECT_EQ(reachable_host("some-name"), "some-name");
  const string host = reachable_host("0.0.0.0");
  EXPECT_FALSE(host.empty());
  EXPECT_NE(host, "0.0.0.0");
  const string routes =
      "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
      "wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n"
      "eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
      "down0\t00000000\t0101A8C0\t0002\t0\t0\t1\t00000000\t0\t0\t0\n"
      "eth1\t0000A8C0\t00000000\t0001\t0\t0\t1\t0000FFFF\t0\t0\t0\n";
  EXPECT_EQ(default_route_interface(routes), "eth0");
  EXPECT_EQ(default_route_interface("Iface\n"), "");
}

TEST(TerminalTest, SummaryNamesTheNextCommand) {
  SummaryFacts facts;
  facts.snapshot = snapshot_of(9, 1, 10);
  facts.end = AllRecorded{false};
  facts.elapsed = milliseconds(12'300);
  facts.per_second = 0.8;
  facts.slot_use = 0.97;
  facts.results = "out.jsonl";
  facts.command = options_of().command;
  EXPECT_EQ(
      summary_text(facts),
      "done: 9 ok, 1 failed of 10 jobs\n"
      "12.3s, 0.80/s, slots 97% busy\n"
      "results: out.jsonl\n"
      "to run what is not ok again: workpool-dispatcher run 'my jobs.jsonl' -o out.jsonl --retry-failed");
  facts.snapshot = snapshot_of(4, 1, 10);
  facts.end = Stopped{};
  facts.command.emplace_back("--overwrite");
  const string stopped = summary_text(facts);
  EXPECT_TRUE(has(stopped, "stopped: interrupted (SIGINT)\n4 ok, 1 failed, 5 not done of 10 jobs\n"))
      << stopped;
  EXPECT_TRUE(has(stopped, "\nto continue: workpool-dispatcher run 'my jobs.jsonl' -o out.jsonl"));
  EXPECT_FALSE(has(stopped, "--overwrite"));
  facts.resumable = false;
  EXPECT_FALSE(has(summary_text(facts), "to continue"));
  facts.given_up = {describe(JobUnsatisfiable{{"thumbnail", {"a", "b"}, 4}, 2, true})};
  EXPECT_TRUE(has(summary_text(facts),
                  "no worker could run 2 jobs of type 'thumbnail' with the labels a, b that need 4 slots\n"));
  facts.lacking_handler = "thumbnail";
  EXPECT_TRUE(has(summary_text(facts),
                  "\na program for the type 'thumbnail' is given with --handler thumbnail=COMMAND, to this "
                  "command or to a worker\n"));
}

TEST(TerminalTest, SlotUse) {
  const Screen screen(Screen::Kind::kPipe);
  Console console(screen.fd());
  Terminal terminal(console, options_of(), kStart);
  terminal.show(snapshot_of(0, 0, 4), kStart);
  for (int i = 0; i < 4; ++i) terminal.attempt_ended(seconds(5), 1);
  terminal.finish(snapshot_of(4, 0, 4), AllRecorded{true}, kStart + seconds(10));
  const string text = screen.read();
  EXPECT_TRUE(has(text, "slots 50% busy")) << text;  // 4 jobs of 5 s in 4 slots over 10 s
  terminal.finish(snapshot_of(4, 0, 4), AllRecorded{true}, kStart + seconds(10));
  EXPECT_EQ(screen.read(), "");
}

TEST(TerminalTest, ShellWords) {
  EXPECT_EQ(shell_word("a-b_c.d/e=f"), "a-b_c.d/e=f");
  EXPECT_EQ(shell_word(""), "''");
  EXPECT_EQ(shell_word("it's"), "'it'\\''s'");
  EXPECT_EQ(shell_word("ö $x"), "'ö $x'");
  EXPECT_EQ(shell_word("a\n\x1b'\\"), "$'a\\x0a\\x1b\\'\\\\'");
  EXPECT_EQ(shell_line(command_again({"p", "run", "--overwrite", "--", "--overwrite"}, true, false)),
            "p run --retry-failed -- --overwrite");
  EXPECT_EQ(shell_line(command_again({"p", "run", "j"}, false, true)), "p run j --overwrite=false")
      << "the environment says so";
  EXPECT_EQ(shell_line(command_again({"p", "run", "j", "--overwrite=false"}, false, true)),
            "p run j --overwrite=false")
      << "the command that was printed, again";
  EXPECT_EQ(shell_line(command_again({"p", "run", "--overwrite", "j"}, false, true)),
            "p run j --overwrite=false");
}

}  // namespace
}  // namespace workpool::dispatcher

// SPDX-License-Identifier: MIT
// The command lines of both programs: what they accept, what they refuse, with which words and exit code.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "common/base/address.h"
#include "common/io/cores.h"
#include "dispatcher/cli.h"
#include "dispatcher/cli_commands.h"
#include "dispatcher/io/results/results_path.h"
#include "worker/cli.h"

namespace workpool {
namespace {

using dispatcher::CheckOptions;
using dispatcher::RunOptions;
using dispatcher::StatusOptions;
using dispatcher::VerifyOptions;
using worker::WorkerOptions;

std::string read_pipe(int fd) {
  std::string text(65536, '\0');
  const ssize_t count = ::read(fd, text.data(), text.size());
  text.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  return text;
}

// A folder of its own as working directory, an environment of its own, and what went to the console.
class CommandLineTest : public ::testing::Test {
 protected:
  CommandLineTest() : before_(std::filesystem::current_path()) {
    char name[] = "/tmp/workpool-cli-XXXXXX";
    folder_ = ::mkdtemp(name);
    std::filesystem::current_path(folder_);
    std::ofstream("jobs.jsonl") << "{\"cmd\":[\"true\"]}\n";
  }
  ~CommandLineTest() override {
    std::filesystem::current_path(before_);
    std::filesystem::remove_all(folder_);
  }

  template <typename Parse>
  auto parse(const std::vector<std::string>& arguments, Parse parse_command_line) {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    Console console(ends[1]);
    const Environment environment = [this](const std::string& name) -> const char* {
      const auto place = variables_.find(name);
      return place == variables_.end() ? nullptr : place->second.c_str();
    };
    auto result = parse_command_line(arguments, environment, console);
    said_ = read_pipe(ends[0]);
    ::close(ends[0]);
    ::close(ends[1]);
    return result;
  }
  dispatcher::CommandLine dispatcher_line(const std::vector<std::string>& arguments) {
    return parse(arguments, [](const auto& a, const auto& e, Console& c) {
      return dispatcher::parse_command_line(a, e, c);
    });
  }
  worker::CommandLine worker_line(const std::vector<std::string>& arguments) {
    return parse(arguments, [](const auto& a, const auto& e, Console& c) {
      return worker::parse_command_line(a, e, c);
    });
  }

  RunOptions run(const std::vector<std::string>& arguments) {
    std::vector<std::string> all = {"run"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const auto line = dispatcher_line(all);
    EXPECT_TRUE(std::holds_alternative<RunOptions>(line)) << said_;
    return std::holds_alternative<RunOptions>(line) ? std::get<RunOptions>(line) : RunOptions{};
  }
  RunOptions run_of(const std::vector<std::string>& words) {
    const auto line = dispatcher_line(words);
    EXPECT_TRUE(std::holds_alternative<RunOptions>(line)) << said_;
    return std::holds_alternative<RunOptions>(line) ? std::get<RunOptions>(line) : RunOptions{};
  }
  WorkerOptions serve(const std::vector<std::string>& arguments) {
    const auto line = worker_line(arguments);
    EXPECT_TRUE(std::holds_alternative<WorkerOptions>(line)) << said_;
    return std::holds_alternative<WorkerOptions>(line) ? std::get<WorkerOptions>(line) : WorkerOptions{};
  }
  // Refused with that code and one line on the console that has the words in it.
  void refused(const std::vector<std::string>& arguments, int code, const std::string& words) {
    expect_refusal(std::visit([](const auto& value) { return code_of(value); }, dispatcher_line(arguments)),
                   code, words);
  }
  void worker_refused(const std::vector<std::string>& arguments, int code, const std::string& words) {
    expect_refusal(std::visit([](const auto& value) { return code_of(value); }, worker_line(arguments)), code,
                   words);
  }

  std::map<std::string, std::string> variables_;
  std::string said_;

 private:
  static int code_of(ExitCode code) { return exit_status(code); }
  template <typename Options>
  static int code_of(const Options&) {
    return -1;
  }
  void expect_refusal(int given, int code, const std::string& words) {
    EXPECT_EQ(given, code) << said_;
    EXPECT_NE(said_.find(words), std::string::npos) << said_;
    EXPECT_EQ(std::count(said_.begin(), said_.end(), '\n'), 1) << said_;
    EXPECT_EQ(said_.find("see --help") != std::string::npos, code == 2) << said_;
  }

  std::filesystem::path before_;
  std::string folder_;
};

TEST_F(CommandLineTest, DefaultsOfRun) {
  const RunOptions options = run({"jobs.jsonl"});
  EXPECT_EQ(options.jobs, "jobs.jsonl");
  EXPECT_EQ(options.results, "jobs.results.jsonl");
  EXPECT_FALSE(options.local || options.listen || options.format || options.durability);
  EXPECT_FALSE(options.insecure || options.overwrite || options.retry_failed);
  EXPECT_EQ(options.ports_low, 0);
  EXPECT_FALSE(options.defaults.retries || options.defaults.timeout || options.defaults.change_lines());
  EXPECT_EQ(options.grace, seconds(30));
  EXPECT_EQ(options.crash_limit, 3U);
  EXPECT_EQ(options.patience_without_worker(), seconds(2));
  EXPECT_EQ(run({"jobs.jsonl", "--listen", "tcp://127.0.0.1:5555"}).patience_without_worker(), seconds(60));
  EXPECT_EQ(options.worker_timeout, seconds(10));
  EXPECT_FALSE(options.capture_bytes || options.capture_failed_only);
  EXPECT_EQ(options.progress, dispatcher::Progress::kAuto);
  EXPECT_EQ(options.log_level, "info");
  EXPECT_EQ(said_, "");
}

TEST_F(CommandLineTest, EveryFlagOfRun) {
  const RunOptions options = run({"-o",
                                  "-",
                                  "--local",
                                  "3",
                                  "--listen=tcp://[::]:0",
                                  "--ports",
                                  "6000-6010",
                                  "--insecure",
                                  "--overwrite",
                                  "--retry-failed",
                                  "--format",
                                  "lines",
                                  "--retries",
                                  "2",
                                  "--timeout",
                                  "1h30m",
                                  "--durability",
                                  "os",
                                  "--grace",
                                  "5",
                                  "--crash-limit",
                                  "1",
                                  "--unsatisfiable-after",
                                  "0",
                                  "--worker-timeout",
                                  "2s",
                                  "--capture",
                                  "256KiB",
                                  "--progress",
                                  "none",
                                  "--log-level",
                                  "trace",
                                  "--",
                                  "-jobs"});
  EXPECT_EQ(options.jobs, "-jobs");
  EXPECT_EQ(options.results, "-");
  EXPECT_EQ(options.local, 3U);
  EXPECT_EQ(options.listen->host, "::");
  EXPECT_EQ(options.listen->port, 0);
  EXPECT_EQ(options.ports_low, 6000);
  EXPECT_EQ(options.ports_high, 6010);
  EXPECT_TRUE(options.insecure && options.overwrite && options.retry_failed);
  EXPECT_EQ(options.format, JobsFormat::kLines);
  EXPECT_EQ(options.defaults.retries, 2U);
  EXPECT_EQ(options.defaults.timeout, seconds(5400));
  EXPECT_EQ(options.durability, dispatcher::Durability::kOs);
  EXPECT_EQ(options.grace, seconds(5));
  EXPECT_EQ(options.crash_limit, 1U);
  EXPECT_EQ(options.unsatisfiable_after, Duration(0));
  EXPECT_EQ(options.worker_timeout, seconds(2));
  EXPECT_EQ(options.capture_bytes, 262144U);
  EXPECT_EQ(options.progress, dispatcher::Progress::kNone);
  EXPECT_EQ(options.log_level, "trace");
}

TEST_F(CommandLineTest, WhenToStop) {
  const RunOptions number = run({"jobs.jsonl", "--max-fails", "20", "--until-ok=3"});
  EXPECT_EQ(number.max_fails, 20U);
  EXPECT_FALSE(number.max_fails_percent);
  EXPECT_EQ(number.until_ok, 3U);
  const RunOptions part = run({"jobs.jsonl", "--max-fails=7", "--max-fails=5%"});
  EXPECT_FALSE(part.max_fails) << "the last one counts";
  EXPECT_EQ(part.max_fails_percent, 5U);
  for (const char* wrong : {"0", "0%", "101%", "%", "5 %", "few", "-1"})
    refused({"run", "jobs.jsonl", "--max-fails", wrong}, 2,
            "is neither a number of jobs from 1 on nor a part");
  refused({"run", "jobs.jsonl", "--until-ok", "0"}, 2, "--until-ok");
}

TEST_F(CommandLineTest, OtherCommands) {
  EXPECT_EQ(std::get<CheckOptions>(dispatcher_line({"check", "-"})).jobs, "-");
  const auto verify = std::get<VerifyOptions>(dispatcher_line({"verify", "a", "b", "--format=lines"}));
  EXPECT_EQ(verify.jobs + verify.results, "ab");
  EXPECT_EQ(verify.format, JobsFormat::kLines);
  const auto status = std::get<StatusOptions>(dispatcher_line({"status"}));
  EXPECT_FALSE(status.address);
  EXPECT_EQ(status.path, "");
  EXPECT_FALSE(status.json || status.all || status.watch);
  EXPECT_EQ(std::get<StatusOptions>(dispatcher_line({"status", "a.results.jsonl", "--all"})).path,
            "a.results.jsonl");
  const auto other = std::get<StatusOptions>(dispatcher_line({"status", "--json", "tcp://[::1]:7000"}));
  EXPECT_EQ(other.address.value().text(), "tcp://[::1]:7000");
  EXPECT_TRUE(other.json);
}

TEST_F(CommandLineTest, UsageErrorsNameTheFlagAndWhatToDo) {
  refused({"run"}, 2, "JOBS is missing");
  refused({"run", "jobs.jsonl", "more"}, 2, "unexpected argument 'more'");
  refused({"run", "jobs.jsonl", "--resultz", "x"}, 2, "unknown flag '--resultz'; did you mean --results?");
  refused({"run", "jobs.jsonl", "--result", "x"}, 2, "did you mean --results?");
  refused({"run", "jobs.jsonl", "--overw"}, 2, "unknown flag '--overw'");
  refused({"run", "jobs.jsonl", "--halt", "now,fail=1"}, 2, "unknown flag '--halt'");
  refused({"run", "jobs.jsonl", "-x"}, 2, "unknown flag '-x'");
  refused({"run", "jobs.jsonl", "--retries"}, 2, "--retries needs a value");
  refused({"run", "jobs.jsonl", "--results="}, 2, "--results: the value is empty");
  refused({"run", "jobs.jsonl", "--retries", "-1"}, 2, "--retries: '-1' is not a whole number");
  refused({"run", "jobs.jsonl", "--retries", "2x"}, 2, "--retries: '2x'");
  refused({"run", "jobs.jsonl", "--retries", "99999999999"}, 2, "--retries");
  refused({"run", "jobs.jsonl", "--timeout", "soon"}, 2, "--timeout: 'soon' is not a duration");
  refused({"run", "jobs.jsonl", "--worker-timeout", "1.9s"}, 2, "at least 2s");
  refused({"run", "jobs.jsonl", "--capture", "17MiB"}, 2, "at most 16MiB");
  refused({"run", "jobs.jsonl", "--ports", "6000"}, 2, "is not a range");
  refused({"run", "jobs.jsonl", "--ports", "6000-5999"}, 2, "two ports or more");
  refused({"run", "jobs.jsonl", "--ports", "6000-70000"}, 2, "is not a range");
  refused({"run", "jobs.jsonl", "--ports", "0-10"}, 2, "is not a range");
  refused({"run", "jobs.jsonl", "--format", "csv"}, 2, "--format: 'csv' is none of jsonl, lines");
  refused({"run", "jobs.jsonl", "--durability", "full"}, 2, "none of sync, os");
  refused({"run", "jobs.jsonl", "--progress", "loud"}, 2, "none of auto, bar, plain, none");
  refused({"run", "jobs.jsonl", "--log-level", "loud"}, 2, "is not a log level");
  refused({"run", "jobs.jsonl", "--crash-limit", "0"}, 2, "from 1");
  refused({"run", "jobs.jsonl", "--listen", "10.0.0.1"}, 2, "is not an address");
  refused({"run", "jobs.jsonl", "--overwrite=maybe"}, 2, "--overwrite");
  refused({"run", "jobs.jsonl", "--local", "0"}, 2, "--local 0 without --listen");
  refused({"run", "jobs.jsonl", "--name\x1b[31m"}, 2, "--name\\x1b[31m");
  refused({"verify", "a"}, 2, "RESULTS is missing");
  refused({"status", "here:5555"}, 2, "RESULTS|ADDRESS: 'here:5555' is not an address");
  refused({"rnu", "jobs.jsonl"}, 2, "unknown command 'rnu'; did you mean run?");
  refused({"jobs.jsonl"}, 2, "did you mean run jobs.jsonl?");
  refused({"--local", "2"}, 2, "a command comes first");
}

TEST_F(CommandLineTest, BareProgramsPrintAShortHelp) {
  EXPECT_EQ(std::get<ExitCode>(dispatcher_line({})), ExitCode::kUsage);
  EXPECT_NE(said_.find("usage: workpool-dispatcher"), std::string::npos);
  EXPECT_EQ(std::get<ExitCode>(worker_line({})), ExitCode::kUsage);
  EXPECT_NE(said_.find("usage: workpool-worker ADDRESS"), std::string::npos);
}

TEST_F(CommandLineTest, AFileNamedLikeACommandIsAFile) { EXPECT_EQ(run({"check"}).jobs, "check"); }

TEST_F(CommandLineTest, HowManyJobsAtOnce) {
  const auto cores = static_cast<std::int64_t>(usable_cores());
  const auto jobs = [&](const std::string& value) {
    return std::int64_t{run({"jobs.jsonl", "-j", value}).local.value_or(0)};
  };
  EXPECT_EQ(jobs("3"), 3);
  EXPECT_EQ(jobs("200%"), 2 * cores);
  EXPECT_EQ(jobs("1%"), 1);
  EXPECT_EQ(jobs("+2"), cores + 2);
  EXPECT_EQ(jobs("-1"), std::max<std::int64_t>(cores - 1, 1));
  EXPECT_EQ(jobs("-1000"), 1);
  EXPECT_EQ(jobs("0"), 1000);
  EXPECT_EQ(run({"jobs.jsonl", "-j8"}).local, 8U);
  for (const char* bad : {"", "x", "1.5", "+", "%", "1e3", "99999999999", "70000"})
    refused({"run", "jobs.jsonl", std::string("--jobs=") + bad}, 2, "--jobs");
}

TEST_F(CommandLineTest, EachTakesFlagsBeforeItsCommandOnly) {
  const auto options = run_of({"each", "-k0n4", "-j", "-1", "--tag", "-o", "out", "grep", "-n", "-o", "x",
                               "--tag", ":::", "a", "-b"});
  EXPECT_EQ(options.each->command, (std::vector<std::string>{"grep", "-n", "-o", "x", "--tag"}));
  EXPECT_EQ(options.each->sources.at(0).values, (std::vector<std::string>{"a", "-b"}));
  EXPECT_EQ(options.each->values_per_job, 4U);
  EXPECT_EQ(options.results, "out");
  EXPECT_TRUE(options.output->keep_order && options.output->tagged);
  EXPECT_EQ(options.flag_words, 6U);
  const auto dashes = run_of({"each", "--shell=bash", "--", "-k", ":::"});
  EXPECT_EQ(dashes.each->command, (std::vector<std::string>{"-k"}));
  EXPECT_EQ(dashes.each->setting.defaults.shell, "\"bash\"");
  EXPECT_TRUE(dashes.each->sources.at(0).values.empty());
  const auto quiet = run_of({"each", "--quiet", "--shell", "x"});
  EXPECT_FALSE(quiet.output);
  EXPECT_TRUE(quiet.each->setting.shell && quiet.each->setting.defaults.shell.empty());
  EXPECT_EQ(quiet.each->sources.at(0).path, "-");
}

TEST_F(CommandLineTest, ResultsByDefault) {
  EXPECT_EQ(dispatcher::default_results("a.d/jobs"), "a.d/jobs.results.jsonl");
  EXPECT_EQ(dispatcher::default_results("a.d/jobs.txt"), "a.d/jobs.results.jsonl");
  EXPECT_EQ(dispatcher::default_results(".jobs"), ".jobs.results.jsonl");
  EXPECT_EQ(dispatcher::default_results("jobs.tar.gz"), "jobs.tar.results.jsonl");
  ASSERT_EQ(::mkfifo("fifo", 0600), 0);
  for (const char* pipe : {"-", "fifo"}) {
    EXPECT_EQ(run({pipe}).results, "/dev/null");
    EXPECT_TRUE(run({pipe}).output);
  }
  EXPECT_EQ(run({"-", "-o", "-"}).results, "-");
  EXPECT_FALSE(run({"-", "-o", "-"}).output);
  // Both are for whoever opens them to refuse, with 65.
  EXPECT_EQ(run({"missing.jsonl"}).results, "missing.results.jsonl");
  EXPECT_EQ(run({"."}).jobs, ".");
}

TEST_F(CommandLineTest, ResultsAreNeverTheJobs) {
  std::filesystem::create_symlink("jobs.jsonl", "soft");
  std::filesystem::create_hard_link("jobs.jsonl", "hard");
  std::filesystem::create_symlink(".", "here");
  for (const char* results : {"jobs.jsonl", "./jobs.jsonl", "soft", "hard", "here/jobs.jsonl"}) {
    refused({"run", "jobs.jsonl", "-o", results}, 2, "the same file");
  }
  refused({"run", "missing", "-o", "missing"}, 2, "the same file");
  std::ofstream("x.state") << "true\n";
  refused({"run", "x.state", "-o", "x"}, 2, "x.state would be JOBS");
}

TEST_F(CommandLineTest, TheEnvironmentCountsAndTheFlagWins) {
  variables_ = {{"WORKPOOL_RETRIES", "4"},
                {"WORKPOOL_RESULTS", "env.jsonl"},
                {"WORKPOOL_INSECURE", "1"},
                {"WORKPOOL_LISTEN", "tcp://10.0.0.1:5555"},
                {"WORKPOOL_GRACE", ""}};
  const RunOptions options = run({"jobs.jsonl", "--retries", "1"});
  EXPECT_EQ(options.defaults.retries, 1U);
  EXPECT_EQ(options.results, "env.jsonl");
  EXPECT_TRUE(options.insecure);
  EXPECT_EQ(options.grace, seconds(30));
  variables_ = {{"WORKPOOL_RETRIES", "many"}};
  refused({"run", "jobs.jsonl"}, 2, "environment variable WORKPOOL_RETRIES: 'many'");
  EXPECT_EQ(run({"jobs.jsonl", "--retries", "3"}).defaults.retries, 3U);
  variables_ = {{"WORKPOOL_OVERWRITE", "no"}};
  EXPECT_FALSE(run({"jobs.jsonl"}).overwrite);
  EXPECT_TRUE(run({"jobs.jsonl", "--overwrite"}).overwrite);
  variables_ = {{"WORKPOOL_LABEL", "gpu,big"}, {"WORKPOOL_LOCAL_PARENT", "0"}};
  const WorkerOptions worker = serve({"tcp://127.0.0.1:5555"});
  EXPECT_EQ(worker.labels, (std::vector<std::string>{"big", "gpu"}));
  EXPECT_EQ(worker.parent_fd, -1);
}

TEST_F(CommandLineTest, KeysGoWithAnyAddressAndNotWithInsecure) {
  for (const char* address :
       {"tcp://0.0.0.0:5555", "tcp://*:5555", "tcp://[::]:5555", "tcp://192.168.1.2:5555",
        "tcp://127.0.0.2:5555", "tcp://[::1]:5555", "tcp://some-name:5555"}) {
    EXPECT_TRUE(run({"jobs.jsonl", "--listen", address}).listen.has_value());
    EXPECT_TRUE(run({"jobs.jsonl", "--listen", address, "--insecure"}).insecure);
    EXPECT_EQ(run({"jobs.jsonl", "--listen", address, "--key", "a.key"}).key, "a.key");
  }
  refused({"run", "jobs.jsonl", "--listen", "tcp://h:1", "--key", "a.key", "--insecure"}, 2, "--insecure");
  refused({"run", "jobs.jsonl", "--key", "a.key"}, 2, "--listen");
  refused({"run", "jobs.jsonl", "--listen", "ipc:///tmp/folder"}, 2, "--listen");
  EXPECT_TRUE(serve({"tcp://10.0.0.1:5555", "--insecure"}).insecure);
  EXPECT_EQ(serve({"tcp://some-name:5555", "--key", "-"}).key_file, "-");
  EXPECT_EQ(serve({"ipc:///tmp/folder"}).dispatcher.host, "/tmp/folder");
}

TEST_F(CommandLineTest, DefaultsAndFlagsOfTheWorker) {
  const WorkerOptions options = serve({"tcp://[::1]:5555"});
  EXPECT_EQ(options.dispatcher.text(), "tcp://[::1]:5555");
  EXPECT_GE(options.slots, 1U);
  EXPECT_EQ(options.slots, usable_cores());
  EXPECT_FALSE(options.name.empty());
  EXPECT_EQ(options.grace, seconds(25));
  EXPECT_EQ(options.orphan_grace.after_contact, seconds(60));
  EXPECT_EQ(options.orphan_grace.first_contact, Duration::max());
  EXPECT_FALSE(options.local());
  const WorkerOptions given =
      serve({"tcp://a:1", "--slots", "7", "--name",         "n\xc3\xb6", "--label", "b",  "--label",
             "a",         "--label", "b", "--orphan-grace", "0",         "--grace", "1s", "--local-parent",
             "0",         "--lock",  "1", "--log-level",    "warn"});
  EXPECT_EQ(given.slots, 7U);
  EXPECT_EQ(given.name, "n\xc3\xb6");
  EXPECT_EQ(given.labels, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(given.orphan_grace.first_contact, Duration(0));
  EXPECT_EQ(given.orphan_grace.after_contact, Duration(0));
  EXPECT_TRUE(given.local());
  EXPECT_EQ(given.lock_fd, 1);
  EXPECT_EQ(serve({"tcp://a:1", "--orphan-grace", "inf"}).orphan_grace.after_contact, Duration::max());
}

TEST_F(CommandLineTest, UsageErrorsOfTheWorker) {
  worker_refused({"--slots", "2"}, 2, "ADDRESS is missing");
  worker_refused({"10.0.0.1:5555"}, 2, "is not an address");
  worker_refused({"tcp://*:5555"}, 2, "is not an address");
  worker_refused({"tcp://a:1", "--slots", "0"}, 2, "from 1");
  worker_refused({"tcp://a:1", "--name", ""}, 2, "--name: '' is empty");
  worker_refused({"tcp://a:1", "--name", std::string(65, 'x')}, 2, "at most 64 bytes");
  worker_refused({"tcp://a:1", "--name", "a\nb"}, 2, "do not print");
  worker_refused({"tcp://a:1", "--name", "\xff"}, 2, "do not print");
  worker_refused({"tcp://a:1", "--label", ""}, 2, "is empty");
  worker_refused({"tcp://a:1", "--orphan-grace", "never"}, 2, "neither inf nor a duration");
  worker_refused({"tcp://a:1", "--slot", "2"}, 2, "did you mean --slots?");
  worker_refused({"tcp://a:1", "--lock", "9999"}, 2, "no open descriptor");
}

// No dispatcher reads a HELLO of more than 4 KiB: the worker would wait for an answer forever.
TEST_F(CommandLineTest, LabelsThatDoNotFitARegistrationAreRefused) {
  worker_refused({"tcp://a:1", "--label", std::string(65, 'x')}, 2, "at most 64 bytes");
  std::vector<std::string> arguments = {"tcp://a:1", "--slots", "65535", "--name", std::string(64, 'n')};
  std::size_t fit = 0;
  for (std::size_t count = 1; count <= 64; ++count) {
    std::string label = std::to_string(count);
    label.resize(64, 'x');
    arguments.insert(arguments.end(), {"--label", label});
    const auto parsed = worker_line(arguments);
    if (const auto* code = std::get_if<ExitCode>(&parsed)) {
      EXPECT_EQ(*code, ExitCode::kUsage);
      break;
    }
    fit = count;
  }
  EXPECT_GE(fit, 55U);
  EXPECT_LT(fit, 64U);
  worker_refused(arguments, 2, "give fewer or shorter --label");
  EXPECT_NE(said_.find(std::to_string(fit + 1) + " labels of "), std::string::npos) << said_;
}

TEST_F(CommandLineTest, HelpFitsTheScreenAndTellsWhatItMust) {
  const std::vector<std::vector<std::string>> commands = {{"--help"},           {"run", "--help"},
                                                          {"check", "-h"},      {"verify", "--help"},
                                                          {"status", "--help"}, {"keygen", "-h"}};
  for (const auto& command : commands) {
    ::testing::internal::CaptureStdout();
    EXPECT_EQ(std::get<ExitCode>(dispatcher_line(command)), ExitCode::kOk);
    std::istringstream text(::testing::internal::GetCapturedStdout());
    EXPECT_NE(text.str().find("Exit codes"), std::string::npos);
    EXPECT_NE(text.str().find("Example"), std::string::npos);
    for (std::string line; std::getline(text, line);) EXPECT_LE(line.size(), 100U) << line;
  }
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(std::get<ExitCode>(worker_line({"--help"})), ExitCode::kOk);
  const std::string help = ::testing::internal::GetCapturedStdout();
  EXPECT_NE(help.find("--orphan-grace D"), std::string::npos);
  EXPECT_EQ(help.find("--lock"), std::string::npos);
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(std::get<ExitCode>(dispatcher_line({"--version"})), ExitCode::kOk);
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), std::string("workpool ") + WORKPOOL_VERSION + "\n");
}

TEST_F(CommandLineTest, QuotasOfControlGroups) {
  const auto write = [](const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path) << text;
  };
  EXPECT_EQ(cpu_quota("none"), std::nullopt);
  // Version 2, the limit on the parent.
  write("two/proc/self/mountinfo", "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  write("two/proc/self/cgroup", "0::/a/b\n");
  write("two/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  write("two/sys/fs/cgroup/a/cpu.max", "150000 100000\n");
  EXPECT_DOUBLE_EQ(cpu_quota("two").value(), 1.5);
  // Version 1 in a container: the mount shows the group itself.
  write("one/proc/self/mountinfo",
        "30 24 0:26 /docker/x /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n");
  write("one/proc/self/cgroup", "4:cpu,cpuacct:/docker/x\n0::/\n");
  write("one/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "50000\n");
  write("one/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  EXPECT_DOUBLE_EQ(cpu_quota("one").value(), 0.5);
  write("one/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(cpu_quota("one"), std::nullopt);
}

}  // namespace
}  // namespace workpool

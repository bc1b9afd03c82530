// SPDX-License-Identifier: MIT
#include "common/formats/jobs_file.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "common/formats/json_text.h"
#include "tests/unit/common/jobs_lines.h"

namespace workpool {
namespace {

bool is_empty_line(std::string_view line, JobsFormat format) {
  JobLineParser parser(format);
  return std::holds_alternative<NoJob>(parser.parse(line));
}

// ---- the examples and the spec ----

TEST(JobsFile, TakesTheExamplesOfTheReadme) {
  const JobLine argv = good(R"({"cmd": ["sha256sum", "a.bin"]})");
  EXPECT_EQ(argv.work, R"({"cmd":["sha256sum","a.bin"]})");
  EXPECT_EQ(argv.id, "");
  EXPECT_EQ(argv.requirement, Requirement{});

  EXPECT_EQ(good(R"({"cmd": "gzip -k *.log && ls", "id": "logs"})").id, "logs");

  const JobLine handler = good(R"({"type": "thumbnail", "args": {"source": "a.jpg", "width": 200}})");
  EXPECT_EQ(handler.requirement.type, "thumbnail");
  EXPECT_EQ(handler.work, R"({"type":"thumbnail","args":{"source":"a.jpg","width":200}})");
}

TEST(JobsFile, ReadsEveryMember) {
  const JobLine job =
      good(R"({"slots": 3, "labels": ["gpu", "a", "gpu"], "retries": 4294967295, "timeout": 1.5,)"
           R"( "priority": -2147483648, "stdin": "\u0000", "cwd": "/", "env": {"A": ""}, "cmd": ["x", ""]})");
  EXPECT_EQ(job.requirement, (Requirement{"", {"a", "gpu"}, 3}));
  EXPECT_EQ(job.retries, 4294967295U);
  EXPECT_EQ(job.timeout, milliseconds(1500));
  EXPECT_EQ(job.priority, -2147483648LL);
  EXPECT_EQ(job.work, R"({"cmd":["x",""],"env":{"A":""},"cwd":"/","stdin":"\u0000"})")
      << "in the order of the spec";
}

TEST(JobsFile, NotesAreNoPartOfTheSpec) {
  const JobLine job = good(
      R"({"meta": [1, {"a": "b"}], "cmd": ["x"], "each": {"1": "a b", "n": {"base64":"/w=="}, "g": ["c", "d"]}})");
  EXPECT_EQ(job.notes.members,
            R"("meta":[1,{"a":"b"}],"each":{"1":"a b","n":{"base64":"/w=="},"g":["c","d"]})");
  EXPECT_EQ(job.notes.name, "a b \xff c d");
  EXPECT_EQ(job.spec, good(R"({"cmd":["x"]})").spec);
  EXPECT_EQ(good(R"({"cmd":["x"]})").notes, JobNotes{});
}

TEST(JobsFile, ShellAndOkExitArePartOfTheSpec) {
  EXPECT_EQ(good(R"({"ok_exit": [0, 1], "shell":"bash", "cmd": "x", "stdin":"y"})").work,
            R"({"cmd":"x","stdin":"y","shell":"bash","ok_exit":[0,1]})");
}

TEST(JobsFile, TimeoutsAreSecondsOrDurations) {
  const auto timeout = [](const char* value) {
    return good(R"({"cmd":"x","timeout":)" + std::string(value) + "}").timeout;
  };
  EXPECT_EQ(timeout("30"), seconds(30));
  EXPECT_EQ(timeout("0"), seconds(0)) << "none, whatever --timeout says";
  EXPECT_EQ(timeout("0.1"), milliseconds(100));
  EXPECT_EQ(timeout("1e-9"), microseconds(1)) << "tiny, but not none";
  EXPECT_EQ(timeout("315360000"), seconds(315360000));
  EXPECT_EQ(timeout("\"1h30m\""), seconds(5400));
  EXPECT_EQ(timeout("\"90\""), seconds(90));
  EXPECT_FALSE(good(R"({"cmd":"x"})").timeout);
}

// `printf '%s' WORK | xxhsum -H128` prints these; they never change, since results files hold them.
TEST(JobsFile, TenSpecsArePinned) {
  const auto json = JobsFormat::kJsonLines;
  const auto lines = JobsFormat::kLines;
  const auto spec = [](std::string_view line, JobsFormat format) { return hex(good(line, format).spec); };
  EXPECT_EQ(spec(R"( { "cmd" : [ "true" ] })", json), "385bb00ad9936907bb3342b79c51cb85");
  EXPECT_EQ(spec(R"({"cmd": "gzip -k *.log && ls", "id": "logs"})", json),
            "f4f738050c17fe39d3111547deddfd48");
  EXPECT_EQ(
      spec(
          R"({"stdin": "x\ny", "cwd": "/tmp", "env": {"A": "1 2", "B": ""}, "cmd": ["printf", "a\u0041 b"]})",
          json),
      "c716c365bc5ebe1e52c3b13086dd8624");
  EXPECT_EQ(spec(R"({"type": "noop", "priority": 5})", json), "33fe9cce9a293d36a68c1fb397f653d7");
  EXPECT_EQ(spec(R"({"args": [1, 1E5, -0.0, {}, []], "type": "echo"})", json),
            "7fca88007eaba03bebee321f9b902b81");
  EXPECT_EQ(spec(R"({"type": "echo", "args": null})", json), "f830d1bc9e090bb927e82232195c8b79");
  EXPECT_EQ(spec("echo \"hi\" \\ \011x", lines), "6807c8f8b10d6a34155d75150c988c0e");
  EXPECT_EQ(spec("ls -l", lines), "244593bb99ad8aaf4618d11e4af3e0b0");
  EXPECT_EQ(spec("  indented # not a comment", lines), "6efaecb04292048d59e105c9a64bb362");
  EXPECT_EQ(spec("printf \033\001\303\251\342\202\254\360\237\230\200\177", lines),
            "a16c3ff4ece96f36d970d7672ebc9586");
}

TEST(JobsFile, NothingButWhitespaceIsNormalised) {
  EXPECT_EQ(good(" {\t\"args\" : [ 1E5 , 100000.0, \"a  b\", \"\\u0041\\/\", -0 ] , \"type\":\"x\"}\r").work,
            R"({"type":"x","args":[1E5,100000.0,"a  b","\u0041\/",-0]})");
}

TEST(JobsFile, AKeyMayBeWrittenWithEscapes) { EXPECT_EQ(good(R"({"c\u006dd":"x"})").work, R"({"cmd":"x"})"); }

TEST(JobsFile, PrioritiesAndTheLikeAreNoPartOfTheSpec) {
  EXPECT_EQ(
      good(R"({"cmd":["true"],"priority":1,"timeout":2,"retries":3,"labels":["a"],"slots":2,"id":"x"})").spec,
      good(R"({"cmd":["true"]})").spec);
}

TEST(JobsFile, BlankLinesAndComments) {
  for (const char* line : {"", " ", "\t \t", "  \r"}) {
    EXPECT_TRUE(is_empty_line(line, JobsFormat::kJsonLines));
    EXPECT_TRUE(is_empty_line(line, JobsFormat::kLines));
  }
  EXPECT_TRUE(is_empty_line("# comment", JobsFormat::kLines));
  EXPECT_TRUE(is_empty_line("  # comment", JobsFormat::kLines));
}

TEST(JobsFile, AParserServesAnyLineAfterAnyOther) {
  JobLineParser parser(JobsFormat::kJsonLines);
  const std::string large = R"({"cmd":"a","stdin":")" + std::string(900'000, 'x') + R"("})";
  for (int round = 0; round < 3; ++round) {
    EXPECT_TRUE(std::holds_alternative<JobView>(parser.parse(R"({"cmd":"a","id":"x","labels":["l"]})")));
    EXPECT_TRUE(std::holds_alternative<LineError>(parser.parse(R"({"cmd":"a)")));
    EXPECT_TRUE(std::holds_alternative<JobView>(parser.parse(large)));
    const auto plain = parser.parse(R"({"cmd":["b"]})");
    ASSERT_TRUE(std::holds_alternative<JobView>(plain));
    EXPECT_EQ(std::get<JobView>(plain).work, R"({"cmd":["b"]})");
    EXPECT_EQ(std::get<JobView>(plain).id, "");
    EXPECT_TRUE(std::get<JobView>(plain).requirement.labels.empty());
  }
}

TEST(JobsFile, ColumnOfTheId) {
  EXPECT_EQ(id_column(R"({"cmd":["id"],"id": "x"})"), 21U);
  EXPECT_EQ(id_column(R"({"i\u0064":"x","cmd":"a"})"), 12U);
  EXPECT_EQ(id_column(R"({"cmd":"a"})"), 1U);
  EXPECT_EQ(id_column("{\"cmd"), 1U);
  EXPECT_EQ(id_column(""), 1U);
}

// ---- the worker's side ----

TEST(Work, CommandsComeBackAsTheyWere) {
  const auto parsed = WorkParser().parse(
      good(R"({"cmd":["a","b c\u0041"],"env":{"A":"1","B":""},"cwd":"/t","stdin":"x\n"})").work);
  const auto* command = std::get_if<CommandWork>(&parsed);
  ASSERT_NE(command, nullptr);
  EXPECT_FALSE(command->for_shell);
  EXPECT_EQ(command->argv, (std::vector<std::string>{"a", "b cA"}));
  EXPECT_EQ(command->env, (std::vector<std::pair<std::string, std::string>>{{"A", "1"}, {"B", ""}}));
  EXPECT_EQ(command->cwd, "/t");
  EXPECT_EQ(command->standard_input, "x\n");
}

TEST(Work, ShellLinesComeBackAsTheyWere) {
  const std::string line = "printf \"a\\n\" \x1b\x1f \xe2\x82\xac";
  const auto parsed = WorkParser().parse(good(line, JobsFormat::kLines).work);
  const auto* command = std::get_if<CommandWork>(&parsed);
  ASSERT_NE(command, nullptr);
  EXPECT_TRUE(command->for_shell);
  EXPECT_EQ(command->argv, (std::vector<std::string>{"/bin/sh", "-c", line}));
  EXPECT_FALSE(command->cwd);
  EXPECT_FALSE(command->standard_input);

  const auto dashed = WorkParser().parse(good("-f x || echo no", JobsFormat::kLines).work);
  EXPECT_EQ(std::get<CommandWork>(dashed).argv,
            (std::vector<std::string>{"/bin/sh", "-c", "--", "-f x || echo no"}))
      << "no options of the shell";

  // The longest line, all of it control characters that take six bytes each.
  const std::string longest(kArgumentBytesMax, '\x01');
  const auto large = WorkParser().parse(good(longest, JobsFormat::kLines).work);
  ASSERT_TRUE(std::holds_alternative<CommandWork>(large));
  EXPECT_EQ(std::get<CommandWork>(large).argv[2], longest);
}

TEST(Work, BytesAShellAndExitStatusesArrive) {
  const auto command_of = [](const char* line) {
    const JobLine job = good(line);
    WorkParser parser;
    return std::get<CommandWork>(parser.parse(job.work));
  };
  const CommandWork bytes =
      command_of(R"({"cmd":["a",{"base64":"/w=="}],"stdin":{"base64":"/gA="},"cwd":{"base64":"Lw=="}})");
  EXPECT_EQ(bytes.argv, (std::vector<std::string>{"a", "\xff"}));
  EXPECT_EQ(bytes.standard_input, std::string("\xfe\0", 2));
  EXPECT_EQ(bytes.cwd, "/");
  EXPECT_EQ(bytes.ok_exits, std::bitset<256>{1});
  const CommandWork shell = command_of(R"({"cmd":{"base64":"ZWNobyD/"},"shell":"bash","ok_exit":[1,255]})");
  EXPECT_EQ(shell.argv, (std::vector<std::string>{"bash", "-c", "echo \xff"}));
  EXPECT_TRUE(shell.ok_exits[1] && shell.ok_exits[255] && !shell.ok_exits[0]);
  WorkParser parser;
  EXPECT_TRUE(std::holds_alternative<LineError>(parser.parse(R"({"cmd":["x"],"shell":"bash"})")));
}

TEST(Work, HandlersGetTheirArgsAsText) {
  const std::string work = good(R"({"type":"echo","args":{ "a":[1E5] }})").work;  // the args are a part of it
  const auto with = WorkParser().parse(work);
  ASSERT_TRUE(std::holds_alternative<HandlerWork>(with));
  EXPECT_EQ(std::get<HandlerWork>(with).type, "echo");
  EXPECT_EQ(std::get<HandlerWork>(with).args, R"({"a":[1E5]})");
  EXPECT_EQ(std::get<HandlerWork>(WorkParser().parse(R"({"type":"noop"})")).args, "null");
}

TEST(Work, NothingButWorkIsTaken) {
  for (const char* text : {"",
                           " ",
                           "null",
                           "[]",
                           "{}",
                           "{",
                           R"({"cmd":[]})",
                           R"({"cmd":"a"} )",
                           R"( {"cmd":"a"})",
                           R"({"cmd": "a"})",
                           R"({"cmd":["a", "b"]})",
                           R"({ "cmd":"a"})",
                           R"({"cmd":"a" })",
                           R"({"cwd":"/","cmd":"a"})",
                           R"({"cmd":"a","cmd":"b"})",
                           R"({"cmd":"a","type":"b"})",
                           R"({"cmd":"a","id":"x"})",
                           R"({"cmd":"a","priority":1})",
                           R"({"c\u006dd":"a"})",
                           R"({"type":"a b"})",
                           R"({"args":1})",
                           R"({"type":"x","args":{"a":1,"a":2}})",
                           R"({"cmd":"a\u0000"})",
                           R"({"type":"x","cwd":"/"})",
                           "{\"cmd\":\"\xff\"}",
                           R"({"cmd":"a"}{)"}) {
    EXPECT_TRUE(std::holds_alternative<LineError>(WorkParser().parse(text))) << text;
  }
  EXPECT_TRUE(std::holds_alternative<LineError>(WorkParser().parse(std::string(3 << 20, '['))));
}

// ---- properties ----

// A JSON text of any kind, with `space` between its tokens.
std::string random_value(int depth, const std::function<std::string()>& space) {
  const int kind = *rc::gen::inRange(0, depth > 3 ? 5 : 7);
  std::string text;
  switch (kind) {
    case 0:
      return "null";
    case 1:
      return *rc::gen::element<std::string>("0", "-0", "1E5", "1.50", "18446744073709551615", "-7e-3");
    case 2:
      return "true";
    case 3:
    case 4:
      return *rc::gen::element<std::string>(R"("")", R"("a  b")", R"("\" [ \\")", R"("\u00e9\/")",
                                            "\"\xc3\xa9 {\"");
    case 5: {
      text = "[" + space();
      const int count = *rc::gen::inRange(0, 4);
      for (int i = 0; i < count; ++i)
        text += (i > 0 ? "," : "") + space() + random_value(depth + 1, space) + space();
      return text + "]";
    }
    default: {
      text = "{" + space();
      const int count = *rc::gen::inRange(0, 4);
      for (int i = 0; i < count; ++i) {
        text += (i > 0 ? "," : "") + space() + "\"k " + std::to_string(i) + '"' + space() + ":" + space() +
                random_value(depth + 1, space) + space();
      }
      return text + "}";
    }
  }
}

RC_GTEST_PROP(JobsFileProperty, RespacingALineChangesNothing, ()) {
  const std::string spaced =
      random_value(0, [] { return *rc::gen::element<std::string>("", " ", "\t", "  \r "); });
  std::string tight;
  append_compact_json(tight, spaced, 0);
  const JobLine left = good(" { \"id\" : \"i\" ,\"args\":" + spaced + " , \"type\":\t\"x\" }");
  const JobLine right = good(R"({"type":"x","args":)" + tight + "}");
  RC_ASSERT(left.work == right.work);
  RC_ASSERT(left.spec == right.spec);
  const auto work = WorkParser().parse(left.work);
  RC_ASSERT(std::holds_alternative<HandlerWork>(work));
  RC_ASSERT(std::get<HandlerWork>(work).args == tight);
}

// The fast judge and the slow one agree, or an error would have no place: a few bytes of a good line are
// changed.
RC_GTEST_PROP(JobsFileProperty, BothJudgesAgree, ()) {
  std::string line = R"({"type":"x","args":)" + random_value(0, [] { return std::string(" "); }) + "}";
  const int changes = *rc::gen::inRange(1, 4);
  for (int i = 0; i < changes; ++i) {
    const auto at = *rc::gen::inRange<std::size_t>(0, line.size());
    const char byte = *rc::gen::element('"', '\\', '{', '}', '[', ']', ',', ':', '0', '-', 'e', '.', 'u',
                                        '\t', ' ', '\xc3', '\x01', '/');
    if (*rc::gen::arbitrary<bool>()) {
      line[at] = byte;
    } else {
      line.insert(line.begin() + static_cast<std::ptrdiff_t>(at), byte);
    }
  }
  JobLineParser parser(JobsFormat::kJsonLines);
  const auto parsed = parser.parse(line);
  const auto fault = find_json_fault(line);
  if (std::holds_alternative<JobView>(parsed)) RC_ASSERT(!fault);
  if (const auto* error = std::get_if<LineError>(&parsed)) {
    RC_ASSERT(error->message != "not valid JSON");
    RC_ASSERT(error->column <= line.size() + 1);
  }
}

RC_GTEST_PROP(JobsFileProperty, AnyBytesAreAJobOrAnErrorInside, (const std::string& bytes)) {
  for (const JobsFormat format : {JobsFormat::kJsonLines, JobsFormat::kLines}) {
    JobLineParser parser(format);
    const auto parsed = parser.parse(bytes);
    if (const auto* error = std::get_if<LineError>(&parsed)) {
      RC_ASSERT(error->column >= 1U && error->column <= bytes.size() + 1);
    }
    if (const auto* job = std::get_if<JobView>(&parsed)) {
      RC_ASSERT(!std::holds_alternative<LineError>(WorkParser().parse(job->work)));
    }
  }
  (void)WorkParser().parse(bytes);
}

}  // namespace
}  // namespace workpool

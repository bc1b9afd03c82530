// SPDX-License-Identifier: MIT
#include "common/wire/codec.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <string>

#include "tests/unit/common/any_message.h"
#include "tests/unit/common/golden_frames.h"
#include "tests/unit/common/msgpack_tree.h"
#include "tests/unit/common/same_message.h"
#include "tests/unit/common/sample_frames.h"

namespace workpool {
namespace {

template <class Message>
std::string encoded(const Message& message) {
  std::string frame = "left from before";
  encode(message, frame);
  return frame;
}
template <class Message>
std::string encoded(const Header& header, const Message& message) {
  std::string frame = "left from before";
  encode(header, message, frame);
  return frame;
}

std::string from_hex(std::string_view digits) {
  std::string bytes;
  const auto value = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    bytes += static_cast<char>(value(digits[i]) * 16 + value(digits[i + 1]));
  }
  return bytes;
}

std::map<std::string, std::string> golden_frames() {
  std::map<std::string, std::string> frames;
  for (const golden::Frame& frame : golden::kFrames) frames[frame.name] = from_hex(frame.hex);
  return frames;
}

// ---- round trips ----

RC_GTEST_PROP(CodecProperty, AHelloComesBack, ()) {
  const RegistrationRequest hello = any::hello();
  const std::string frame = encoded(hello);
  RC_PRE(frame.size() <= kHelloBytesMost);
  const auto decoded = decode_request(frame);
  RC_ASSERT(decoded.has_value());
  RC_ASSERT(same(*decoded, hello));
}

RC_GTEST_PROP(CodecProperty, ARegistrationReplyComesBack, ()) {
  RegistrationReply reply = any::welcome();
  const int which = *rc::gen::inRange(0, 3);
  if (which == 1) reply = any::refused();
  if (which == 2) reply = StatusReply{any::u32(), any::bytes(100'000)};
  const auto decoded = decode_reply(encoded(reply));
  RC_ASSERT(decoded.has_value());
  RC_ASSERT(same(*decoded, reply));
}

RC_GTEST_PROP(CodecProperty, ASinkMessageComesBack, ()) {
  const Header header = any::header();
  const SinkMessage message = any::sink_message();
  const auto decoded = decode_sink(encoded(header, message));
  RC_ASSERT(decoded.has_value());
  RC_ASSERT(same(decoded->header, header));
  RC_ASSERT(same(std::get<SinkMessage>(decoded->content), message));
}

RC_GTEST_PROP(CodecProperty, ALaneMessageComesBack, ()) {
  const Header header = any::header();
  const LaneMessage message = any::lane_message();
  const auto decoded = decode_lane(encoded(header, message));
  RC_ASSERT(decoded.has_value());
  RC_ASSERT(same(decoded->header, header));
  RC_ASSERT(same(std::get<LaneMessage>(decoded->content), message));
}

TEST(Codec, NoDirectionReadsTheOther) {
  for (const SampleFrame& frame : sample_frames()) {
    if (frame.name == "PART") continue;  // the one message of both
    for (const Decoder decoder : {Decoder::kRequest, Decoder::kReply, Decoder::kSink, Decoder::kLane}) {
      EXPECT_EQ(decodes(decoder, frame.bytes), decoder == frame.decoder) << frame.name;
    }
  }
}

TEST(Codec, TheLargestItemsTravel) {
  JobResult result;
  result.attempt = 1;
  result.outcome.command.emplace();
  result.outcome.command->standard_output = std::string(1 << 20, '\0');
  result.outcome.command->standard_error = std::string(1 << 20, '\xff');
  const SinkMessage results = Results{{result}};
  const auto up = decode_sink(encoded(sample::kHeader, results));
  ASSERT_TRUE(up);
  EXPECT_TRUE(same(std::get<SinkMessage>(up->content), results));

  JobOrder order;
  order.id = std::string(256, 'i');
  order.attempt = 1;
  order.work = std::string(2 << 20, 'w');
  const LaneMessage jobs = Jobs{1, 2, {order}};
  const auto down = decode_lane(encoded(sample::kHeader, jobs));
  ASSERT_TRUE(down);
  EXPECT_TRUE(same(std::get<LaneMessage>(down->content), jobs));
}

TEST(Codec, AJobWithoutItsKindHasTheOneThatItsWorkBeginsWith) {
  for (const JobKind kind : {JobKind::kCommand, JobKind::kHandler}) {
    JobOrder order;
    order.attempt = 1;
    order.work = kind == JobKind::kCommand ? R"({"cmd":["true"]})" : R"({"type":"noop"})";
    order.kind = static_cast<JobKind>(7);
    std::string frame = encoded(sample::kHeader, LaneMessage{Jobs{1, 2, {order}}});
    const auto kind_of_only_job = [](const std::string& bytes) {
      const auto decoded = decode_lane(bytes);
      return std::get<Jobs>(std::get<LaneMessage>(decoded->content)).jobs.at(0).kind;
    };
    EXPECT_EQ(kind_of_only_job(frame), static_cast<JobKind>(7)) << "one that is not known here is passed on";
    const std::size_t fields = frame.rfind('\x99');
    ASSERT_EQ(frame.back(), '\x07');
    frame.pop_back();
    frame[fields] = '\x98';
    EXPECT_EQ(kind_of_only_job(frame), kind);
  }
}

TEST(Codec, LongListsTravel) {
  const SinkMessage held =
      Held{std::vector<HeldJob>(70'000, HeldJob{sample::kKey, sample::kSpec, 1, seconds(1)})};
  const auto decoded = decode_sink(encoded(sample::kHeader, held));
  ASSERT_TRUE(decoded);
  EXPECT_TRUE(same(std::get<SinkMessage>(decoded->content), held));
}

TEST(Codec, TextsForPeopleAreCutNotRefused) {
  Outcome outcome;
  outcome.status = Status::kFailed;
  outcome.kind = ErrorKind::kHandler;
  outcome.message = std::string(10'000, 'm');
  const auto decoded =
      decode_sink(encoded(sample::kHeader, SinkMessage{Results{{{{}, {}, {}, 1, {}, {}, outcome}}}}));
  ASSERT_TRUE(decoded);
  const auto& results = std::get<Results>(std::get<SinkMessage>(decoded->content)).results;
  EXPECT_EQ(results.at(0).outcome.message.size(), kErrorMessageBytesMax);
  EXPECT_TRUE(decode_sink(encoded(sample::kHeader, SinkMessage{Died{{{1, std::string(9'000, 'c'), {}}}}})));
  EXPECT_TRUE(decode_reply(encoded(RegistrationReply{Refused{1, Refusal::kOther, std::string(9'000, 'r')}})));
}

TEST(Codec, ANegativeDurationIsNone) {
  const auto decoded = decode_sink(encoded(sample::kHeader, SinkMessage{Held{{{{}, {}, 1, Duration{-5}}}}}));
  ASSERT_TRUE(decoded);
  EXPECT_EQ(std::get<Held>(std::get<SinkMessage>(decoded->content)).jobs.at(0).elapsed, Duration{0});
}

// ---- pinned bytes ----

TEST(Codec, WritesWhatMsgpackOfAnotherLanguageWrites) {
  const auto golden = golden_frames();
  std::size_t compared = 0;
  for (const SampleFrame& frame : sample_frames()) {
    ASSERT_TRUE(golden.contains(frame.name)) << frame.name;
    EXPECT_EQ(frame.bytes, golden.at(frame.name)) << frame.name << ": the wire has changed";
    ++compared;
  }
  EXPECT_EQ(compared, golden.size() + 1) << "PART goes both ways";
}

TEST(Codec, ReadsWhatMsgpackOfAnotherLanguageWrites) {
  const auto golden = golden_frames();
  for (const auto& [name, message] : sample::requests()) {
    const auto decoded = decode_request(golden.at(name));
    EXPECT_TRUE(decoded && same(*decoded, message)) << name;
  }
  for (const auto& [name, message] : sample::replies()) {
    const auto decoded = decode_reply(golden.at(name));
    EXPECT_TRUE(decoded && same(*decoded, message)) << name;
  }
  for (const auto& [name, message] : sample::sink()) {
    const auto decoded = decode_sink(golden.at(name));
    EXPECT_TRUE(decoded && same(std::get<SinkMessage>(decoded->content), message)) << name;
    EXPECT_TRUE(decoded && same(decoded->header, sample::kHeader)) << name;
  }
  for (const auto& [name, message] : sample::lane()) {
    const auto decoded = decode_lane(golden.at(name));
    EXPECT_TRUE(decoded && same(std::get<LaneMessage>(decoded->content), message)) << name;
    EXPECT_TRUE(decoded && same(decoded->header, sample::kHeader)) << name;
  }
}

// ---- fields of a later version ----

// Every record of the frame with fields behind those that we know. A result whose defaults are left away gets
// them.
std::string grown(const SampleFrame& frame) {
  using namespace std::string_literals;
  static const std::string kDefaults[18] = {"",     "",        "",        "",        "",     "",
                                            "\0"s,  "\0"s,     "\xc4\0"s, "\xc4\0"s, "\xc2", "\xc0",
                                            "\xc0", "\xc4\0"s, "\xc4\0"s, "\0"s,     "\0"s,  "\0"s};
  MsgpackNode tree = read_tree(frame.bytes);
  const bool results = frame.name.starts_with("RESULTS");
  while (frame.name.starts_with("BEAT") && tree.elements.size() < 9)
    tree.elements.push_back(MsgpackNode::raw("\x90"));
  if (frame.name == "WELCOME") tree.elements.push_back(MsgpackNode::raw("\xc2"));
  visit_tree(tree, [&](MsgpackNode& node, int depth) {
    if (!node.is_array || depth % 2 != 0) return;
    if (frame.name == "JOBS" && depth == 2) node.elements.push_back(MsgpackNode::raw("\0"s));
    while (results && depth == 2 && node.elements.size() < 18) {
      node.elements.push_back(MsgpackNode::raw(kDefaults[node.elements.size()]));
    }
    for (const std::string& field :
         {"\x07"s, "\xc0"s, "\xa3new"s, "\xc3"s, "\xc4\x02\x01\x02"s, "\xff"s, "\xd2\xff\xff\xff\0"s,
          "\xcb\0\0\0\0\0\0\0\0"s, "\xca\0\0\0\0"s, "\x92\x01\x92\xa1x\x90"s, "\xdc\0\1\2"s}) {
      node.elements.push_back(MsgpackNode::raw(field));
    }
  });
  return written(tree);
}

TEST(Codec, FieldsAddedAtTheEndAreReadOver) {
  std::map<std::string, SinkMessage> sink;
  for (const auto& [name, message] : sample::sink()) sink[name] = message;
  std::map<std::string, LaneMessage> lane;
  for (const auto& [name, message] : sample::lane()) lane[name] = message;
  for (const SampleFrame& frame : sample_frames()) {
    const std::string longer = grown(frame);
    ASSERT_TRUE(decodes(frame.decoder, longer)) << frame.name;
    if (sink.contains(frame.name)) {
      EXPECT_TRUE(same(std::get<SinkMessage>(decode_sink(longer)->content), sink[frame.name])) << frame.name;
    } else if (lane.contains(frame.name)) {
      EXPECT_TRUE(same(std::get<LaneMessage>(decode_lane(longer)->content), lane[frame.name])) << frame.name;
    } else if (frame.decoder == Decoder::kRequest) {
      EXPECT_EQ(encoded(*decode_request(longer)), frame.bytes);
    } else if (frame.decoder == Decoder::kReply) {
      EXPECT_EQ(encoded(*decode_reply(longer)), frame.bytes);
    }
  }
}

// Whatever stands in the fields of a command's end: they count only for a command, but must fit the kind.
TEST(Codec, AResultThatIsNoCommandHasNoEndOfOne) {
  MsgpackNode tree = read_tree(encoded(
      sample::kHeader,
      SinkMessage{
          Results{{{sample::kHandle, sample::kKey, sample::kSpec, 3, {}, {}, sample::command_outcome()}}}}));
  std::vector<MsgpackNode>& fields = tree.elements.at(4).elements.at(0).elements;
  fields.at(10) = MsgpackNode::raw("\xc2");  // false
  const auto decoded = decode_sink(written(tree));
  ASSERT_TRUE(decoded);
  const auto outcome = std::get<Results>(std::get<SinkMessage>(decoded->content)).results.at(0).outcome;
  EXPECT_FALSE(outcome.command);
  EXPECT_EQ(outcome.message, "exit status 3");
  fields.at(12) = MsgpackNode::raw("\x09");  // a signal, of a failure by its exit status
  EXPECT_FALSE(decode_sink(written(tree)));
}

// A result may stop after any field whose successors have their defaults: every length from 6 to 16.
TEST(Codec, AResultMayEndAfterAnyField) {
  const SampleFrame whole{
      "RESULTS", Decoder::kSink,
      encoded(sample::kHeader,
              SinkMessage{Results{
                  {{sample::kHandle, sample::kKey, sample::kSpec, 3, {}, {}, sample::command_outcome()}}}})};
  MsgpackNode tree = read_tree(whole.bytes);
  MsgpackNode& result = tree.elements.at(4).elements.at(0);
  ASSERT_EQ(result.elements.size(), 16U);
  for (std::size_t fields = 15; fields >= 6; --fields) {
    result.elements.resize(fields);
    const auto decoded = decode_sink(written(tree));
    if (fields == 7) {
      EXPECT_FALSE(decoded) << "failed, and of no kind";
      continue;
    }
    ASSERT_TRUE(decoded) << fields;
    const auto outcome = std::get<Results>(std::get<SinkMessage>(decoded->content)).results.at(0).outcome;
    EXPECT_EQ(outcome.status, fields > 6 ? Status::kFailed : Status::kOk) << fields;
    EXPECT_EQ(outcome.message, fields > 9 ? "exit status 3" : "") << fields;
    ASSERT_EQ(bool(outcome.command), fields > 10) << fields;
    if (!outcome.command) continue;
    EXPECT_EQ(outcome.command->exit.has_value(), fields > 11) << fields;
    EXPECT_EQ(outcome.command->standard_output.empty(), fields <= 13) << fields;
    EXPECT_EQ(outcome.command->standard_error.empty(), fields <= 14) << fields;
  }
  result.elements.resize(6);
  result.elements.push_back(MsgpackNode::raw(std::string(1, '\0')));
  EXPECT_TRUE(decode_sink(written(tree))) << "ok, and of no kind";
}

TEST(Codec, RegistrationOfAnotherProtocolIsReadUpToItsNumber) {
  using namespace std::string_literals;
  for (const std::string& rest : {""s, "\x80"s, "\xc1\xc1\xc1"s, std::string(3000, '\xdd'), "\xa3xyz\x01"s}) {
    const auto hello = decode_request("\x9e\x01\0\0\0\x02"s + rest);
    ASSERT_TRUE(hello) << rest.size();
    EXPECT_EQ(std::get<Hello>(*hello).protocol, 2U);
    const auto status = decode_request("\x95\x02\0\0\0\xcd\x01\0"s + rest);
    ASSERT_TRUE(status);
    EXPECT_EQ(std::get<StatusRequest>(*status).protocol, 256U);
    const auto welcome = decode_reply("\x9e\x03\0\0\0\x02"s + rest);
    ASSERT_TRUE(welcome);
    EXPECT_EQ(std::get<Welcome>(*welcome).protocol, 2U);
  }
  const auto refused = decode_reply("\x97\x04\0\0\0\x02\x4c\xa2no and what follows"s);
  ASSERT_TRUE(refused);
  EXPECT_EQ(std::get<Refused>(*refused).code, Refusal::kWrongProtocol);
  EXPECT_EQ(std::get<Refused>(*refused).reason, "no");
}

TEST(Codec, AnUnknownRefusalIsAnother) {
  using namespace std::string_literals;
  const auto refused = decode_reply("\x97\x04\0\0\0\x01\x4d\xa2no"s);
  ASSERT_TRUE(refused);
  EXPECT_EQ(std::get<Refused>(*refused).code, Refusal::kOther);
  const auto later = decode_reply("\x97\x04\0\0\0\x01\x02\xa2no"s);
  ASSERT_TRUE(later);
  EXPECT_EQ(std::get<Refused>(*later).code, Refusal::kOther);
}

}  // namespace
}  // namespace workpool

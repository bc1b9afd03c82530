// SPDX-License-Identifier: MIT
// Frames: what decodes must come out the same after it was encoded and decoded again.
#include "common/base/check.h"
#include "common/wire/codec.h"
#include "common/wire/messages.h"
#include "tests/fuzz/targets.h"

namespace workpool::fuzz {
namespace {

constexpr Header kHeader{{0x1112131415161718}, {0x2122232425262728}, 300};

template <class Frame, class Decode>
void check_stable(const std::optional<Frame>& first, Decode decode) {
  if (!first) return;
  std::string once;
  if (const auto* part = std::get_if<Part>(&first->content)) {
    CHECK(part->bytes.size() <= kPartBytesMost);
    PartAssembler assembler;
    CHECK(assembler.add(*part) == (part->index == 0));
    return;
  }
  encode(first->header, std::get<0>(first->content), once);
  const auto second = decode(once);
  CHECK(second && !std::holds_alternative<Part>(second->content));
  std::string twice;
  encode(second->header, std::get<0>(second->content), twice);
  CHECK(once == twice);
}

template <class Message, class Decode>
void check_stable_registration(const std::optional<Message>& first, Decode decode) {
  if (!first) return;
  std::string once;
  encode(*first, once);
  const auto second = decode(once);
  if (!second) return;  // of another protocol, read up to its number only
  std::string twice;
  encode(*second, twice);
  CHECK(once == twice);
}

template <class Message>
std::string encoded(const Message& message) {
  std::string frame;
  encode(kHeader, message, frame);
  return frame;
}
template <class Message>
std::string encoded_registration(const Message& message) {
  std::string frame;
  encode(message, frame);
  return frame;
}

}  // namespace

void run_decode_sink(std::string_view input) { check_stable(decode_sink(input), decode_sink); }
void run_decode_lane(std::string_view input) { check_stable(decode_lane(input), decode_lane); }
void run_decode_request(std::string_view input) {
  check_stable_registration(decode_request(input), decode_request);
}
void run_decode_reply(std::string_view input) {
  check_stable_registration(decode_reply(input), decode_reply);
}

std::vector<std::string> sink_seeds() {
  const Key key{{1, 2}};
  const Spec spec{{3, 4}};
  Outcome command;
  command.status = Status::kFailed;
  command.kind = ErrorKind::kExit;
  command.command.emplace();
  command.command->exit = 1;
  command.command->standard_output = "out";
  const JobResult result{{5}, key, spec, 1, {}, {}, command};
  JobResult value{{6}, key, spec, 1, {}, {}, {}};
  value.outcome.value = "[1]";
  std::vector<std::string> seeds;
  for (const SinkMessage& message : std::initializer_list<SinkMessage>{
           Died{{{1, "signal 11", {key}}}}, Held{{{key, spec, 1, seconds(1)}}}, Results{{result, value}},
           Returned{{{{5}, key, spec, 1, ReturnReason::kStopped}}}, Ready{},
           Beat{1, seconds(1), {{{5}, seconds(2)}}, {{5}}}, Goodbye{}}) {
    seeds.push_back(encoded(message));
  }
  seeds.push_back(frames_of(kHeader, std::string(kPartBytesMost + 5, 'p')).back());
  seeds.push_back("\xdd\x7f\xff\xff\xff");
  return seeds;
}

std::vector<std::string> lane_seeds() {
  JobOrder order;
  order.id = "id";
  order.attempt = 1;
  order.work = R"({"cmd":["true"]})";
  JobOrder numbered = order;
  numbered.id.clear();
  numbered.repeat = 2;
  std::vector<std::string> seeds;
  for (const LaneMessage& message :
       std::initializer_list<LaneMessage>{Jobs{1, 2, {order, numbered}}, Cancel{{{{5}, {}, 1}}},
                                          Recall{{{{5}, {}, 1}}}, LaneBeat{1, 2, 3}, Stop{}, End{}}) {
    seeds.push_back(encoded(message));
  }
  seeds.push_back(frames_of(kHeader, std::string(kPartBytesMost + 5, 'p')).back());
  return seeds;
}

std::vector<std::string> request_seeds() {
  Hello hello;
  hello.version = "0.1.0";
  hello.name = "w1";
  hello.handlers = {"echo", "sleep"};
  hello.labels = {"gpu"};
  return {encoded_registration(RegistrationRequest{hello}),
          encoded_registration(RegistrationRequest{StatusRequest{}})};
}

std::vector<std::string> reply_seeds() {
  Welcome welcome;
  welcome.session = {1};
  welcome.name = "w1";
  welcome.lane_port = welcome.sink_port = 5000;
  welcome.worker_timeout = seconds(10);
  return {encoded_registration(RegistrationReply{welcome}),
          encoded_registration(RegistrationReply{Refused{1, Refusal::kLater, "later"}}),
          encoded_registration(RegistrationReply{StatusReply{1, R"({"jobs":1})"}})};
}

}  // namespace workpool::fuzz

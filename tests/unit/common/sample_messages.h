// SPDX-License-Identifier: MIT
// One message of every type with every field different, by name. golden_frames.py holds the same values in
// python: change both, or none.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "common/wire/messages.h"

namespace workpool::sample {

inline constexpr Header kHeader{{0x1112131415161718}, {0x2122232425262728}, 300};
inline constexpr Key kKey{{0x0001020304050607, 0x08090a0b0c0d0e0f}};
inline constexpr Spec kSpec{{0xf0f1f2f3f4f5f6f7, 0xf8f9fafbfcfdfeff}};
inline constexpr Handle kHandle{0x0000000500000007};

template <class Message>
using Named = std::vector<std::pair<std::string, Message>>;

inline Named<RegistrationRequest> requests() {
  Hello hello;
  hello.version = "0.1.0";
  hello.worker = {0x3132333435363738};
  hello.engine = 2;
  hello.try_number = 200;
  hello.name = "w-\xc3\xa9";
  hello.slots = 70000;
  hello.handlers = {"echo", "sleep"};
  hello.labels = {"gpu"};
  return {{"HELLO", hello}, {"STATUS", StatusRequest{}}};
}

inline Named<RegistrationReply> replies() {
  Welcome welcome;
  welcome.run = {0x4142434445464748};
  welcome.session = {0x5152535455565758};
  welcome.name = "w-2";
  welcome.lane_port = 50000;
  welcome.sink_port = 255;
  welcome.worker_timeout = seconds(10);
  welcome.result_window = 8 << 20;
  welcome.capture_bytes = 65536;
  Welcome failed_only = welcome;
  failed_only.capture_failed_only = true;
  return {{"WELCOME", welcome},
          {"WELCOME_FAILED_ONLY", failed_only},
          {"REFUSED", Refused{kProtocol, Refusal::kWrongProtocol, "no"}},
          {"STATUS_REPLY", StatusReply{kProtocol, R"({"jobs":1})"}}};
}

inline Outcome command_outcome() {
  Outcome outcome;
  outcome.status = Status::kFailed;
  outcome.kind = ErrorKind::kExit;
  outcome.message = "exit status 3";
  outcome.command.emplace();
  outcome.command->exit = 3;
  outcome.command->standard_output = std::string("out\0\xff", 5);
  outcome.command->standard_error = std::string(300, 'e');
  outcome.command->truncated = 99;
  return outcome;
}

inline Named<SinkMessage> sink() {
  Outcome value;
  value.value = R"({"a":[1]})";
  Outcome killed = command_outcome();
  killed.kind = ErrorKind::kSignal;
  killed.command->exit.reset();
  killed.command->signal = -9;
  Outcome used = command_outcome();
  used.command->processor_time = microseconds(2500);
  used.command->memory_kib = 70001;
  Outcome out_of_place;
  out_of_place.status = Status::kFailed;
  out_of_place.kind = ErrorKind::kOutput;
  out_of_place.message = "no room";
  out_of_place.command.emplace().exit = 0;
  out_of_place.command->output_file.emplace() = {"/o/\xff", 70000, kSpec};
  out_of_place.command->keeps_errors = false;
  Outcome in_file;
  in_file.command.emplace().exit = 0;
  in_file.command->keeps_output = false;
  in_file.command->error_file.emplace() = {"/e", 0, kKey};
  Outcome late;
  late.status = Status::kTimeout;
  late.kind = ErrorKind::kTimeout;
  const auto result = [](const Outcome& outcome) {
    return JobResult{kHandle, kKey, kSpec, 3, microseconds(1), microseconds(70000), outcome};
  };
  return {{"DIED", Died{{{1, "signal 11 (SIGSEGV)", {kKey, Key{}}}, {2, "", {}}}}},
          {"HELD", Held{{{kKey, kSpec, 4, seconds(5000)}}}},
          {"HELD_EMPTY", Held{}},
          {"RESULTS",
           Results{{result({}), result(late), result(value), result(command_outcome()), result(killed)}}},
          {"RESULTS_USED", Results{{result(used)}}},
          {"RESULTS_FILES", Results{{result(out_of_place), result(in_file)}}},
          {"RETURNED", Returned{{{kHandle, kKey, kSpec, 1, ReturnReason::kNoResources}}}},
          {"READY", Ready{false}},
          {"BEAT", Beat{123456789, microseconds(40), {{kHandle, seconds(2)}}, {kHandle, Handle{1}}}},
          {"BEAT_PROGRESS", Beat{5, microseconds(6), {}, {}, {{kHandle, {400, "half w\xc3\xa4y"}}}}},
          {"BEAT_PLAIN", Beat{5, microseconds(6), {}, {}}},
          {"GOODBYE", Goodbye{}}};
}

inline Named<LaneMessage> lane() {
  JobOrder given;
  given.handle = kHandle;
  given.id = "job-1";
  given.key = kKey;
  given.spec = kSpec;
  given.attempt = 2;
  given.work = R"({"cmd":["true"]})";
  given.timeout = milliseconds(1500);
  given.slots = 3;
  JobOrder numbered = given;
  numbered.id.clear();
  numbered.repeat = 129;
  numbered.timeout = Duration{0};
  numbered.work = R"({"type":"noop"})";
  numbered.kind = JobKind::kHandler;
  JobOrder of_line = given;
  of_line.line = 70000;
  return {{"JOBS", Jobs{17, 18, {given, numbered}}},
          {"JOBS_LINE", Jobs{17, 18, {of_line}}},
          {"CANCEL", Cancel{{{kHandle, kKey, 2}, {Handle{}, kKey, 1}}}},
          {"RECALL", Recall{{{kHandle, kKey, 2}}}},
          {"LANE_BEAT", LaneBeat{~0ull, 1, 2}},
          {"STOP", Stop{}},
          {"END", End{}}};
}

}  // namespace workpool::sample

// SPDX-License-Identifier: MIT
// Any valid message, for properties: each function draws from rapidcheck and may only be called within one.
// With a preference for the numbers around which encodings change their width.
#pragma once

#include <rapidcheck.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "common/wire/codec.h"
#include "common/wire/messages.h"

namespace workpool::any {

inline std::uint64_t number() {
  return *rc::gen::oneOf(rc::gen::arbitrary<std::uint64_t>(),
                         rc::gen::element<std::uint64_t>(0, 1, 127, 128, 255, 256, 65535, 65536, 0x7fffffff,
                                                         0x80000000, 0xffffffff, 0x100000000,
                                                         0x7fffffffffffffff, 0x8000000000000000, ~0ull));
}
inline std::uint64_t up_to(std::uint64_t most) {
  const std::uint64_t drawn = number();
  return most == ~0ull ? drawn : drawn % (most + 1);
}
inline std::uint32_t u32() { return static_cast<std::uint32_t>(number()); }
inline std::uint32_t given_attempt() { return 1 + static_cast<std::uint32_t>(up_to((1u << 31) - 1)); }
inline Duration duration() { return Duration{static_cast<std::int64_t>(up_to(3'000'000'000'000'000))}; }
inline Key key() { return Key{{number(), number()}}; }
inline Spec spec() { return Spec{{number(), number()}}; }
inline Handle handle() { return Handle{number()}; }
inline Header header() { return {{number()}, {number()}, number()}; }

// Bytes of any value; their count around the widths of a length now and then.
inline std::string bytes(std::size_t most) {
  const auto drawn = *rc::gen::arbitrary<std::string>();
  const std::size_t size = *rc::gen::element<std::size_t>(0, 1, 31, 32, 255, 256, 65535, 65536);
  const bool sized = *rc::gen::inRange(0, 8) == 0;
  std::string text = sized ? std::string(size, '\xff') : drawn;
  if (text.size() > most) text.resize(most);
  return text;
}

template <class Draw>
auto list(Draw draw, int most = 20) {
  std::vector<decltype(draw())> items;
  const int count = *rc::gen::inRange(0, most);
  for (int i = 0; i < count; ++i) items.push_back(draw());
  return items;
}

inline Outcome outcome() {
  Outcome o;
  o.status = static_cast<Status>(*rc::gen::inRange(0, 3));
  if (o.status == Status::kTimeout) o.kind = ErrorKind::kTimeout;
  if (o.status == Status::kFailed) o.kind = static_cast<ErrorKind>(*rc::gen::inRange(1, 5));
  const int shape = *rc::gen::inRange(0, 5);  // so that trailing defaults are left away at every place
  if (shape > 0)
    o.value = *rc::gen::element<std::string>("", "null", "[1,\"\xc3\xa9\"]", std::string(70000, '1'));
  if (shape > 1) o.message = bytes(kErrorMessageBytesMax);
  if (shape < 4) return o;
  const auto maybe = [] {
    const bool there = *rc::gen::arbitrary<bool>();
    return there ? std::optional<std::int32_t>(static_cast<std::int32_t>(u32())) : std::nullopt;
  };
  CommandEnd& end = o.command.emplace();
  end.exit = o.status == Status::kOk ? std::optional<std::int32_t>(0) : maybe();
  end.signal = o.status == Status::kOk ? std::nullopt : maybe();
  if (o.kind == ErrorKind::kExit) end.signal.reset();
  if (o.kind == ErrorKind::kExit && end.exit.value_or(1) == 0) end.exit = 1;
  if (o.kind == ErrorKind::kSignal) end.exit.reset();
  end.standard_output = bytes(100'000);
  const int kept = *rc::gen::inRange(0, 4);
  if (kept == 0) end.keeps_errors = false;
  if (kept == 1) end.error_file.emplace() = {bytes(4096), number() >> 11, {number(), number()}};
  if (kept > 1) end.standard_error = bytes(100'000);
  end.truncated = number() >> 11;
  if (*rc::gen::arbitrary<bool>()) {
    end.processor_time = Duration(u32());
    end.memory_kib = number() >> 11;
  }
  return o;
}

inline Hello hello() {
  Hello h;
  h.version = bytes(256);
  h.worker = {number()};
  h.engine = u32();
  h.try_number = u32();
  h.name = bytes(256);
  h.slots = static_cast<std::uint32_t>(up_to(1 << 20));
  h.handlers = list([] { return bytes(40); });
  h.labels = list([] { return bytes(40); });
  return h;
}

inline Welcome welcome() {
  Welcome w;
  w.run = {number()};
  w.session = {1 + up_to(~0ull - 1)};
  w.name = bytes(512);
  w.lane_port = static_cast<std::uint16_t>(1 + up_to(65534));
  w.sink_port = static_cast<std::uint16_t>(1 + up_to(65534));
  w.worker_timeout = duration() + Duration{1};
  w.result_window = number();
  w.capture_bytes = number();
  w.capture_failed_only = *rc::gen::arbitrary<bool>();
  return w;
}

inline Refused refused() {
  const auto code =
      *rc::gen::element(Refusal::kComplete, Refusal::kLater, Refusal::kWrongProtocol, Refusal::kOther);
  return {u32(), code, bytes(kErrorMessageBytesMax)};
}

inline JobResult result() {
  return {handle(), key(), spec(), given_attempt(), duration(), duration(), outcome()};
}
inline JobRef ref() { return {handle(), key(), given_attempt()}; }
inline HeldJob held() { return {key(), spec(), given_attempt(), duration()}; }
inline BegunJob begun() { return {handle(), duration()}; }
inline JobProgress progress() {
  return {handle(), {static_cast<std::uint32_t>(up_to(kProgressMost)), bytes(kProgressTextBytesMax)}};
}
inline Death death() { return {u32(), bytes(256), list(key)}; }
inline ReturnedJob returned() {
  return {handle(), key(), spec(), given_attempt(), static_cast<ReturnReason>(*rc::gen::inRange(0, 3))};
}
inline JobOrder order() {
  JobOrder o;
  o.handle = handle();
  o.repeat = *rc::gen::arbitrary<bool>() ? 1 + up_to(~0ull - 1) : 0;
  if (o.repeat == 0) o.id = bytes(256);
  o.key = key();
  o.spec = spec();
  o.attempt = given_attempt();
  o.work = bytes(100'000);
  o.timeout = duration();
  o.slots = static_cast<std::uint32_t>(1 + up_to((1 << 20) - 1));
  o.kind = static_cast<JobKind>(up_to(255));
  if (*rc::gen::arbitrary<bool>()) o.line = number();
  return o;
}

inline SinkMessage sink_message() {
  switch (*rc::gen::inRange(0, 7)) {
    case 0:
      return Died{list(death)};
    case 1:
      return Held{list(held)};
    case 2:
      return Results{list(result)};
    case 3:
      return Returned{list(returned)};
    case 4:
      return Ready{*rc::gen::arbitrary<bool>()};
    case 5:
      return Beat{up_to(INT64_MAX), duration(), list(begun), list(handle), list(progress)};
    default:
      return Goodbye{};
  }
}

inline LaneMessage lane_message() {
  switch (*rc::gen::inRange(0, 6)) {
    case 0:
      return Jobs{number(), number(), list(order)};
    case 1:
      return Cancel{list(ref)};
    case 2:
      return Recall{list(ref)};
    case 3:
      return LaneBeat{number(), number(), number()};
    case 4:
      return Stop{};
    default:
      return End{};
  }
}

}  // namespace workpool::any

// SPDX-License-Identifier: MIT
// Reads what comes on lane and sink, with WireReader, never through msgpack's objects.
#include <algorithm>
#include <type_traits>
#include <utility>

#include "common/wire/codec.h"
#include "common/wire/decode_parts.h"
#include "common/wire/wire_types.h"

namespace workpool {
namespace {

using namespace wire;  // the type numbers, and what reads parts

constexpr std::size_t kItemMost = 3 << 20;
// For counts that are added up: JSON readers keep them exactly.
constexpr std::uint64_t kCountMost = 1ull << 53;
// The dispatcher's own clock reading, which the worker returns: not beyond what the clock can show.
constexpr std::uint64_t kStampMost = INT64_MAX;

Hash128 read_hash(WireReader& from) {
  const std::string_view bytes = from.bytes(16);
  Hash128 hash;
  if (bytes.size() != 16) {
    from.fail();
    return hash;
  }
  hash.high = big_endian_64(bytes.data());
  hash.low = big_endian_64(bytes.data() + 8);
  return hash;
}

// Attempts count from 1, and on from an attempt that a worker names (the scheduler believes up to half of
// this limit). So 0 was never given out, and a number near the end of its type is no attempt of ours.
constexpr std::uint32_t kAttemptMost = 1u << 31;

std::uint32_t read_attempt(WireReader& from) {
  const std::uint32_t attempt = read_u32(from, kAttemptMost);
  if (attempt == 0) from.fail();
  return attempt;
}

// With 0 slots per job a worker would start everything at once; a huge number would wrap its count of slots
// in use.
std::uint32_t read_slots(WireReader& from) {
  const std::uint32_t slots = read_u32(from, kSlotsMost);
  if (slots == 0) from.fail();
  return slots;
}

std::vector<Key> read_keys(WireReader& from) {
  return read_list<Key>(from, [](WireReader& r) { return Key{read_hash(r)}; });
}

template <class Item>
void read_identity(WireReader& from, Item& item) {
  item.handle.value = from.number();
  item.key = Key{read_hash(from)};
  item.spec = Spec{read_hash(from)};
  item.attempt = read_attempt(from);
}

std::optional<std::int32_t> read_optional(WireReader& from) {
  if (from.nil()) return std::nullopt;
  const std::int64_t value = from.integer();
  if (value < INT32_MIN || value > INT32_MAX) from.fail();
  return static_cast<std::int32_t>(value);
}

// Whether a status may come with this kind of error.
bool fits(Status status, ErrorKind kind) {
  switch (status) {
    case Status::kOk:
      return kind == ErrorKind::kNone;
    case Status::kTimeout:
      return kind == ErrorKind::kTimeout;
    default:
      return kind != ErrorKind::kNone && kind != ErrorKind::kTimeout;
  }
}

// Whether exit status and signal agree with the kind; each may be missing.
bool fits(ErrorKind kind, const CommandEnd& end) {
  // Which exit status is a failure is up to the job ("ok_exit").
  if (kind == ErrorKind::kNone || kind == ErrorKind::kExit) return !end.signal;
  return kind != ErrorKind::kSignal || !end.exit;
}

void read_printed(WireReader& from, std::string& bytes, Boxed<OutputFile>& file, bool& kept) {
  if (from.next_is_array()) {
    const std::uint32_t fields = read_fields(from, 3);
    OutputFile& said = file.emplace();
    said.path = from.bytes(kTextMost);
    said.bytes = read_up_to(from, kCountMost);
    said.digest = read_hash(from);
    skip_rest(from, fields, 3);
  } else if (from.nil()) {
    kept = false;
  } else {
    bytes = from.bytes(kMessageBytesMost);
  }
}

void read_result(WireReader& from, JobResult& result) {
  Outcome& outcome = result.outcome;
  const std::uint32_t fields = read_fields(from, 6);
  read_identity(from, result);
  result.waited = read_duration(from);
  result.ran = read_duration(from);
  // Fields omitted at the end have their defaults; the writer may stop at any of these.
  if (fields > 6) outcome.status = static_cast<Status>(read_u32(from, 2));  // ok, failed, timeout
  if (fields > 7) outcome.kind = static_cast<ErrorKind>(read_u32(from, 8));
  // Only a dispatcher says these.
  if (outcome.kind == ErrorKind::kCrash || outcome.kind == ErrorKind::kInvalid) from.fail();
  // The dispatcher judges these (dispatcher/core/outcome_check.h), so a value that is too long or not JSON
  // fails its own job and not the frame.
  if (fields > 8) outcome.value = from.bytes(kMessageBytesMost);
  if (fields > 9) outcome.message = from.bytes(kMessageBytesMost);
  if (!fits(outcome.status, outcome.kind)) from.fail();
  if (fields <= 10) return;
  // What is no command has no end of one, whatever stands there.
  CommandEnd none;
  CommandEnd& end = from.boolean() ? outcome.command.emplace() : none;
  if (fields > 11) end.exit = read_optional(from);
  if (fields > 12) end.signal = read_optional(from);
  if (fields > 13) read_printed(from, end.standard_output, end.output_file, end.keeps_output);
  if (fields > 14) read_printed(from, end.standard_error, end.error_file, end.keeps_errors);
  if (fields > 15) end.truncated = read_up_to(from, kCountMost);
  if (fields > 16) end.processor_time = read_duration(from);
  if (fields > 17) end.memory_kib = read_up_to(from, kCountMost);
  skip_rest(from, fields, 18);
  if (!fits(outcome.kind, end)) from.fail();
}

// For dispatchers that do not send the kind: the compact JSON of a job's work shows it by its first member.
JobKind kind_of(std::string_view work) {
  return work.starts_with(R"({"type":)") ? JobKind::kHandler : JobKind::kCommand;
}

// `copy`: of the whole frame; the orders share it.
void read_order(WireReader& from, const std::shared_ptr<const std::string>& copy, JobOrder& order) {
  const std::uint32_t fields = read_fields(from, 8);
  order.handle.value = from.number();
  if (from.next_is_number()) {
    order.repeat = from.number();
  } else {
    order.id = from.bytes(256);
  }
  order.key = Key{read_hash(from)};
  order.spec = Spec{read_hash(from)};
  order.attempt = read_attempt(from);
  const std::string_view work = from.bytes(kItemMost);
  if (from.ok()) order.work = {copy, {copy->data() + (work.data() - from.frame().data()), work.size()}};
  order.timeout = read_duration(from);
  order.slots = read_slots(from);
  order.kind = fields > 8 ? static_cast<JobKind>(read_u32(from, 255)) : kind_of(order.work);
  if (fields > 9) order.line = from.number();
  skip_rest(from, fields, 10);
}

JobRef read_ref(WireReader& from) {
  JobRef ref;
  const std::uint32_t fields = read_fields(from, 3);
  ref.handle.value = from.number();
  ref.key = Key{read_hash(from)};
  ref.attempt = read_attempt(from);
  skip_rest(from, fields, 3);
  return ref;
}

ReturnedJob read_returned(WireReader& from) {
  ReturnedJob job;
  const std::uint32_t fields = read_fields(from, 5);
  read_identity(from, job);
  job.reason = static_cast<ReturnReason>(read_u32(from, 3));
  skip_rest(from, fields, 5);
  return job;
}

HeldJob read_held(WireReader& from) {
  HeldJob job;
  const std::uint32_t fields = read_fields(from, 4);
  job.key = Key{read_hash(from)};
  job.spec = Spec{read_hash(from)};
  job.attempt = read_attempt(from);
  job.elapsed = read_duration(from);
  skip_rest(from, fields, 4);
  return job;
}

BegunJob read_begun(WireReader& from) {
  const std::uint32_t fields = read_fields(from, 2);
  const BegunJob job{Handle{from.number()}, read_duration(from)};
  skip_rest(from, fields, 2);
  return job;
}

JobProgress read_progress(WireReader& from) {
  const std::uint32_t fields = read_fields(from, 3);
  JobProgress said;
  said.handle = Handle{from.number()};
  said.progress.thousandths = read_u32(from, kProgressMost);
  said.progress.text = from.bytes(kProgressTextBytesMax);
  skip_rest(from, fields, 3);
  return said;
}

Death read_death(WireReader& from) {
  Death death;
  const std::uint32_t fields = read_fields(from, 3);
  death.engine = read_u32(from);
  death.cause = from.bytes(kTextMost);
  death.ran = read_keys(from);
  skip_rest(from, fields, 3);
  return death;
}

Part read_part(WireReader& from, const Header& header) {
  Part part;
  part.header = header;
  part.index = read_u32(from, kMessageBytesMost);
  part.last = from.boolean();
  part.bytes = from.bytes(kPartBytesMost);
  return part;
}

std::optional<SinkMessage> read_sink_message(WireReader& from, std::uint32_t type, std::uint32_t fields) {
  switch (type) {
    case kDied:
      if (fields >= 1) return Died{read_list<Death>(from, read_death)};
      break;
    case kHeld:
      if (fields >= 1) return Held{read_list<HeldJob>(from, read_held)};
      break;
    case kResults:
      if (fields >= 1) return Results{read_list<JobResult>(from, read_result)};
      break;
    case kReturned:
      if (fields >= 1) return Returned{read_list<ReturnedJob>(from, read_returned)};
      break;
    case kReady:
      if (fields >= 1) return Ready{from.boolean()};
      break;
    case kBeat:
      if (fields >= 3) {
        Beat beat;
        beat.echo = read_up_to(from, kStampMost);
        beat.echo_held = read_duration(from);
        beat.begun = read_list<BegunJob>(from, read_begun);
        if (beat.begun.size() > kBegunMost) return std::nullopt;
        if (fields >= 4)
          beat.ended = read_list<Handle>(from, [](WireReader& r) { return Handle{r.number()}; });
        if (fields >= 5) beat.progress = read_list<JobProgress>(from, read_progress);
        if (beat.progress.size() > kBegunMost) return std::nullopt;
        return beat;
      }
      break;
    case kGoodbye:
      return Goodbye{};
    default:
      break;
  }
  return std::nullopt;
}

std::uint32_t known_fields(std::uint32_t type) {
  switch (type) {
    case kGoodbye:
    case kStop:
    case kEnd:
      return 0;
    case kBeat:
      return 5;  // the last two may be missing
    case kJobs:
    case kLaneBeat:
    case kPart:
      return 3;
    default:
      return 1;
  }
}

std::optional<LaneMessage> read_lane_message(WireReader& from, std::uint32_t type, std::uint32_t fields) {
  if (fields < known_fields(type)) return std::nullopt;
  switch (type) {
    case kJobs: {
      Jobs jobs;
      jobs.ack = from.number();
      jobs.received = from.number();
      const auto copy = std::make_shared<const std::string>(from.frame());
      jobs.jobs = read_list<JobOrder>(
          from, [&](WireReader& reader, JobOrder& order) { read_order(reader, copy, order); });
      return jobs;
    }
    case kCancel:
      return Cancel{read_list<JobRef>(from, read_ref)};
    case kRecall:
      return Recall{read_list<JobRef>(from, read_ref)};
    case kLaneBeat: {
      LaneBeat beat;
      beat.stamp = from.number();
      beat.ack = from.number();
      beat.received = from.number();
      return beat;
    }
    case kStop:
      return Stop{};
    case kEnd:
      return End{};
    default:
      return std::nullopt;
  }
}

// Decodes a frame of either direction: the header, then a part or a message that `read` knows.
template <class Frame, class Read>
std::optional<Frame> decode_frame(std::string_view frame, Read read) {
  WireReader from(frame);
  const Opened opened = open_frame(from);
  if (!from.ok()) return std::nullopt;
  Frame result;
  result.header = opened.header;
  if (opened.type == kPart && opened.fields >= 3) {
    result.content = read_part(from, opened.header);
  } else {
    auto message = read(from, opened.type, opened.fields);
    if (!message) return std::nullopt;
    result.content = std::move(*message);
  }
  skip_rest(from, opened.fields, known_fields(opened.type));
  if (!from.finished()) return std::nullopt;
  return result;
}

}  // namespace

std::optional<FrameHead> peek_sink(std::string_view frame) {
  WireReader from(frame);
  const Opened opened = open_frame(from);
  if (!from.ok()) return std::nullopt;
  return FrameHead{opened.header, opened.type == kResults};
}

std::optional<SinkFrame> decode_sink(std::string_view frame) {
  return decode_frame<SinkFrame>(frame, read_sink_message);
}

std::optional<LaneFrame> decode_lane(std::string_view frame) {
  return decode_frame<LaneFrame>(frame, read_lane_message);
}

}  // namespace workpool

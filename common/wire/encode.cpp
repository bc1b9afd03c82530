// SPDX-License-Identifier: MIT
// Writes messages; decode.cpp reads them. The only file that includes msgpack.
#include "common/wire/codec.h"

#include <algorithm>
#include <cstring>
#include <msgpack.hpp>
#include <utility>

#include "common/wire/wire_types.h"

namespace workpool {
namespace {

using namespace wire;  // the type numbers

// ---- writing ----

// The stream that msgpack's packer writes to. It gathers the many small pieces on the stack and appends them
// together to the caller's buffer, which is complete after flush().
class Sink {
 public:
  explicit Sink(std::string& out) : out_(out) {}
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;

  void write(const char* data, std::size_t size) {
    if (size > sizeof piece_ - used_) {
      flush();
      if (size > sizeof piece_) {
        out_.append(data, size);
        return;
      }
    }
    std::memcpy(piece_ + used_, data, size);
    used_ += size;
  }

  void flush() { out_.append(piece_, std::exchange(used_, 0)); }

 private:
  std::string& out_;
  std::size_t used_ = 0;
  char piece_[1024];
};
using Packer = msgpack::packer<Sink>;

void pack_bytes(Packer& to, std::string_view bytes) {
  to.pack_bin(static_cast<std::uint32_t>(bytes.size()));
  to.pack_bin_body(bytes.data(), static_cast<std::uint32_t>(bytes.size()));
}

void pack_text(Packer& to, std::string_view text) {
  to.pack_str(static_cast<std::uint32_t>(text.size()));
  to.pack_str_body(text.data(), static_cast<std::uint32_t>(text.size()));
}

void pack_hash(Packer& to, const Hash128& hash) {
  // What pack_bin(16) and its body would write, in one piece.
  char bin[18] = {'\xc4', 16};
  const std::uint64_t high = __builtin_bswap64(hash.high);
  const std::uint64_t low = __builtin_bswap64(hash.low);
  std::memcpy(bin + 2, &high, sizeof high);
  std::memcpy(bin + 10, &low, sizeof low);
  to.pack_bin_body(bin, sizeof bin);
}

void pack_duration(Packer& to, Duration duration) {
  to.pack_uint64(static_cast<std::uint64_t>(std::max<Duration::rep>(0, duration.count())));
}

void pack_head(Packer& to, std::uint32_t type, const Header& header, std::uint32_t fields) {
  to.pack_array(4 + fields);
  to.pack_uint32(type);
  to.pack_uint64(header.run.value);
  to.pack_uint64(header.session.value);
  to.pack_uint64(header.seq);
}

void pack_texts(Packer& to, const std::vector<std::string>& texts) {
  to.pack_array(static_cast<std::uint32_t>(texts.size()));
  for (const std::string& text : texts) pack_text(to, text);
}

void pack_identity(Packer& to, Handle handle, const Key& key, const Spec& spec, std::uint32_t attempt) {
  to.pack_uint64(handle.value);
  pack_hash(to, key);
  pack_hash(to, spec);
  to.pack_uint32(attempt);
}

template <class Number>
void pack_optional(Packer& to, const std::optional<Number>& number) {
  if (number) {
    to.pack_int64(*number);
  } else {
    to.pack_nil();
  }
}

// Trailing fields that hold their defaults are omitted: a no-op's result has six fields, a command's sixteen
// or all eighteen.
std::uint32_t result_fields(const Outcome& outcome) {
  if (outcome.command)
    return outcome.command->processor_time == Duration(0) && outcome.command->memory_kib == 0 ? 16 : 18;
  if (!outcome.message.empty()) return 10;
  if (!outcome.value.empty()) return 9;
  return outcome.status == Status::kOk ? 6 : 8;
}

// What a command printed on a stream: bytes, nil if it was not kept, or the file that holds it.
void pack_printed(Packer& to, const std::string& bytes, const Boxed<OutputFile>& file, bool kept) {
  if (file) {
    to.pack_array(3);
    pack_bytes(to, file->path);
    to.pack_uint64(file->bytes);
    pack_hash(to, file->digest);
  } else if (kept) {
    pack_bytes(to, bytes);
  } else {
    to.pack_nil();
  }
}

void pack_result(Packer& to, const JobResult& result) {
  const Outcome& outcome = result.outcome;
  const std::uint32_t fields = result_fields(outcome);
  to.pack_array(fields);
  pack_identity(to, result.handle, result.key, result.spec, result.attempt);
  pack_duration(to, result.waited);
  pack_duration(to, result.ran);
  if (fields == 6) return;
  to.pack_uint8(static_cast<std::uint8_t>(outcome.status));
  to.pack_uint8(static_cast<std::uint8_t>(outcome.kind));
  if (fields == 8) return;
  pack_bytes(to, outcome.value);
  if (fields == 9) return;
  pack_bytes(to, std::string_view(outcome.message).substr(0, kErrorMessageBytesMax));
  if (fields == 10) return;
  const CommandEnd& end = *outcome.command;
  to.pack_true();
  pack_optional(to, end.exit);
  pack_optional(to, end.signal);
  pack_printed(to, end.standard_output, end.output_file, end.keeps_output);
  pack_printed(to, end.standard_error, end.error_file, end.keeps_errors);
  to.pack_uint64(end.truncated);
  if (fields == 16) return;
  pack_duration(to, end.processor_time);
  to.pack_uint64(end.memory_kib);
}

void pack_order(Packer& to, const JobOrder& order) {
  to.pack_array(order.line != 0 ? 10 : 9);
  to.pack_uint64(order.handle.value);
  if (order.repeat != 0) {
    to.pack_uint64(order.repeat);
  } else {
    pack_bytes(to, order.id);
  }
  pack_hash(to, order.key);
  pack_hash(to, order.spec);
  to.pack_uint32(order.attempt);
  pack_bytes(to, order.work);
  pack_duration(to, order.timeout);
  to.pack_uint32(order.slots);
  to.pack_uint8(static_cast<std::uint8_t>(order.kind));
  if (order.line != 0) to.pack_uint64(order.line);
}

void pack_refs(Packer& to, const std::vector<JobRef>& refs) {
  to.pack_array(static_cast<std::uint32_t>(refs.size()));
  for (const JobRef& ref : refs) {
    to.pack_array(3);
    to.pack_uint64(ref.handle.value);
    pack_hash(to, ref.key);
    to.pack_uint32(ref.attempt);
  }
}

struct SinkEncoder {
  const Header& header;
  Packer& to;
  void operator()(const Died& m) {
    pack_head(to, kDied, header, 1);
    to.pack_array(static_cast<std::uint32_t>(m.deaths.size()));
    for (const Death& death : m.deaths) {
      to.pack_array(3);
      to.pack_uint32(death.engine);
      pack_text(to, std::string_view(death.cause).substr(0, 256));
      to.pack_array(static_cast<std::uint32_t>(death.ran.size()));
      for (const Key& key : death.ran) pack_hash(to, key);
    }
  }
  void operator()(const Held& m) {
    pack_head(to, kHeld, header, 1);
    to.pack_array(static_cast<std::uint32_t>(m.jobs.size()));
    for (const HeldJob& job : m.jobs) {
      to.pack_array(4);
      pack_hash(to, job.key);
      pack_hash(to, job.spec);
      to.pack_uint32(job.attempt);
      pack_duration(to, job.elapsed);
    }
  }
  void operator()(const Results& m) {
    pack_head(to, kResults, header, 1);
    to.pack_array(static_cast<std::uint32_t>(m.results.size()));
    for (const JobResult& result : m.results) pack_result(to, result);
  }
  void operator()(const Returned& m) {
    pack_head(to, kReturned, header, 1);
    to.pack_array(static_cast<std::uint32_t>(m.jobs.size()));
    for (const ReturnedJob& job : m.jobs) {
      to.pack_array(5);
      pack_identity(to, job.handle, job.key, job.spec, job.attempt);
      to.pack_uint8(static_cast<std::uint8_t>(job.reason));
    }
  }
  void operator()(const Ready& m) {
    pack_head(to, kReady, header, 1);
    if (m.accepting)
      to.pack_true();
    else
      to.pack_false();
  }
  void operator()(const Beat& m) {
    pack_head(to, kBeat, header, !m.progress.empty() ? 5 : m.ended.empty() ? 3 : 4);
    to.pack_uint64(m.echo);
    pack_duration(to, m.echo_held);
    to.pack_array(static_cast<std::uint32_t>(m.begun.size()));
    for (const BegunJob& job : m.begun) {
      to.pack_array(2);
      to.pack_uint64(job.handle.value);
      pack_duration(to, job.elapsed);
    }
    if (m.ended.empty() && m.progress.empty()) return;
    to.pack_array(static_cast<std::uint32_t>(m.ended.size()));
    for (const Handle handle : m.ended) to.pack_uint64(handle.value);
    if (m.progress.empty()) return;
    to.pack_array(static_cast<std::uint32_t>(m.progress.size()));
    for (const auto& [handle, progress] : m.progress) {
      to.pack_array(3);
      to.pack_uint64(handle.value);
      to.pack_uint32(progress.thousandths);
      pack_text(to, progress.text);
    }
  }
  void operator()(const Goodbye&) { pack_head(to, kGoodbye, header, 0); }
};

struct LaneEncoder {
  const Header& header;
  Packer& to;
  void operator()(const Jobs& m) {
    pack_head(to, kJobs, header, 3);
    to.pack_uint64(m.ack);
    to.pack_uint64(m.received);
    to.pack_array(static_cast<std::uint32_t>(m.jobs.size()));
    for (const JobOrder& order : m.jobs) pack_order(to, order);
  }
  void operator()(const Cancel& m) {
    pack_head(to, kCancel, header, 1);
    pack_refs(to, m.jobs);
  }
  void operator()(const Recall& m) {
    pack_head(to, kRecall, header, 1);
    pack_refs(to, m.jobs);
  }
  void operator()(const LaneBeat& m) {
    pack_head(to, kLaneBeat, header, 3);
    to.pack_uint64(m.stamp);
    to.pack_uint64(m.ack);
    to.pack_uint64(m.received);
  }
  void operator()(const Stop&) { pack_head(to, kStop, header, 0); }
  void operator()(const End&) { pack_head(to, kEnd, header, 0); }
};

}  // namespace

void encode(const RegistrationRequest& request, std::string& out) {
  out.clear();
  Sink sink{out};
  Packer to(sink);
  if (const auto* status = std::get_if<StatusRequest>(&request)) {
    pack_head(to, kStatusRequest, {}, 2);
    to.pack_uint32(status->protocol);
    status->all ? to.pack_true() : to.pack_false();
    sink.flush();
    return;
  }
  const Hello& hello = std::get<Hello>(request);
  pack_head(to, kHello, {}, 9);
  to.pack_uint32(hello.protocol);
  pack_text(to, hello.version);
  to.pack_uint64(hello.worker.value);
  to.pack_uint32(hello.engine);
  to.pack_uint32(hello.try_number);
  pack_text(to, hello.name);
  to.pack_uint32(hello.slots);
  pack_texts(to, hello.handlers);
  pack_texts(to, hello.labels);
  sink.flush();
}

void encode(const RegistrationReply& reply, std::string& out) {
  out.clear();
  Sink sink{out};
  Packer to(sink);
  if (const auto* welcome = std::get_if<Welcome>(&reply)) {
    pack_head(to, kWelcome, {}, welcome->capture_failed_only ? 10 : 9);
    to.pack_uint32(welcome->protocol);
    to.pack_uint64(welcome->run.value);
    to.pack_uint64(welcome->session.value);
    pack_text(to, welcome->name);
    to.pack_uint16(welcome->lane_port);
    to.pack_uint16(welcome->sink_port);
    pack_duration(to, welcome->worker_timeout);
    to.pack_uint64(welcome->result_window);
    to.pack_uint64(welcome->capture_bytes);
    if (welcome->capture_failed_only) to.pack_true();
  } else if (const auto* refused = std::get_if<Refused>(&reply)) {
    pack_head(to, kRefused, {}, 3);
    to.pack_uint32(refused->protocol);
    to.pack_uint8(static_cast<std::uint8_t>(refused->code));
    pack_text(to, std::string_view(refused->reason).substr(0, kErrorMessageBytesMax));
  } else {
    const auto& status = std::get<StatusReply>(reply);
    pack_head(to, kStatusReply, {}, 2);
    to.pack_uint32(status.protocol);
    pack_text(to, status.json);
  }
  sink.flush();
}

void encode(const Header& header, const SinkMessage& message, std::string& out) {
  out.clear();
  Sink sink{out};
  Packer to(sink);
  std::visit(SinkEncoder{header, to}, message);
  sink.flush();
}

void encode(const Header& header, const Results& message, std::string& out) {
  out.clear();
  Sink sink{out};
  Packer to(sink);
  SinkEncoder{header, to}(message);
  sink.flush();
}

void encode(const Header& header, const LaneMessage& message, std::string& out) {
  out.clear();
  Sink sink{out};
  Packer to(sink);
  std::visit(LaneEncoder{header, to}, message);
  sink.flush();
}

// ---- parts ----

std::size_t part_bytes_for(Duration worker_timeout) {
  constexpr std::int64_t kUsual = 10;  // seconds, the default worker timeout, for which parts are the largest
  constexpr std::int64_t kLeast = 4 * 1024;
  constexpr auto kMost = static_cast<std::int64_t>(kPartBytesMost);
  const std::int64_t bounded = std::clamp<std::int64_t>(worker_timeout / milliseconds(1), 0, kUsual * 1000);
  return static_cast<std::size_t>(std::max(kLeast, kMost * bounded / (kUsual * 1000)));
}

std::vector<std::string> frames_of(const Header& header, std::string&& encoded, std::size_t part_bytes) {
  std::vector<std::string> frames;
  if (encoded.size() <= part_bytes) {
    frames.push_back(std::move(encoded));
    return frames;
  }
  for (std::size_t at = 0; at < encoded.size(); at += part_bytes) {
    const std::string_view piece = std::string_view(encoded).substr(at, part_bytes);
    const auto index = static_cast<std::uint32_t>(frames.size());
    Sink sink{frames.emplace_back()};
    Packer to(sink);
    pack_head(to, kPart, header, 3);
    to.pack_uint32(index);
    if (at + piece.size() == encoded.size())
      to.pack_true();
    else
      to.pack_false();
    pack_bytes(to, piece);
    sink.flush();
  }
  return frames;
}

}  // namespace workpool

// SPDX-License-Identifier: MIT
#include "common/formats/results_file.h"

#include <isa-l/crc.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include "common/base/digits.h"
#include "common/base/text.h"
#include "common/formats/json_scalars.h"
#include "common/formats/json_text.h"

namespace workpool {
namespace {

constexpr std::string_view kCrcKey = ",\"crc\":\"";
constexpr std::size_t kCrcDigits = 8;
constexpr std::size_t kCrcBytes = kCrcKey.size() + kCrcDigits + 2;  // with the closing quote and brace

// Gathers the many small pieces of a line on the stack and appends them together: one growth check for a
// dozen fields.
class Pen {
 public:
  explicit Pen(std::string& out) : out_(out) {}
  ~Pen() { flush(); }
  Pen(const Pen&) = delete;
  Pen& operator=(const Pen&) = delete;

  // Moves everything written so far into the string. REQUIRED before anything else touches the string.
  std::string& flush() {
    out_.append(room_, used_);
    used_ = 0;
    return out_;
  }
  void text(std::string_view piece) {
    if (piece.size() > kRoom) {
      flush().append(piece);
      return;
    }
    std::memcpy(next(piece.size()), piece.data(), piece.size());
  }
  void number(std::uint64_t value) {
    char* const at = next(20);  // 2^64 - 1 has 20 digits
    used_ = static_cast<std::size_t>(std::to_chars(at, at + 20, value).ptr - room_);
  }
  void digits(std::uint64_t value, std::size_t count) {  // decimal, with leading zeros
    char* const at = next(count);
    for (std::size_t i = count; i-- > 0; value /= 10) at[i] = static_cast<char>('0' + value % 10);
  }
  template <std::size_t kBytes>
  void hex(std::uint64_t value) {
    write_hex<kBytes>(next(2 * kBytes), value);
  }
  // Milliseconds with as many decimals as needed, at most three. A negative duration is written as 0.
  void millis(Duration duration) {
    const auto micros = static_cast<std::uint64_t>(std::max<std::int64_t>(duration.count(), 0));
    number(micros / 1000);
    std::uint64_t rest = micros % 1000;
    if (rest == 0) return;
    std::size_t count = 3;
    for (; rest % 10 == 0; rest /= 10) --count;
    text(".");
    digits(rest, count);
  }

 private:
  static constexpr std::size_t kRoom = 512;  // a line without output or value fits

  char* next(std::size_t bytes) {
    if (kRoom - used_ < bytes) flush();
    used_ += bytes;
    return room_ + (used_ - bytes);
  }

  std::string& out_;
  std::size_t used_ = 0;
  char room_[kRoom];
};

// Whether a JSON string can hold these bytes as they are. Most ids and names are like that, and this is
// quicker than escaping.
bool is_plain(std::string_view text) {
  // Eight bytes at a time: a byte of `x` below n sets its high bit in (x - n * kOnes) & ~x, and one equal to
  // c is one below 1 after xor with c. A borrow can only come from a byte that was found already.
  constexpr std::uint64_t kOnes = 0x0101010101010101;
  constexpr std::uint64_t kHigh = 0x8080808080808080;
  const auto odd = [](std::uint64_t x) {
    const auto below = [](std::uint64_t y, std::uint64_t n) { return (y - n * kOnes) & ~y; };
    return (x | below(x, 0x20) | below(x ^ (kOnes * '"'), 1) | below(x ^ (kOnes * '\\'), 1) |
            below(x ^ (kOnes * 0x7f), 1)) &
           kHigh;
  };
  std::uint64_t found = 0;
  while (text.size() >= 8) {
    std::uint64_t eight = 0;
    std::memcpy(&eight, text.data(), 8);
    found |= odd(eight);
    text.remove_prefix(8);
  }
  std::uint64_t last = kOnes * 'a';
  std::memcpy(&last, text.data(), text.size());
  return (found | odd(last)) == 0;
}

// `text`: for people or a name. Bytes that are not UTF-8 (a worker may send anything) become \xHH.
void put_string(Pen& pen, std::string_view text) {
  if (is_plain(text)) {
    pen.text("\"");
    pen.text(text);
    pen.text("\"");
  } else if (is_utf8(text)) {
    append_json_string(pen.flush(), text);
  } else {
    append_json_string(pen.flush(), printable(text));
  }
}

// Whether a JSON string of these bytes could take more than their base64. Control characters take 6 bytes.
bool takes_more_as_text(std::string_view bytes) {
  if (bytes.size() <= kOutputEscapedMost) return false;
  const auto escaped = std::count_if(bytes.begin(), bytes.end(), [](char letter) {
    return static_cast<unsigned char>(letter) < 0x20 || letter == '"' || letter == '\\' || letter == 0x7f;
  });
  return static_cast<std::size_t>(escaped) * 5 > bytes.size() / 3;
}

void put_file(Pen& pen, std::string_view key, const OutputFile& file) {
  pen.text(key);
  pen.text("\":{\"file\":");
  if (is_utf8(file.path)) {
    put_string(pen, file.path);
  } else {
    pen.text("{\"base64\":\"");
    append_base64(pen.flush(), file.path);
    pen.text("\"}");
  }
  pen.text(",\"bytes\":");
  pen.number(file.bytes);
  pen.text(",\"xxh128\":\"");
  pen.hex<8>(file.digest.high);
  pen.hex<8>(file.digest.low);
  pen.text("\"}");
}

// `key`: with comma and opening quote, without the closing one: `,"stdout`.
void put_output(Pen& pen, std::string_view key, std::string_view bytes) {
  pen.text(key);
  if (bytes.empty()) {
    pen.text("\":\"\"");
  } else if (is_utf8(bytes) && !takes_more_as_text(bytes)) {
    pen.text("\":");
    append_json_string(pen.flush(), bytes);
  } else {
    pen.text("_base64\":\"");
    append_base64(pen.flush(), bytes);
    pen.text("\"");
  }
}

void put_printed(Pen& pen, std::string_view key, std::string_view bytes, const Boxed<OutputFile>& file,
                 bool kept) {
  if (file) {
    put_file(pen, key, *file);
  } else if (kept) {
    put_output(pen, key, bytes);
  }
}

void put_error(Pen& pen, const Outcome& outcome) {
  pen.text(",\"error\":{\"kind\":\"");
  pen.text(name_of(outcome.kind));
  pen.text("\",\"message\":");
  put_string(pen, outcome.message);
  pen.text("}");
}

void put_end(Pen& pen, std::string_view key, std::int32_t number) {
  pen.text(key);
  if (number < 0) pen.text("-");
  const std::int64_t wide = number;
  pen.number(static_cast<std::uint64_t>(wide < 0 ? -wide : wide));
}

void put_command(Pen& pen, const CommandEnd& end) {
  if (end.exit) put_end(pen, ",\"exit\":", *end.exit);
  if (end.signal) put_end(pen, ",\"signal\":", *end.signal);
  put_printed(pen, ",\"stdout", end.standard_output, end.output_file, end.keeps_output);
  put_printed(pen, ",\"stderr", end.standard_error, end.error_file, end.keeps_errors);
  if (end.truncated > 0) {
    pen.text(",\"truncated\":");
    pen.number(end.truncated);
  }
  if (end.processor_time > Duration(0)) {
    pen.text(",\"cpu_ms\":");
    pen.millis(end.processor_time);
  }
  if (end.memory_kib > 0) {
    pen.text(",\"max_rss_kib\":");
    pen.number(end.memory_kib);
  }
}

void put_outcome(Pen& pen, const Outcome& outcome) {
  if (outcome.status != Status::kOk) put_error(pen, outcome);
  if (outcome.command) put_command(pen, *outcome.command);
  // A handler that a program runs has a stderr next to its value.
  if ((!outcome.command && outcome.status == Status::kOk) || !outcome.value.empty()) {
    pen.text(",\"value\":");
    pen.text(outcome.value.empty() ? std::string_view("null") : std::string_view(outcome.value));
  }
}

void put_id(Pen& pen, const ResultLine& result) {
  if (result.repeat == 0) return put_string(pen, result.id);
  // As default_id() makes it; nothing in it needs an escape.
  pen.text("\"");
  pen.hex<8>(result.spec.high);
  pen.hex<8>(result.spec.low);
  if (result.repeat > 1) {
    pen.text("#");
    pen.number(result.repeat);
  }
  pen.text("\"");
}

void put_run(Pen& pen, const ResultLine& result) {
  if (!result.worker.empty()) {
    pen.text(",\"worker\":");
    put_string(pen, result.worker);
    pen.text(",\"queued_ms\":");
    pen.millis(result.queued);
    pen.text(",\"run_ms\":");
    pen.millis(result.ran);
  }
  pen.text(",\"finished\":\"");
  pen.text(result.finished.text());
  pen.text("\"");
  if (!result.notes.empty()) {
    pen.text(",");
    pen.text(result.notes);
  }
  pen.text(",\"run\":\"");
  pen.hex<8>(result.run.value);
  const bool invalid = result.outcome.status == Status::kInvalid;
  if (invalid ? result.spec != Spec{} : result.repeat == 0) {
    pen.text(invalid ? "\",\"digest\":\"" : "\",\"spec\":\"");
    pen.hex<8>(result.spec.high);
    pen.hex<8>(result.spec.low);
  }
  pen.text("\"");
}

// ---- reading ----

// Takes `prefix` off the front of `rest`; returns false and takes nothing if it is not there.
bool take(std::string_view& rest, std::string_view prefix) {
  if (rest.substr(0, prefix.size()) != prefix) return false;
  rest.remove_prefix(prefix.size());
  return true;
}

struct Nibbles {
  unsigned char of[256] = {};
};
constexpr Nibbles make_nibbles() {
  Nibbles nibbles;
  for (unsigned char& nibble : nibbles.of) nibble = 0xff;
  for (unsigned char i = 0; i < 16; ++i) nibbles.of[static_cast<unsigned char>("0123456789abcdef"[i])] = i;
  return nibbles;
}
constexpr Nibbles kNibbles = make_nibbles();

// At most 16 lower-case hex digits.
bool parse_hex_digits(std::string_view digits, std::uint64_t& value) {
  value = 0;
  unsigned bad = 0;  // judged once at the end, which is faster, since the digits are mostly right
  for (const char digit : digits) {
    const unsigned nibble = kNibbles.of[static_cast<unsigned char>(digit)];
    bad |= nibble & 0xf0;
    value = value << 4 | (nibble & 0xf);
  }
  return bad == 0 && !digits.empty();
}

bool parse_spec(std::string_view digits, Spec& spec) {
  return digits.size() == 32 && parse_hex_digits(digits.substr(0, 16), spec.high) &&
         parse_hex_digits(digits.substr(16), spec.low);
}

// A decimal number without sign or leading zeros; if it is too large for `value`, that means nothing.
bool take_number(std::string_view& rest, std::uint64_t& value) {
  std::size_t count = 0;
  for (value = 0; count < rest.size() && rest[count] >= '0' && rest[count] <= '9'; ++count)
    value = value * 10 + static_cast<std::uint64_t>(rest[count] - '0');
  if (count == 0 || (count > 1 && rest.front() == '0')) return false;
  rest.remove_prefix(count);
  return true;
}

bool append_unescaped(std::string& out, std::string_view& rest) {
  if (rest.empty()) return false;
  const char letter = rest.front();
  rest.remove_prefix(1);
  constexpr std::string_view kFrom = "\"\\ntrbf";
  constexpr std::string_view kTo = "\"\\\n\t\r\b\f";
  if (const std::size_t at = kFrom.find(letter); at != std::string_view::npos) {
    out += kTo[at];
    return true;
  }
  std::uint64_t code = 0;
  // Only control characters are written as \u00xx.
  if (letter != 'u' || rest.size() < 4 || !parse_hex_digits(rest.substr(0, 4), code) || code > 0x7f)
    return false;
  rest.remove_prefix(4);
  out += static_cast<char>(code);
  return true;
}

// A JSON string as append_json_string writes it.
bool take_string(std::string_view& rest, std::string& text) {
  text.clear();
  if (!take(rest, "\"")) return false;
  for (;;) {
    std::size_t stop = 0;
    while (stop < rest.size() && rest[stop] != '"' && rest[stop] != '\\') ++stop;
    if (stop == rest.size()) return false;
    text.append(rest.substr(0, stop));
    const bool closing = rest[stop] == '"';
    rest.remove_prefix(stop + 1);
    if (closing) return true;
    if (!append_unescaped(text, rest)) return false;
  }
}

bool take_status(std::string_view& rest, Status& status) {
  const std::size_t quote = rest.find('"');
  if (quote == std::string_view::npos || quote > 16) return false;
  const std::optional<Status> named = status_named(std::string(rest.substr(0, quote)));
  if (!named) return false;
  status = *named;
  rest.remove_prefix(quote + 1);
  return true;
}

// Takes `,"name":"<count digits>"` off the end of `rest`; returns false and takes nothing if it is not there.
bool take_last(std::string_view& rest, std::string_view key, std::size_t count, std::string_view& digits) {
  const std::size_t bytes = key.size() + count + 1;
  if (rest.size() < bytes || rest.back() != '"') return false;
  const std::size_t at = rest.size() - bytes;
  if (rest.substr(at, key.size()) != key) return false;
  digits = rest.substr(at + key.size(), count);
  rest.remove_suffix(bytes);
  return true;
}

// The spec that made a default id: 32 hex digits, followed by `#n` from the second job of that spec on.
bool spec_of_default_id(std::string_view id, Spec& spec) {
  if (id.size() < 32 || !parse_spec(id.substr(0, 32), spec)) return false;
  std::string_view rest = id.substr(32);
  std::uint64_t repeat = 0;
  return rest.empty() ||
         (take(rest, "#") && rest != "0" && rest != "1" && take_number(rest, repeat) && rest.empty());
}

// Reads the spec of a line whose id and status are known: its own (`digits`), or the one that made its id. A
// line that was no job has none.
bool read_spec(bool has_spec, std::string_view digits, ReplayedLine& out) {
  out.spec = Spec{};
  if (out.status == Status::kInvalid) return !has_spec;
  return has_spec ? parse_spec(digits, out.spec) : spec_of_default_id(out.id, out.spec);
}

// `body`: a line as append_result_line prints it, without its crc and brace.
bool read_as_printed(std::string_view body, ReplayedLine& out) {
  std::string_view spec;
  std::string_view run;
  const bool has_spec = take_last(body, ",\"spec\":\"", 32, spec);
  if (!take_last(body, ",\"run\":\"", 16, run) || !parse_hex_digits(run, out.run.value)) return false;
  std::uint64_t attempt = 0;
  const bool head = take(body, "{\"id\":") && take_string(body, out.id) && take(body, ",\"line\":") &&
                    take_number(body, out.line) && take(body, ",\"status\":\"") &&
                    take_status(body, out.status) && take(body, ",\"attempt\":") &&
                    take_number(body, attempt) && take(body, ",");
  return head && !out.id.empty() && read_spec(has_spec, spec, out);
}

// The members that a replay needs, as JSON text; empty if missing.
struct Members {
  std::string_view id, line, status, run, spec, digest;

  std::string_view* named(std::string_view key) {
    if (key == "\"id\"") return &id;
    if (key == "\"line\"") return &line;
    if (key == "\"status\"") return &status;
    if (key == "\"run\"") return &run;
    if (key == "\"digest\"") return &digest;
    return key == "\"spec\"" ? &spec : nullptr;
  }
};

// Finds them in `body`, an object without its closing brace. Returns false if it is no object, or has one of
// them twice.
bool find_members(std::string_view body, Members& found) {
  return visit_json_members(body, [&found](std::string_view key, std::string_view value) {
    std::string_view* const wanted = found.named(key);
    if (wanted == nullptr) return true;
    const bool first = wanted->empty();
    *wanted = value;
    return first;
  });
}

// Like read_as_printed, but for members in any order and of any name, spelled as JSON allows, since a later
// version may write such lines. Slower by a few microseconds.
bool read_members(std::string_view body, ReplayedLine& out) {
  Members found;
  if (!find_members(body, found)) return false;
  for (const std::string_view needed : {found.id, found.status, found.run})
    if (needed.substr(0, 1) != "\"") return false;
  std::string text = "{\"id\":";
  text.append(found.id).append(",\"status\":").append(found.status).append(",\"run\":").append(found.run);
  if (!found.spec.empty()) text.append(",\"spec\":").append(found.spec);
  text += '}';
  const auto values = json_scalars(text);
  if (!values) return false;
  const std::optional<Status> status = status_named(values->at("status"));
  const std::string& run = values->at("run");
  out.id = values->at("id");
  if (out.id.empty() || !status || run.size() != 16 || !parse_hex_digits(run, out.run.value)) return false;
  out.status = *status;
  if (!take_number(found.line, out.line) || !found.line.empty()) out.line = 0;
  const auto spec = values->find("spec");
  if (!read_spec(spec != values->end(), spec != values->end() ? spec->second : "", out)) return false;
  const bool has_digest = out.status == Status::kInvalid && found.digest.size() == 34;  // with its quotes
  if (has_digest && !parse_spec(found.digest.substr(1, 32), out.spec)) out.spec = Spec{};
  return true;
}

bool crc_holds(std::string_view line) {
  if (line.size() < kCrcBytes) return false;
  const std::string_view end = line.substr(line.size() - kCrcBytes);
  std::uint64_t crc = 0;
  return end.substr(0, kCrcKey.size()) == kCrcKey && end.substr(end.size() - 2) == "\"}" &&
         parse_hex_digits(end.substr(kCrcKey.size(), kCrcDigits), crc) &&
         crc == crc32(line.substr(0, line.size() - kCrcBytes));
}

}  // namespace

std::uint32_t crc32(std::string_view bytes) {
  return crc32_gzip_refl(0, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
}

void append_crc(std::string& out, std::size_t start) {
  const std::uint32_t crc = crc32(std::string_view(out).substr(start));
  Pen pen(out);
  pen.text(kCrcKey);
  pen.hex<kCrcDigits / 2>(crc);
  pen.text("\"}\n");
}

bool strip_crc(std::string_view& line) {
  if (!crc_holds(line)) return false;
  line.remove_suffix(kCrcBytes);
  return true;
}

void append_result_line(std::string& out, const ResultLine& result) {
  const std::size_t start = out.size();
  {
    Pen pen(out);
    pen.text("{\"id\":");
    put_id(pen, result);
    pen.text(",\"line\":");
    pen.number(result.line);
    pen.text(",\"status\":\"");
    pen.text(name_of(result.outcome.status));
    pen.text("\",\"attempt\":");
    pen.number(result.attempt);
    put_outcome(pen, result.outcome);
    put_run(pen, result);
  }
  append_crc(out, start);
}

LineDamage read_result_line(std::string_view line, ReplayedLine& out) {
  std::string_view body = trim_json_space(line);
  if (!strip_crc(body)) return LineDamage::kCrc;
  return read_as_printed(body, out) || read_members(body, out) ? LineDamage::kNone : LineDamage::kFormat;
}

}  // namespace workpool

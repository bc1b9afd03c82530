// SPDX-License-Identifier: MIT
#include "common/formats/plain_lines.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <functional>
#include <limits>
#include <utility>

#include "common/base/byte_spans.h"
#include "common/base/units.h"

namespace workpool {
namespace {

constexpr std::size_t kPlainBytesMost = 64 * 1024;
static_assert(kPlainBytesMost <= kArgumentBytesMax, "so that no argument is too long");
constexpr std::size_t kKeysMost = 8;  // of an object: each is compared with all before it
constexpr int kDepthMost = 16;
constexpr int kDigitsMost = 17;  // of an integer: it is within 64 bits

static_assert(std::endian::native == std::endian::little, "the first byte is the lowest");

// The high bit of the first of eight bytes that ends the plain part of a string, and perhaps of some behind
// it: `"`, `\`, what is below 0x20 or above 0x7f. 0 if there is none.
std::uint64_t stops(std::uint64_t bytes) {
  constexpr std::uint64_t kOnes = 0x0101010101010101;
  constexpr std::uint64_t kHighs = 0x8080808080808080;
  const auto any_zero = [](std::uint64_t of) { return (of - kOnes) & ~of; };
  const std::uint64_t control = (bytes - kOnes * 0x20) & ~bytes;
  return (any_zero(bytes ^ kOnes * '"') | any_zero(bytes ^ kOnes * '\\') | control | bytes) & kHighs;
}

// Whether one of 64 bytes ends the plain part of a string. (Half of the processor time of 1 KiB jobs in a
// pool thread went to looking at eight at a time.)
constexpr std::ptrdiff_t kSpan = 64;
bool any_stops(const char* bytes) {
  // The high bit of `some` marks bytes above 0x7f; that of `some - 0x20` also those below 0x20.
  return any_byte<kSpan>(bytes, [](SixteenBytes some) {
    return some | (some - 0x20) | as_bytes((some == '"') | (some == '\\'));
  });
}

bool is_plain(char byte) { return byte != '"' && byte != '\\' && static_cast<signed char>(byte) >= 0x20; }

bool is_digit(char byte) { return byte >= '0' && byte <= '9'; }

bool is_space(char byte) { return byte == ' ' || byte == '\t'; }

}  // namespace

// Each method takes what its name says, and returns false if something else is there: then the line is given
// up.
class PlainLines::Scanner {
 public:
  // `work`: where copy() puts what it takes.
  Scanner(std::string_view line, std::string& work)
      : at_(line.data()), end_(at_ + line.size()), work_(&work) {}
  explicit Scanner(std::string_view text) : at_(text.data()), end_(at_ + text.size()) {}

  bool at_end() const { return at_ == end_; }
  char peek() const { return at_ < end_ ? *at_ : '\0'; }
  bool take(char byte) {
    if (peek() != byte) return false;
    ++at_;
    return true;
  }
  void skip_space() {
    if (at_ == end_ || !is_space(*at_)) return;
    spaced_ = true;
    if (copied_ != nullptr) work_->append(copied_, at_);
    while (at_ < end_ && is_space(*at_)) ++at_;
    if (copied_ != nullptr) copied_ = at_;
  }
  bool colon() {
    skip_space();
    if (!take(':')) return false;
    skip_space();
    return true;
  }

  // What is between `open` and `close`, an `item` at a time.
  template <class Item>
  bool list(char open, char close, const Item& item) {
    if (!take(open)) return false;
    skip_space();
    if (take(close)) return true;
    do {
      skip_space();
      if (!item()) return false;
      skip_space();
    } while (take(','));
    return take(close);
  }
  bool string(std::string_view& text) {
    if (!take('"')) return false;
    const char* const begin = at_;
    skip_plain();
    text = {begin, static_cast<std::size_t>(at_ - begin)};
    return take('"');
  }
  template <class Number>
  bool integer(std::int64_t least, Number& value) {
    const bool negative = take('-');
    std::int64_t whole = 0;
    if (!digits(whole) || peek() == '.' || peek() == 'e' || peek() == 'E') return false;
    if (negative) whole = -whole;
    value = static_cast<Number>(whole);
    return whole >= least && whole <= std::int64_t{std::numeric_limits<Number>::max()};
  }
  bool value(int depth) {
    std::string_view ignored;
    switch (peek()) {
      case '"':
        return string(ignored);
      case '{':
        return depth <= kDepthMost && object(depth);
      case '[':
        return depth <= kDepthMost && list('[', ']', [&] { return value(depth + 1); });
      case 't':
        return word("true");
      case 'f':
        return word("false");
      case 'n':
        return word("null");
      default:
        return number();
    }
  }

  // Copies what `taken` takes to the work, without the whitespace between its parts.
  template <class Taken>
  bool copy(const Taken& taken) {
    copied_ = at_;
    if (!taken()) return false;
    work_->append(copied_, at_);
    copied_ = nullptr;
    return true;
  }

  // Whether no whitespace has been skipped.
  bool compact() const { return !spaced_; }
  const char* at() const { return at_; }
  bool word(std::string_view expected) {
    if (!std::string_view(at_, static_cast<std::size_t>(end_ - at_)).starts_with(expected)) return false;
    at_ += expected.size();
    return true;
  }

 private:
  void skip_plain() {
    const char* const begin = at_;
    for (std::uint64_t eight = 0; end_ - at_ >= 8; at_ += 8) {
      std::memcpy(&eight, at_, 8);
      if (const std::uint64_t found = stops(eight)) {
        at_ += std::countr_zero(found) / 8;
        return;
      }
      if (at_ - begin == kSpan) skip_spans();  // not before, since most strings are short
    }
    while (at_ < end_ && is_plain(*at_)) ++at_;
  }
  // The eight bytes here are plain. Moves on by 64 as long as those behind them are plain too.
  [[gnu::noinline]] void skip_spans() {
    while (end_ - at_ >= 8 + kSpan && !any_stops(at_ + 8)) at_ += kSpan;
  }
  bool object(int depth) {
    std::array<std::string_view, kKeysMost> keys;
    auto known = keys.begin();
    return list('{', '}', [&] {
      std::string_view key;
      if (known == keys.end() || !string(key) || std::find(keys.begin(), known, key) != known) return false;
      *known++ = key;
      return colon() && value(depth + 1);
    });
  }
  bool number() {
    take('-');
    std::int64_t whole = 0;
    if (!digits(whole)) return false;
    if (take('.')) {
      const char* const first = at_;
      while (is_digit(peek())) ++at_;
      if (at_ == first) return false;
    }
    return peek() != 'e' && peek() != 'E';
  }
  bool digits(std::int64_t& sum) {
    const char* const first = at_;
    while (is_digit(peek()) && at_ - first <= kDigitsMost) sum = sum * 10 + (*at_++ - '0');
    const auto count = at_ - first;
    return count > 0 && count <= kDigitsMost && (count == 1 || *first != '0');
  }

  const char* at_;
  const char* const end_;
  std::string* const work_ = nullptr;
  bool spaced_ = false;
  const char* copied_ = nullptr;  // while a value is copied: what is before it is in the work
};

bool PlainLines::read_labels(Scanner& from) {
  const bool taken = from.list('[', ']', [&] {
    const bool room = labels_.size() < kLabelsMax;
    std::string_view& label = labels_.emplace_back();
    return room && from.string(label) && !label.empty() && label.size() <= kLabelBytesMax;
  });
  if (std::adjacent_find(labels_.begin(), labels_.end(), std::greater_equal<>()) != labels_.end()) {
    std::sort(labels_.begin(), labels_.end());
    labels_.erase(std::unique(labels_.begin(), labels_.end()), labels_.end());
  }
  return taken;
}

bool PlainLines::read_limit(Scanner& from) {
  const auto key = [&] {
    if (limits_.size() == kLimitsMax) return false;
    std::string_view& text = limits_.emplace_back().key;
    return from.string(text) && !text.empty() && text.size() <= kLimitKeyBytesMax;
  };
  if (from.peek() == '"') return key();
  if (!from.list('[', ']', key)) return false;
  const auto before = [](const LimitView& a, const LimitView& b) { return a.key < b.key; };
  if (!std::is_sorted(limits_.begin(), limits_.end(), before))
    std::sort(limits_.begin(), limits_.end(), before);
  limits_.erase(std::unique(limits_.begin(), limits_.end()), limits_.end());
  return true;
}

// The work is written as it comes, so a line with a type after its args, or with a second command, is not
// plain.
bool PlainLines::read_member(Member member, Scanner& from, JobView& job) {
  std::string_view text;
  switch (member) {
    case kCmd: {
      if (!work_.empty()) return false;
      work_ = "{\"cmd\":";
      if (from.peek() == '"') return from.copy([&] { return from.string(text) && !text.empty(); });
      bool named = false;
      const auto argument = [&] {
        return from.string(text) && (std::exchange(named, true) || !text.empty());
      };
      return from.copy([&] { return from.list('[', ']', argument); }) && named;
    }
    case kType:
      if (!work_.empty()) return false;
      work_ = "{\"type\":";
      return from.copy([&] { return from.string(job.requirement.type); }) &&
             is_handler_name(job.requirement.type);
    case kArgs:
      if (job.requirement.type.empty()) return false;
      work_ += ",\"args\":";
      return from.copy([&] { return from.value(2); });
    case kId:
      return from.string(job.id) && !job.id.empty() && job.id.size() <= kIdBytesMax;
    case kPriority:
      return from.integer(std::numeric_limits<std::int32_t>::min(), job.priority);
    case kTimeout: {
      if (from.peek() == '"') return from.string(text) && (job.timeout = parse_duration(text));
      std::int32_t whole = 0;
      if (!from.integer(0, whole) || whole > kTimeoutSecondsMax) return false;
      job.timeout = seconds(whole);
      return true;
    }
    case kRetries:
      return from.integer(0, job.retries.emplace());
    case kSlots:
      return from.integer(1, job.requirement.slots);
    case kLabels:
      return read_labels(from);
    case kLimit:
      return read_limit(from);
    case kEnv:
    case kCwd:
    case kStdin:
    case kShell:
    case kOkExit:
    case kStdout:
    case kStderr:
    case kEach:
    case kMeta:
      return false;
  }
  return false;
}

// A line that is nothing but its work is that work itself, and need not be put together again. Most other
// lines do not end in `}}` or `]}`, so they are not tried.
bool PlainLines::read_bare(std::string_view line, JobView& job) {
  if (!line.ends_with("}}") && !line.ends_with("]}")) return false;
  const auto work = read_work(line);
  if (!work) return false;
  job.work = line;
  job.spec = spec_of_work(line);
  job.requirement.type = work->type;
  return true;
}

std::optional<JobView> PlainLines::read(std::string_view line) {
  std::optional<JobView> read;
  says_labels_ = says_limit_ = false;
  if (line.size() > kPlainBytesMost || !line.starts_with('{')) return read;
  if (read_bare(line, read.emplace())) return read;
  // What it has filled in so far goes with the emplace() below.
  work_.clear();
  labels_.clear();
  limits_.clear();
  JobView& job = read.emplace();
  Scanner from(line, work_);
  unsigned seen = 0;  // a bit for each member
  const bool taken = from.list('{', '}', [&] {
    std::string_view name;
    if (!from.string(name) || !from.colon()) return false;
    const auto member = member_named(name);
    if (!member || (seen >> *member & 1) != 0) return false;
    seen |= 1U << *member;
    return read_member(*member, from, job);
  });
  from.skip_space();
  if (!taken || !from.at_end() || work_.empty()) return std::nullopt;
  work_ += '}';
  job.work = work_;
  job.spec = spec_of_work(work_);
  job.requirement.labels = labels_;
  job.requirement.limits = limits_;
  says_labels_ = (seen >> kLabels & 1) != 0;
  says_limit_ = (seen >> kLimit & 1) != 0;
  return read;
}

std::optional<PlainLines::Work> PlainLines::read_work(std::string_view text) {
  std::optional<Work> read;
  if (text.size() > kPlainBytesMost) return read;
  Scanner from(text);
  Work work;
  if (!from.word("{\"type\":") || !from.string(work.type) || !is_handler_name(work.type)) return read;
  if (from.word(",\"args\":")) {
    const char* const begin = from.at();
    if (!from.value(2)) return read;
    work.args = {begin, static_cast<std::size_t>(from.at() - begin)};
  }
  if (from.take('}') && from.at_end() && from.compact()) read = work;
  return read;
}

bool PlainLines::is_value(std::string_view text) {
  Scanner from(text);
  return from.value(1) && from.at_end() && from.compact();
}

}  // namespace workpool

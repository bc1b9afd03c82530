// SPDX-License-Identifier: MIT
// What the programs of handlers write (docs/handlers.md).
#include <algorithm>
#include <map>

#include "common/base/check.h"
#include "common/base/text.h"
#include "common/formats/results_file.h"
#include "common/formats/value_json.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/targets.h"
#include "tests/support/owned_result.h"
#include "worker/core/handler_talk.h"

namespace workpool::fuzz {
namespace {

bool is_for_people(std::string_view text) {
  return !text.empty() && is_utf8(text) && std::none_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
}

// It fits into a line of results, which is read back as it was.
void check_outcome(const Outcome& outcome) {
  CHECK(is_utf8(outcome.message) && outcome.message.size() <= kErrorMessageBytesMax);
  OwnedResult line;
  line.spec = Spec{{1, 2}};
  line.id = "a";
  line.line = 3;
  line.attempt = 1;
  line.outcome = outcome;
  line.worker = "w1";
  line.finished_ms = 1'700'000'000'000;
  line.run = {7};
  std::string text;
  append_result_line(text, line);
  CHECK(std::count(text.begin(), text.end(), '\n') == 1);
  text.pop_back();
  ReplayedLine replayed;
  CHECK(read_result_line(text, replayed) == LineDamage::kNone);
  CHECK(replayed.status == outcome.status);
}

// A child, what it is asked and answers, and what becomes of its jobs: each has one end.
class TalkRun {
 public:
  explicit TalkRun(Input input) : input_(input), talk_(input_.pick(4) * 3) { talk_.begin(); }

  void run() {
    while (!input_.empty()) {
      step();
      check_endings();
      CHECK(talk_.asked() == open_.size());
      CHECK(talk_.room() + talk_.asked() <= std::max<std::size_t>(64, talk_.asked()));
    }
    leave();
    CHECK(open_.empty());
  }

 private:
  void step() {
    now_ += microseconds(static_cast<std::int64_t>(input_.byte()) * 40);
    switch (input_.pick(8)) {
      case 0:
      case 1:
        return ask(input_.pick(6));
      case 2:
        return hear(input_.take(input_.byte()));
      case 3:
        for (std::uint32_t i = input_.pick(9); i > 0; --i) hear(R"({"value":1})");
        talk_.lines_over(now_, endings_);
        return;
      case 4:
        talk_.kill(some());
        return;
      case 5:
        return take_back();
      case 6:
        talk_.note_stderr();
        return;
      default:
        leave();
        talk_.begin();
    }
  }

  void ask(std::uint32_t count) {
    for (; count > 0 && talk_.room() > 0; --count) {
      worker::StartAttempt attempt;
      attempt.token = ++last_;
      attempt.order.id = "job";
      attempt.order.timeout = input_.once(2) ? milliseconds(3) : Duration{0};
      open_[last_] = written_;
      talk_.ask(std::move(attempt), written_, now_);
      written_ += 10;
    }
  }

  void hear(std::string_view line) {
    const std::size_t before = endings_.size();
    std::string fault;
    const std::uint64_t read =
        written_ - (input_.once(4) ? std::min<std::uint64_t>(written_, input_.byte()) : 0);
    const bool is_known = !open_.empty() && open_.begin()->second < read;
    talk_.note_read(read, now_);
    const auto heard = talk_.hear(line, read, endings_, fault);
    using Heard = worker::HandlerTalk::Heard;
    CHECK(endings_.size() == before + (heard == Heard::kAnswer ? 1 : 0));
    CHECK((heard == Heard::kFault) == !fault.empty());
    CHECK(fault.empty() || is_for_people(fault));
    CHECK(heard == Heard::kSurplus ? !is_known : is_known || heard == Heard::kFault);
    check_endings();
  }

  void take_back() {
    const std::uint64_t read = written_ - std::min<std::uint64_t>(written_, input_.byte());
    for (const auto& asked : talk_.take_unread(read, input_.once(2))) {
      CHECK(open_.at(asked.attempt.token) == asked.begins && asked.begins >= read);
      open_.erase(asked.attempt.token);
    }
    CHECK(talk_.impatient_at() == kNever);
  }

  // All that is asked comes back, in order.
  void leave() {
    talk_.lines_over(now_, endings_);
    while (auto asked = talk_.take_first()) {
      CHECK(!open_.empty() && open_.begin()->first == asked->attempt.token);
      open_.erase(open_.begin());
    }
  }

  void check_endings() {
    for (; seen_ < endings_.size(); ++seen_) {
      CHECK(!open_.empty() && open_.begin()->first == endings_[seen_].token);
      open_.erase(open_.begin());
      check_outcome(endings_[seen_].outcome);
    }
  }

  std::uint64_t some() { return last_ - std::min<std::uint64_t>(last_, input_.pick(5)); }

  Input input_;
  worker::HandlerTalk talk_;
  Time now_{seconds(1000)};
  std::uint64_t last_ = 0;
  std::uint64_t written_ = 0;
  std::map<std::uint64_t, std::uint64_t> open_;  // by token: where it begins
  std::vector<worker::AttemptEnded> endings_;
  std::size_t seen_ = 0;
};

}  // namespace

void run_handler_answer(std::string_view input) {
  worker::HandlerAnswerReader reader;
  const worker::HandlerAnswer answer = reader.read(input);
  CHECK(reader.read(input).says.index() == answer.says.index());
  CHECK(answer.id.empty() || (answer.id.front() == '"' && answer.id.back() == '"'));
  if (const auto* const value = std::get_if<worker::AnswerValue>(&answer.says)) {
    CHECK(value->value.data() >= input.data() &&
          value->value.data() + value->value.size() <= input.data() + input.size());
    CHECK(value_fault(value->value).empty() || ValueCheck().holds(value->value));
    Outcome outcome;
    outcome.value = value->value;
    check_outcome(outcome);
  } else if (const auto* const error = std::get_if<worker::AnswerError>(&answer.says)) {
    CHECK(is_utf8(error->message));
  } else if (const auto* const fault = std::get_if<worker::AnswerFault>(&answer.says)) {
    CHECK(is_for_people(fault->message));
  }
}

void run_handler_talk(std::string_view input) { TalkRun(Input(input)).run(); }

std::vector<std::string> answer_seeds() {
  return {R"({"value":{"a":[1,2.5e3,"\u00e9\n"],"b":null}})",
          R"({"error":"no \"such\" file","id":"job"})",
          R"({"progress":0.4,"text":"half way"})",
          R"( { "id" : "7" , "value" : [NaN,-Infinity,{"x":inf}] } )",
          R"({"value":1,"value":2})",
          R"({"value":1}})",
          R"({"value":"NaN)",
          "{\"value\":\"\xff\"}",
          R"({"error":"\ud800"})",
          ""};
}

}  // namespace workpool::fuzz

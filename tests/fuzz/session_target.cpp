// SPDX-License-Identifier: MIT
// A dispatcher that says anything, in any order, and runs that end in every way: the worker's session machine
// must number what it sends, start nothing twice, and serve the next dispatcher that behaves.
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "common/base/check.h"
#include "common/wire/codec.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/targets.h"
#include "worker/core/session.h"

namespace workpool::fuzz {
namespace {

using worker::Actions;
using worker::AttemptEnd;
using worker::Event;

constexpr std::uint64_t kHonestSession = 1'000'000;

class SessionWorld {
 public:
  explicit SessionWorld(Input& input) : input_(input), session_(options(input)) {}

  void misbehave() {
    if (input_.once(4)) step(worker::DeathsKnown{{{1, "signal 11", {key(1)}}}});
    step(worker::Started{});
    while (!input_.empty() && !left_) one_choice();
  }
  void behave();

 private:
  static worker::SessionOptions options(Input& input);
  static Key key(std::uint64_t number) { return Key{{number, 7}}; }

  void step(Event&& event);
  template <class Message>
  void sent_up(const Header& header, const Message& message);
  void carry_out(worker::Action& action);
  void one_choice();
  void answer();
  void welcome(std::uint64_t run, Duration worker_timeout, std::uint64_t window);
  void lane();
  LaneMessage message();
  void deliver(const Header& header, const LaneMessage& message);
  void end_a_run();
  void regain();
  void end_all_runs();
  JobOrder any_order();
  JobRef any_ref();

  Input& input_;
  worker::Session session_;
  Time now_{seconds(1000)};
  std::optional<std::uint32_t> registering_;
  bool open_ = false;
  Header down_;  // of the next message down the lane
  std::uint64_t sink_seq_ = 0;
  std::uint64_t sessions_ = 0;
  std::vector<std::pair<std::uint64_t, JobOrder>> running_;
  std::vector<std::uint64_t> lost_;  // reported, their threads not back
  std::vector<std::uint64_t> unstarting_;
  std::set<std::uint64_t> tokens_;
  std::set<Key> reported_;  // in the results that went up last
  int stops_ = 0;
  bool left_ = false;
};

worker::SessionOptions SessionWorld::options(Input& input) {
  worker::SessionOptions options;
  const std::uint32_t shape = input.byte();
  options.worker = {5};
  options.name = "w";
  options.slots = 1 + (shape & 3);
  options.keep = (shape & 4) != 0;
  options.orphan_grace = (shape & 8) != 0 ? std::nullopt : std::optional<Duration>(seconds(3600));
  options.handlers = {"echo"};
  return options;
}

// ---- the engine's part ----

void SessionWorld::step(Event&& event) {
  Actions actions;
  session_.step(std::move(event), now_, actions);
  for (worker::Action& action : actions) carry_out(action);
}

template <class Message>
void SessionWorld::sent_up(const Header& header, const Message& message) {
  CHECK(open_ && header.seq == ++sink_seq_);
  CHECK(header.session == down_.session && header.run == down_.run);
  std::string frame;
  encode(header, message, frame);
  CHECK(decode_sink(frame));
}

void SessionWorld::carry_out(worker::Action& action) {
  CHECK(!left_);
  if (auto* hello = std::get_if<worker::Register>(&action)) {
    CHECK(!registering_ && !open_);
    registering_ = hello->hello.try_number;
  } else if (auto* open = std::get_if<worker::OpenSession>(&action)) {
    CHECK(!open_);
    open_ = true;
    sink_seq_ = 0;
    down_ = {open->welcome.run, open->welcome.session, 1};
  } else if (std::holds_alternative<worker::CloseSession>(action)) {
    CHECK(open_);
    open_ = false;
  } else if (auto* sent = std::get_if<worker::SendSink>(&action)) {
    sent_up(sent->header, sent->message);
  } else if (auto* results = std::get_if<worker::SendResults>(&action)) {
    sent_up(results->header, *results->results);
    for (const JobResult& result : results->results->results) reported_.insert(result.key);
  } else if (auto* starts = std::get_if<worker::StartAttempts>(&action)) {
    for (const auto& [token, order] : starts->attempts) {
      CHECK(stops_ == 0 && tokens_.insert(token).second);
      running_.emplace_back(token, order);
    }
  } else if (auto* unstart = std::get_if<worker::UnstartAttempt>(&action)) {
    unstarting_.push_back(unstart->token);
  } else if (std::holds_alternative<worker::Exit>(action)) {
    left_ = true;
  }
}

// ---- what a dispatcher says ----

void SessionWorld::welcome(std::uint64_t run, Duration worker_timeout, std::uint64_t window) {
  Welcome welcome;
  welcome.run = {run};
  welcome.session = {++sessions_};
  welcome.name = "w";
  welcome.lane_port = welcome.sink_port = 1;
  welcome.worker_timeout = worker_timeout;
  welcome.result_window = window;
  std::string frame;
  encode(RegistrationReply{welcome}, frame);
  const auto decoded = decode_reply(frame);
  if (!decoded) return;
  const std::uint32_t try_number = registering_ ? *registering_ : 0;
  registering_.reset();
  step(worker::Welcomed{try_number, std::get<Welcome>(*decoded)});
}

void SessionWorld::answer() {
  static const Duration kTimeouts[] = {Duration{0}, Duration{1}, seconds(10), seconds(3'000'000'000)};
  const std::uint32_t how = input_.pick(8);
  if (how == 0) return step(worker::Welcomed{0, {}});  // of a try that is long over
  if (!registering_) return;
  if (how == 1) {
    static const Refusal kCodes[] = {Refusal::kLater, Refusal::kLater, Refusal::kLater, Refusal::kComplete};
    return step(
        worker::RefusedBy{*std::exchange(registering_, std::nullopt), {1, kCodes[input_.pick(4)], "no"}});
  }
  if (how == 2) {
    return step(
        worker::RegistrationFailed{*std::exchange(registering_, std::nullopt), "nobody", input_.once(16)});
  }
  const std::uint64_t run = 1 + (input_.once(4) ? 1 : 0);
  welcome(run, input_.once(8) ? kTimeouts[input_.pick(4)] : seconds(10),
          input_.once(4) ? input_.byte() : 1 << 20);
}

JobOrder SessionWorld::any_order() {
  JobOrder order;
  order.handle = {input_.pick(8)};
  order.key = key(input_.pick(8));
  order.attempt = 1 + input_.pick(11);
  order.kind = input_.once(2) ? JobKind::kHandler : JobKind::kCommand;
  order.work = order.kind == JobKind::kHandler ? R"({"type":"echo"})" : R"({"cmd":["true"]})";
  order.slots = 1;
  if (input_.once(4)) order.slots = input_.pick(6);
  if (input_.once(16)) order.slots = static_cast<std::uint32_t>(input_.word());
  return order;
}

JobRef SessionWorld::any_ref() { return {{input_.pick(8)}, key(input_.pick(8)), input_.pick(12)}; }

LaneMessage SessionWorld::message() {
  const std::uint32_t kind = input_.pick(16);
  const std::size_t count = input_.pick(6);
  const auto seq = [this] {
    return input_.once(8) ? input_.word() : sink_seq_ - std::min<std::uint64_t>(input_.pick(3), sink_seq_);
  };
  if (kind < 7) {
    Jobs jobs{seq(), seq(), {}};
    for (std::size_t i = 0; i < count; ++i) jobs.jobs.push_back(any_order());
    return jobs;
  }
  if (kind < 11) {
    std::vector<JobRef> refs;
    for (std::size_t i = 0; i < count; ++i) refs.push_back(any_ref());
    if (input_.once(2)) return Recall{std::move(refs)};
    return Cancel{std::move(refs)};
  }
  if (kind < 14) return LaneBeat{input_.word() >> 1, seq(), seq()};
  if (kind == 14) return input_.once(4) ? LaneMessage{Stop{}} : LaneMessage{LaneBeat{}};
  return End{};
}

void SessionWorld::deliver(const Header& header, const LaneMessage& message) {
  std::string frame;
  encode(header, message, frame);
  auto decoded = decode_lane(frame);
  // A frame that is none ends the session, as the transport says.
  if (!decoded) return step(worker::SinkGone{header.session});
  step(worker::LaneReceived{decoded->header, std::move(std::get<LaneMessage>(decoded->content))});
}

void SessionWorld::lane() {
  Header header = down_;
  switch (input_.pick(32)) {
    case 0:
      header.run.value ^= 1;
      break;
    case 1:
      header.session.value ^= 1;
      break;
    case 2:
      header.seq = input_.word();
      break;
    case 3:
      return step(worker::LanePart{header.session});
    default:
      ++down_.seq;
      break;
  }
  deliver(header, message());
}

// ---- what becomes of runs ----

void SessionWorld::end_a_run() {
  if (running_.empty()) return;
  const std::size_t index = input_.pick(running_.size());
  const std::uint64_t token = running_[index].first;
  running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(index));
  worker::AttemptEnded ended;
  ended.token = token;
  ended.how = static_cast<AttemptEnd>(input_.pick(5));
  ended.ran = Duration{input_.byte()};
  if (input_.once(3)) ended.outcome.value = std::string(input_.once(8) ? 1 << 20 : 5, '1');
  if (ended.how == AttemptEnd::kDoubtful) {
    ended.outcome.status = Status::kFailed;
    ended.outcome.kind = ErrorKind::kSignal;
  }
  ended.slot_lost = ended.how == AttemptEnd::kOutcome && input_.once(8);
  if (ended.slot_lost) lost_.push_back(token);
  step(worker::AttemptsEnded{{std::move(ended)}});
}

void SessionWorld::regain() {
  if (lost_.empty()) return;
  const std::uint64_t token = lost_.back();
  lost_.pop_back();
  step(worker::AttemptsEnded{{worker::AttemptEnded{token, AttemptEnd::kOutcome, {}, {}, false}}});
}

void SessionWorld::one_choice() {
  static const Duration kSteps[] = {Duration{0}, milliseconds(1), milliseconds(300), seconds(2), seconds(11)};
  switch (input_.pick(16)) {
    case 0:
    case 1:
      return answer();
    case 2:
      now_ += kSteps[input_.pick(5)];
      return;
    case 3:
    case 4:
    case 5:
      return step(worker::Drained{});
    case 6:
    case 7:
      return end_a_run();
    case 8:
      return regain();
    case 9:
      if (input_.once(4)) return step(worker::SinkGone{{down_.session.value - input_.pick(2)}});
      return;
    case 10:
      if (!input_.once(12)) return;
      ++stops_;
      return step(worker::StopAsked{});
    case 11: {
      const auto decoded = decode_lane(input_.take(48));
      if (!decoded || !std::holds_alternative<LaneMessage>(decoded->content)) return;
      return step(worker::LaneReceived{decoded->header, std::get<LaneMessage>(decoded->content)});
    }
    default:
      return lane();
  }
}

// ---- a dispatcher that behaves ----

void SessionWorld::end_all_runs() {
  for (const auto& [token, order] : std::exchange(running_, {})) {
    step(worker::AttemptsEnded{
        {worker::AttemptEnded{token, AttemptEnd::kOutcome, {}, milliseconds(1), false}}});
  }
  for (const std::uint64_t token : std::exchange(lost_, {})) {
    step(worker::AttemptsEnded{{worker::AttemptEnded{token, AttemptEnd::kOutcome, {}, {}, false}}});
  }
}

void SessionWorld::behave() {
  if (open_) step(worker::SinkGone{down_.session});
  for (int turn = 0; turn < 100 && !left_ && !open_; ++turn) {
    end_all_runs();
    now_ += milliseconds(300);
    step(worker::Drained{});
    if (!registering_ || left_) continue;
    sessions_ = kHonestSession;
    welcome(1, seconds(10), 1 << 20);
  }
  if (left_ || stops_ > 0) return;
  CHECK(open_);
  // What it kept goes up, is acked, and then the next job runs.
  now_ += seconds(2);
  step(worker::Drained{});
  JobOrder order;
  order.handle = {77};
  order.key = key(77);
  order.attempt = 1;
  order.work = R"({"cmd":["true"]})";
  deliver({down_.run, down_.session, down_.seq++}, Jobs{sink_seq_, sink_seq_, {order}});
  for (int turn = 0; turn < 100 && !left_ && !reported_.contains(order.key); ++turn) {
    deliver({down_.run, down_.session, down_.seq++}, LaneBeat{1, sink_seq_, sink_seq_});
    now_ += milliseconds(100);
    step(worker::Drained{});
    end_all_runs();
    step(worker::Drained{});
  }
  CHECK(left_ || reported_.contains(order.key));
}

}  // namespace

void run_session(std::string_view input) {
  Input choices(input);
  SessionWorld world(choices);
  world.misbehave();
  world.behave();
}

}  // namespace workpool::fuzz

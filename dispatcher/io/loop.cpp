// SPDX-License-Identifier: MIT
#include "dispatcher/io/loop.h"

#include <poll.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "common/io/clock.h"
#include "dispatcher/io/loop_log.h"
#include "dispatcher/io/signals.h"
#include "dispatcher/io/terminal/status_json.h"
#include "dispatcher/io/terminal/worker_words.h"

namespace workpool::dispatcher {
namespace {

constexpr Duration kLoopInterval = milliseconds(250);
// So many new lanes are among what the loop waits for; if there are more, all are looked at this often.
constexpr std::size_t kNewLanesPolled = 16;
constexpr Duration kNewInterval = milliseconds(5);
constexpr Duration kShowInterval = milliseconds(10);
constexpr Duration kComplaintInterval = seconds(10);
// An answer to `status` is made this often, however many ask.
constexpr Duration kStatusInterval = milliseconds(200);
constexpr std::size_t kFramesATurn = 512;
constexpr std::size_t kBytesATurn = 8 << 20;
// A sink that is never empty counts as drained after this many turns. Otherwise no worker could register and
// no silence could be judged. Frames are taken from the connections in turn, so every sender has been heard
// by then.
constexpr int kUndrainedTurnsMost = 16;
constexpr std::size_t kFramesToDrain = 65'536;
constexpr std::size_t kBytesToDrain = 64 << 20;
constexpr std::size_t kHellosATurn = 256;
// Of one key. A thousand workers may come at once.
constexpr double kHellosAtOnce = 1024;
constexpr double kHellosPerSecond = 50;
constexpr int kSignalsAtOnce = 3;  // so many end the run at once
// For the commands that the summary shows; a disk that hangs must not hold up the end.
constexpr Duration kCommandsLimit = milliseconds(200);
constexpr Duration kEndPatience = seconds(2);  // for END to get out of a lane that is closed

SessionId random_session() {
  SessionId id;
  while (id.value == 0) {
    if (::getrandom(&id.value, sizeof id.value, 0) != static_cast<ssize_t>(sizeof id.value)) std::abort();
  }
  return id;
}

}  // namespace

Loop::Loop(const LoopParts& parts)
    : parts_(parts),
      transport_(parts.entrance.transport()),
      hello_rate_(kHellosAtOnce, kHellosPerSecond),
      start_(boot_time()),
      now_(start_) {
  transport_.accept_only(parts_.run);
}

LoopEnd Loop::run() {
  show(true);
  while (!end_) {
    if (events_.empty() && sink_drained_) wait();
    now_ = std::max(now_, boot_time());
    gather();
    show(step(sink_drained_));
  }
  if (signals_ < kSignalsAtOnce) learn_commands();
  return {std::move(*end_), signals_ >= kSignalsAtOnce};
}

void Loop::learn_commands() {
  parts_.terminal.ask_for_examples();
  ask_commands();
  const Time until = boot_time() + kCommandsLimit;
  for (now_ = boot_time(); parts_.terminal.awaits_answers() && now_ < until; now_ = boot_time()) {
    pollfd woken{parts_.wake.fd(), POLLIN, 0};
    ::poll(&woken, 1, static_cast<int>((until - now_) / milliseconds(1)) + 1);
    parts_.wake.clear();
    gather_commands();
  }
}

// Of the few jobs that the terminal shows: the source reads their lines in its own thread.
void Loop::ask_commands() {
  for (const JobNumber number : parts_.terminal.take_questions()) parts_.jobs.describe(number);
}

void Loop::gather_commands() {
  if (!parts_.terminal.awaits_answers()) return;
  for (const DescribedJob& job : parts_.jobs.described())
    parts_.terminal.described(job.number, job.work, now_);
}

Duration Loop::patience() const {
  Duration wait = kLoopInterval;
  if (transport_.new_lanes() > kNewLanesPolled) wait = kNewInterval;
  const auto until = [&](Time time) { wait = std::min(wait, time - now_); };
  if (const auto due = parts_.scheduler.next_deadline()) until(*due);
  if (parts_.local != nullptr && !over() && parts_.local->next_start()) until(*parts_.local->next_start());
  if (parts_.terminal.next_draw() != kNever) until(parts_.terminal.next_draw());
  return std::max(wait, Duration{0});
}

void Loop::wait() {
  constexpr std::size_t kOthers = 4;  // wake, signals, and two of the local worker
  zmq::pollitem_t items[kOthers + 2 * Transport::kDoorsMost + kNewLanesPolled] = {
      {nullptr, parts_.wake.fd(), ZMQ_POLLIN, 0}, {nullptr, parts_.signal_fd, ZMQ_POLLIN, 0}};
  std::size_t count = 2;
  for (void* const socket : transport_.readable_handles()) items[count++] = {socket, 0, ZMQ_POLLIN, 0};
  if (parts_.local != nullptr) {
    for (const int fd : {parts_.local->death_fd(), parts_.local->stderr_fd()})
      if (fd >= 0) items[count++] = {nullptr, fd, ZMQ_POLLIN, 0};
  }
  for (void* const lane : transport_.new_lane_handles(kNewLanesPolled))
    items[count++] = {lane, 0, ZMQ_POLLOUT, 0};
  const auto wait_ms = (patience() + milliseconds(1) - microseconds(1)) / milliseconds(1);
  zmq::poll(items, count, std::chrono::milliseconds(wait_ms));
}

// ---- receive ----

void Loop::gather() {
  parts_.wake.clear();
  gather_signals();
  gather_journal();
  // The sink first: results that came before a HELLO belong to the session that the HELLO ends.
  const bool overdue = undrained_turns_ >= kUndrainedTurnsMost;
  sink_drained_ = transport_.receive_sinks(overdue ? kFramesToDrain : kFramesATurn,
                                           overdue ? kBytesToDrain : kBytesATurn, events_) ||
                  overdue;
  undrained_turns_ = sink_drained_ ? 0 : undrained_turns_ + 1;
  if (sink_drained_) gather_registration();
  transport_.tend(now_, events_);
  complain_of_descriptors();
  gather_jobs();
  gather_keys();
  tend_local();
  if (const std::uint64_t refused = transport_.refused_frames(); refused != refused_frames_) {
    refused_frames_ = refused;
    parts_.log.warn("refused_frames", {{"count", refused}, {"reason", "not of our protocol: dropped"}});
  }
  if (const std::uint64_t closed = transport_.visitors_closed(); closed != visitors_closed_) {
    visitors_closed_ = closed;
    parts_.log.warn("connections_closed", {{"count", closed}, {"reason", "had no reason to stay"}});
  }
}

void Loop::complain_of_descriptors() {
  if (!transport_.lacks_descriptors() || now_ < complain_at_) return;
  complain_at_ = now_ + kComplaintInterval;
  parts_.terminal.say("no file descriptor is left, so no worker can join: allow more open files (ulimit -n)" +
                      (parts_.listening ? ", or see who connects to " + parts_.entrance.network()->text() +
                                              " and says nothing"
                                        : ""));
}

void Loop::gather_signals() {
  signalfd_siginfo info{};
  while (::read(parts_.signal_fd, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    const int number = static_cast<int>(info.ssi_signo);
    if (!stops(number)) {
      const std::string text = number == SIGUSR1 ? status_text(parts_.status(now_, false)).value_or("") : "";
      parts_.terminal.lines(text.empty() ? ignored_text(number) : text);
      continue;
    }
    const StopKind kind = stop_kind_of(number);
    ++signals_;
    parts_.terminal.stop_requested(kind, signals_, parts_.scheduler.snapshot(now_), parts_.grace);
    events_.emplace_back(StopRequested{kind});
  }
}

void Loop::gather_journal() {
  const JournalState state = parts_.journal.state();
  if (state == journal_) return;
  if (state.no_space && !journal_.no_space) {
    parts_.terminal.say("no space left for the results: nothing new is started until there is room");
  }
  if (!state.no_space && journal_.no_space && state.error == 0)
    parts_.terminal.say("there is room for results again: going on");
  journal_ = state;
  events_.emplace_back(state);
}

void Loop::gather_registration() {
  hellos_.clear();
  asked_.clear();
  transport_.receive_registration(kHellosATurn, hellos_, asked_);
  any_hello_ = any_hello_ || !hellos_.empty();
  for (HelloReceived& hello : hellos_) {
    // Without a key nobody can be told from others. Whoever gets no answer comes again.
    if (hello.key != KeyId{} && !hello_rate_.admits(hello.key, now_)) continue;
    hello.fresh = random_session();
    if (hello.key != KeyId{}) hello.fingerprint = parts_.entrance.fingerprint_of(hello.key);
    events_.emplace_back(std::move(hello));
  }
  for (const StatusAsked& asked : asked_) {
    LastStatus& last = last_status_[asked.all ? 1 : 0];
    if (last.json.empty() || now_ >= last.at + kStatusInterval)
      last = {now_, parts_.status(now_, asked.all), {}};
    // Once for each who asks: who asks again at once does not read.
    if (last.told.insert(asked.peer).second) transport_.reply(asked.peer, StatusReply{kProtocol, last.json});
  }
}

void Loop::gather_keys() {
  Entrance::News news = parts_.entrance.look(now_);
  for (const std::string& line : news.lines) parts_.terminal.say(line);
  transport_.revoke(news.revoked);
  if (!news.revoked.empty()) events_.emplace_back(KeysRevoked{std::move(news.revoked)});
}

void Loop::gather_jobs() {
  const std::size_t first = events_.size();
  parts_.jobs.take(events_);
  for (std::size_t i = first; i < events_.size(); ++i) {
    if (const auto* broken = std::get_if<InputBroken>(&events_[i])) parts_.terminal.say(broken->problem);
  }
  gather_commands();
}

void Loop::tend_local() {
  if (parts_.local == nullptr) return;
  LocalWorker::News news = parts_.local->tend(now_, {any_hello_, records_, over()});
  for (const std::string& line : news.lines) parts_.terminal.say(line);
  if (!news.problem) return;
  // If no other worker may come, the run ends, and the summary gives the reason.
  if (parts_.listening) parts_.terminal.say(*news.problem);
  events_.emplace_back(LocalWorkerFailed{std::move(*news.problem)});
}

// ---- step ----

bool Loop::step(bool sink_drained) {
  // Two vectors take turns, so that both keep their memory: carrying out may add events, when a lane has
  // gone.
  stepping_.swap(events_);
  for (Event& event : stepping_) {
    log_received(parts_.log, event);
    parts_.scheduler.step(std::move(event), now_, actions_);
  }
  stepping_.clear();
  parts_.scheduler.step(Drained{sink_drained}, now_, actions_);
  return carry_out();
}

bool Loop::carry_out() {
  for (Action& action : actions_) {
    auto* persist = std::get_if<Persist>(&action);
    if (persist == nullptr) continue;
    for (const JournalEntry& entry : persist->entries) {
      if (const auto* done = std::get_if<Record>(&entry)) record(*done);
    }
    entries_.push_back(std::move(persist->entries));
  }
  if (!entries_.empty()) parts_.journal.append_all(std::move(entries_));
  entries_.clear();
  for (Action& action : actions_) send(action);
  bool came_or_left = false;
  for (Action& action : actions_) {
    auto* report = std::get_if<Report>(&action);
    if (report == nullptr) continue;
    came_or_left |=
        std::holds_alternative<WorkerJoined>(*report) || std::holds_alternative<WorkerLeft>(*report);
    if (const auto* spoke = std::get_if<SpokeForAnother>(report))
      parts_.terminal.say(spoke_text(*spoke, parts_.entrance.name_of(spoke->key)));
    parts_.terminal.report(*report, now_);
  }
  ask_commands();
  actions_.clear();
  return came_or_left;
}

void Loop::record(const Record& record) {
  ++records_;
  log_recorded(parts_.log, record);
  parts_.jobs.recorded(record.facts);
  parts_.terminal.attempt_ended(record.ran, record.facts.slots);
}

void Loop::send(Action& action) {
  struct Visitor {
    Loop& self;
    void operator()(Persist&) {}
    void operator()(Report&) {}
    void operator()(Load& a) { self.parts_.jobs.load(a.jobs); }
    void operator()(Admit& a) { self.admit(a); }
    void operator()(Refuse& a) { self.transport_.reply(a.peer, refused_for(a.cause)); }
    void operator()(SendLane& a) { self.send_lane(a); }
    void operator()(CloseSession& a) {
      self.transport_.close_lane(a.session, self.now_, a.say_end ? kEndPatience : Duration{0});
    }
    void operator()(RunOver&) { self.parts_.terminal.run_over(self.now_); }
    void operator()(Finish& a) { self.end_ = std::move(a.end); }
  };
  std::visit(Visitor{*this}, action);
}

void Loop::send_lane(const SendLane& send) {
  log_sent(parts_.log, send);
  if (!transport_.send(send.session, send.message)) events_.emplace_back(LaneGone{send.session});
}

void Loop::admit(Admit& admit) {
  Welcome& welcome = admit.welcome;
  const bool bound = transport_.open_lane(admit.peer, admit.key, admit.slots, welcome);
  events_.emplace_back(LaneBound{welcome.session, bound});
  if (!bound) {
    transport_.reply(admit.peer, Refused{kProtocol, Refusal::kLater,
                                         "no port is free for another worker (see --ports, ulimit -n)"});
    return;
  }
  transport_.reply(admit.peer, welcome);
}

// A snapshot looks at all sessions, so not every step makes one; `changed`: other workers are here than
// before.
void Loop::show(bool changed) {
  if (!changed && now_ < shown_ + kShowInterval && now_ < parts_.terminal.next_draw()) return;
  shown_ = now_;
  if (now_ >= parts_.terminal.next_draw()) parts_.terminal.note_running(parts_.scheduler.running_jobs(now_));
  parts_.terminal.show(parts_.scheduler.snapshot(now_), now_);
}

}  // namespace workpool::dispatcher

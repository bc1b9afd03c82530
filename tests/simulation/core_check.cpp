// SPDX-License-Identifier: MIT
#include "tests/simulation/core_check.h"

#include <map>

namespace workpool::simulation {
namespace {

std::string text(dispatcher::KeyId key) {
  return key == dispatcher::KeyId{} ? "" : " key " + std::to_string(key.value);
}

std::string text(SessionId session) { return hex64(session.value).substr(0, 6); }
std::string text(const Key& key) { return hex64(key.high).substr(0, 6); }
std::string text(const Header& header) { return text(header.session) + "/" + std::to_string(header.seq); }

struct MessageText {
  std::string operator()(const Died& m) const {
    std::string all = "DIED";
    for (const Death& death : m.deaths) {
      all += " " + std::to_string(death.engine) + "(";
      for (const Key& key : death.ran) all += text(key) + " ";
      all += ")";
    }
    return all;
  }
  std::string operator()(const Held& m) const {
    std::string all = "HELD";
    for (const HeldJob& job : m.jobs) all += " " + text(job.key) + "." + std::to_string(job.attempt);
    return all;
  }
  std::string operator()(const Results& m) const {
    std::string all = "RESULTS";
    for (const JobResult& result : m.results) {
      all += " " + text(result.key) + "." + std::to_string(result.attempt) + "=" +
             workpool::name_of(result.outcome.status);
    }
    return all;
  }
  std::string operator()(const Returned& m) const {
    std::string all = "RETURNED";
    for (const ReturnedJob& job : m.jobs) {
      all += " " + text(job.key) + "." + std::to_string(job.attempt) + "(" +
             std::to_string(static_cast<int>(job.reason)) + ")";
    }
    return all;
  }
  std::string operator()(const Ready& m) const { return m.accepting ? "READY" : "READY not accepting"; }
  std::string operator()(const Beat& m) const {
    std::string all = "BEAT";
    if (!m.begun.empty()) all += ", runs " + std::to_string(m.begun.size());
    if (!m.ended.empty()) all += ", ended " + std::to_string(m.ended.size());
    return all;
  }
  std::string operator()(const Goodbye&) const { return "GOODBYE"; }
  std::string operator()(const Jobs& m) const {
    std::string all = "JOBS ack " + std::to_string(m.ack) + " received " + std::to_string(m.received);
    for (const JobOrder& order : m.jobs) all += " " + text(order.key) + "." + std::to_string(order.attempt);
    return all;
  }
  std::string refs(const std::vector<JobRef>& jobs) const {
    std::string all;
    for (const JobRef& ref : jobs)
      all +=
          " " + text(ref.key) + "." + std::to_string(ref.attempt) + (ref.handle.value == 0 ? "(held)" : "");
    return all;
  }
  std::string operator()(const Cancel& m) const { return "CANCEL" + refs(m.jobs); }
  std::string operator()(const Recall& m) const { return "RECALL" + refs(m.jobs); }
  std::string operator()(const LaneBeat& m) const {
    return "BEAT ack " + std::to_string(m.ack) + " received " + std::to_string(m.received);
  }
  std::string operator()(const Stop&) const { return "STOP"; }
  std::string operator()(const End&) const { return "END"; }
};

struct DispatcherText : MessageText {
  using MessageText::operator();
  // What has no words of its own.
  template <class Other>
  std::string operator()(const Other&) const {
    return "something else";
  }
  std::string operator()(const dispatcher::HelloReceived& e) const {
    return "HELLO " + e.hello.name + " engine " + std::to_string(e.hello.engine) + " try " +
           std::to_string(e.hello.try_number);
  }
  std::string operator()(const dispatcher::LaneBound& e) const { return "lane bound " + text(e.session); }
  std::string operator()(const dispatcher::SinkReceived& e) const {
    return "<- " + text(e.header) + text(e.key) + " " + std::visit(MessageText{}, e.message);
  }
  std::string operator()(const dispatcher::PartReceived& e) const {
    return "<- part " + text(e.session) + text(e.key);
  }
  std::string operator()(const dispatcher::KeysRevoked& e) const {
    std::string all = "revoked";
    for (const dispatcher::KeyId key : e.keys) all += text(key);
    return all;
  }
  std::string operator()(const dispatcher::LaneWritable& e) const {
    return "lane writable " + text(e.session);
  }
  std::string operator()(const dispatcher::LaneGone& e) const { return "lane gone " + text(e.session); }
  std::string operator()(const dispatcher::JobsLoaded& e) const {
    return "loaded " + std::to_string(e.jobs.size());
  }
  std::string operator()(const dispatcher::JobArrived& e) const { return "read " + e.job.facts.id; }
  std::string operator()(const dispatcher::AlreadyDone&) const { return "already done"; }
  std::string operator()(const dispatcher::NamesKnown&) const { return "names known"; }
  std::string operator()(const dispatcher::InputEnded&) const { return "input ended"; }
  std::string operator()(const dispatcher::JobsFileChanged&) const { return "jobs file changed"; }
  std::string operator()(const dispatcher::LocalWorkerFailed&) const { return "local worker failed"; }
  std::string operator()(const dispatcher::InvalidLine&) const { return "invalid line"; }
  std::string operator()(const dispatcher::JournalState& e) const {
    return "durable " + std::to_string(e.durable) + (e.blocked ? " blocked" : "");
  }
  std::string operator()(const dispatcher::StopRequested&) const { return "stop requested"; }
  std::string operator()(const dispatcher::Drained&) const { return ""; }
  std::string operator()(const dispatcher::Persist& a) const {
    std::string text;
    for (const dispatcher::JournalEntry& entry : a.entries) text += std::visit(*this, entry);
    return text;
  }
  std::string operator()(const dispatcher::GrantedName& a) const { return "  name " + a.name; }
  std::string operator()(const dispatcher::Record& a) const {
    return "  RECORD " + a.facts.id + " " + workpool::name_of(a.outcome.status) + " attempt " +
           std::to_string(a.attempt);
  }
  std::string operator()(const dispatcher::Load& a) const {
    return "  load " + std::to_string(a.jobs.size());
  }
  std::string operator()(const dispatcher::Admit& a) const {
    return "  WELCOME " + a.welcome.name + " " + text(a.welcome.session);
  }
  std::string operator()(const dispatcher::Refuse& a) const {
    return "  REFUSED, cause " + std::to_string(a.cause.index());
  }
  std::string operator()(const dispatcher::SendLane& a) const {
    return "  -> " + text(a.session) + " " + std::visit(MessageText{}, a.message);
  }
  std::string operator()(const dispatcher::CloseSession& a) const { return "  close " + text(a.session); }
  std::string operator()(const dispatcher::Report& a) const {
    if (const auto* left = std::get_if<dispatcher::WorkerLeft>(&a))
      return "  left: " + left->name + " cause " + std::to_string(left->cause.index());
    if (const auto* untrue = std::get_if<dispatcher::WorkerUntrue>(&a))
      return "  untrue: " + untrue->name + " about " + untrue->id;
    if (const auto* job = std::get_if<dispatcher::JobUnsatisfiable>(&a))
      return std::string("  unsatisfiable ") + std::to_string(job->jobs) + (job->given_up ? " given up" : "");
    if (const auto* withdrawn = std::get_if<dispatcher::FailuresWithdrawn>(&a)) {
      std::string text = "  withdrawn, of " + withdrawn->worker + ":";
      for (const auto& job : withdrawn->failures) text += " " + job.id;
      return text;
    }
    if (const auto* moved = std::get_if<dispatcher::JobMoved>(&a))
      return "  " + moved->id + " goes elsewhere than " + moved->worker;
    if (const auto* benched = std::get_if<dispatcher::WorkerBenched>(&a))
      return "  benched: " + benched->name + " after " + std::to_string(benched->failed);
    if (const auto* back = std::get_if<dispatcher::WorkerUnbenched>(&a))
      return "  back: " + back->name + " cause " + std::to_string(static_cast<int>(back->why));
    return "";
  }
  std::string operator()(const dispatcher::RunOver& a) const {
    return "  RUN OVER " + std::to_string(exit_status(dispatcher::exit_code_of(a.end)));
  }
  std::string operator()(const dispatcher::Finish& a) const {
    return "  FINISH " + std::to_string(exit_status(dispatcher::exit_code_of(a.end)));
  }
};

struct WorkerText : MessageText {
  using MessageText::operator();
  // What has no words of its own.
  template <class Other>
  std::string operator()(const Other&) const {
    return "something else";
  }
  std::string operator()(const worker::Started&) const { return "started"; }
  std::string operator()(const worker::Welcomed& e) const { return "WELCOME " + text(e.welcome.session); }
  std::string operator()(const worker::RefusedBy& e) const { return "REFUSED " + e.refused.reason; }
  std::string operator()(const worker::RegistrationFailed& e) const {
    return "registration failed: " + e.reason;
  }
  std::string operator()(const worker::LaneReceived& e) const {
    return text(e.header) + " " + std::visit(MessageText{}, e.message);
  }
  std::string operator()(const worker::LanePart&) const { return "part"; }
  std::string operator()(const worker::SinkGone& e) const { return "sink gone " + text(e.session); }
  std::string operator()(const worker::AttemptsEnded& e) const {
    std::string all = "attempts ended";
    for (const worker::AttemptEnded& ended : e.attempts)
      all += " " + std::to_string(static_cast<int>(ended.how)) + (ended.slot_lost ? " slot lost" : "");
    return all;
  }
  std::string operator()(const worker::DeathsKnown&) const { return "deaths known"; }
  std::string operator()(const worker::StopAsked&) const { return "stop asked"; }
  std::string operator()(const worker::StopNow&) const { return "stop now"; }
  std::string operator()(const worker::Drained&) const { return "drained"; }
  std::string operator()(const worker::Register& a) const {
    return "HELLO " + std::to_string(a.hello.try_number);
  }
  std::string operator()(const worker::OpenSession& a) const { return "open " + text(a.welcome.session); }
  std::string operator()(const worker::CloseSession&) const { return "close"; }
  std::string operator()(const worker::SendSink& a) const {
    return text(a.header) + " " + std::visit(MessageText{}, a.message);
  }
  std::string operator()(const worker::SendResults& a) const {
    return text(a.header) + " " + MessageText{}(*a.results);
  }
  std::string operator()(const worker::StartAttempts& a) const {
    std::string all = "start";
    for (const worker::StartAttempt& start : a.attempts) all += " " + text(start.order.key);
    return all;
  }
  std::string operator()(const worker::KillAttempt&) const { return "kill"; }
  std::string operator()(const worker::UnstartAttempt&) const { return "unstart"; }
  std::string operator()(const worker::SetLease&) const { return ""; }
  std::string operator()(const worker::ForgetDeaths&) const { return "forget deaths"; }
  std::string operator()(const worker::Say& a) const { return "says " + std::to_string(a.index()); }
  std::string operator()(const worker::Exit& a) const { return "exit " + std::to_string(a.code); }
};

}  // namespace

std::string describe(const dispatcher::Event& event) { return std::visit(DispatcherText{}, event); }
std::string describe(const dispatcher::Action& action) { return std::visit(DispatcherText{}, action); }
std::string describe(const worker::Event& event) { return std::visit(WorkerText{}, event); }
std::string describe(const worker::Action& action) { return std::visit(WorkerText{}, action); }

std::string describe_open(const dispatcher::Ledger& ledger, const dispatcher::WorkerTable& workers) {
  static const char* const kStates[] = {"loading", "waiting", "loaded", "backoff", "assigned"};
  std::string all;
  for (dispatcher::JobRow row = 0; row < ledger.jobs().rows(); ++row) {
    if (!ledger.jobs().used(row)) continue;
    const dispatcher::ActiveJob& job = ledger.jobs().at(row);
    all += "job " + job.facts.id + " number " + std::to_string(job.facts.number) + " " +
           kStates[job.state.index()] + (job.loading ? " load out" : "") +
           (job.early ? " early result" : "") + " attempt " + std::to_string(job.attempt) + " named " +
           std::to_string(job.trouble().named) + " lost " + std::to_string(job.trouble().lost) + " slots " +
           std::to_string(job.facts.slots);
    const dispatcher::Holdings& holdings = ledger.holdings();
    static const char* const kPhases[] = {"sent",      "confirmed", "inherited", "recalled",
                                          "cancelled", "doubtful",  "given up"};
    for (auto held = holdings.first_of(row); held != dispatcher::kNoHolding;
         held = holdings.next_of_job(held)) {
      const dispatcher::Holding& holding = holdings.at(held);
      all += std::string("; ") + kPhases[holding.phase.index()] + " attempt " +
             std::to_string(holding.attempt) +
             (holding.live() ? " to " + text(holding.holder->session()) : "");
    }
    all += "\n";
  }
  for (const auto& [id, session] : workers.sessions()) {
    all += "session " + text(id) + " " + session.name + " phase " + std::to_string(session.phase.index()) +
           " held " + std::to_string(session.held.jobs()) + " of " + std::to_string(session.slots) +
           (session.accepting ? " accepting" : "") + (session.lane_writable ? " writable" : "") +
           (session.emptying ? " emptying" : "") + (session.held.alone() ? " exclusive" : "") + "\n";
  }
  return all + "open " + std::to_string(ledger.jobs().open()) + "\n";
}

std::string check_fleet(const dispatcher::Fleet& fleet) {
  std::uint32_t room = 0;
  for (const dispatcher::Place* place : fleet.with_work()) room += place->believed().slots;
  return room == fleet.room().slots ? "" : "the room of all workers with work is not the sum of theirs";
}

// What limits count as held is what sessions hold.
static std::string check_limits(const dispatcher::Ledger& ledger, const dispatcher::WorkerTable& workers) {
  const dispatcher::RequirementClasses& classes = ledger.jobs().classes();
  std::map<dispatcher::Limits::Gate, std::uint32_t> held;
  for (const auto& [id, session] : workers.sessions()) {
    const dispatcher::Holdings& holdings = ledger.holdings();
    for (auto row = holdings.first(session.held); row != dispatcher::kNoHolding; row = holdings.next(row)) {
      const std::uint32_t number = ledger.jobs().at(holdings.at(row).job).facts.requirement;
      for (const auto gate : classes.limits().gates_of(number)) ++held[gate];
    }
  }
  for (std::uint32_t number = 0; number < classes.size(); ++number) {
    for (const auto gate : classes.limits().gates_of(number)) {
      if (classes.limits().held(gate) != held[gate]) return "a limit counts other jobs than are held";
    }
  }
  return {};
}

std::string check_ledger(const dispatcher::Ledger& ledger, const dispatcher::WorkerTable& workers,
                         bool thorough) {
  std::uint64_t held = 0;
  for (const auto& [id, session] : workers.sessions()) {
    held += session.held.jobs();
    std::uint32_t jobs = 0;
    std::uint32_t slots = 0;
    std::uint32_t doubtful = 0;
    const dispatcher::Holdings& holdings = ledger.holdings();
    for (auto row = holdings.first(session.held); row != dispatcher::kNoHolding; row = holdings.next(row)) {
      const dispatcher::Holding& holding = holdings.at(row);
      if (holding.holder != &session.held ||
          !std::holds_alternative<dispatcher::Assigned>(ledger.jobs().at(holding.job).state))
        return "a session's list has a job that it does not hold";
      ++jobs;
      holding.is<dispatcher::Doubtful>() ? ++doubtful : slots += holding.slots;
    }
    if (jobs != session.held.jobs() || slots != session.held.slots() || doubtful != session.held.doubtful())
      return "a session's counts differ from its list";
    if (slots > std::max<std::uint32_t>(1024, session.slots) + session.slots)
      return "S6: a session holds more than any credit";
  }
  if (held != ledger.jobs().assigned()) return "as many assigned as the sessions hold: no";
  if (!thorough) return {};
  std::uint64_t assigned = 0;
  std::uint64_t delayed = 0;
  for (dispatcher::JobRow row = 0; row < ledger.jobs().rows(); ++row) {
    if (!ledger.jobs().used(row)) continue;
    const dispatcher::ActiveJob& job = ledger.jobs().at(row);
    assigned += std::holds_alternative<dispatcher::Assigned>(job.state) ? 1 : 0;
    delayed += std::holds_alternative<dispatcher::Backoff>(job.state) ? 1 : 0;
  }
  if (assigned != ledger.jobs().assigned()) return "the count of assigned jobs is wrong";
  if (delayed != ledger.jobs().delayed()) return "the count of delayed jobs is wrong";
  std::uint64_t open = 0;
  for (std::uint32_t number = 0; number < ledger.jobs().classes().size(); ++number)
    open += ledger.jobs().open(number);
  if (open != ledger.jobs().open()) return "open jobs by requirement are not all open jobs";
  return check_limits(ledger, workers);
}

}  // namespace workpool::simulation

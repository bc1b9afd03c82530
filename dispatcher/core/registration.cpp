// SPDX-License-Identifier: MIT
// The part of Sessions that answers a HELLO.
#include <algorithm>
#include <utility>

#include "common/base/check.h"
#include "common/base/text.h"
#include "dispatcher/core/sessions.h"

namespace workpool::dispatcher {
namespace {

// So many sessions may be on their way to READY at a time; others are told to come later.
constexpr std::size_t kUnreadyMost = 1024;
// Of these, one key has so many: whoever holds it cannot keep the others out, nor make us open hundreds of
// lanes that nobody comes to. A worker that does come is READY in a moment.
constexpr std::size_t kUnreadyOfAKey = 128;
// So many workers may come over a run: each is remembered, with its name, to the end of it.
constexpr std::size_t kWorkersMost = 65'536;
constexpr std::size_t kWorkersOfAKey = kWorkersMost / 2;

// What all workers together may have sent beyond their acks is in our memory until it is written. A worker
// gets the least and a 24th of what is left above that, so 1,000 workers have 256 MiB, in whatever order they
// come and go. (With equal shares of what each found, 1,000 had 1.5 GiB.)
constexpr std::uint64_t kResultWindowLeast = 64ull << 10;
constexpr std::uint64_t kResultWindowMost = 8ull << 20;
constexpr std::uint64_t kResultWindowsShared = 192ull << 20;
constexpr std::uint64_t kResultWindowPart = 24;

// What is written into RESULTS.state and RESULTS must be read back as it was.
bool says_text(const Hello& hello) {
  const auto all_text = [](const std::vector<std::string>& list) {
    return std::all_of(list.begin(), list.end(), [](const std::string& text) { return is_utf8(text); });
  };
  return is_utf8(hello.version) && is_utf8(hello.name) && all_text(hello.handlers) && all_text(hello.labels);
}

bool follows(const Hello& later, const Hello& earlier) {
  return std::pair(later.engine, later.try_number) > std::pair(earlier.engine, earlier.try_number);
}

std::uint64_t result_window(const WorkerTable& workers) {
  std::uint64_t left = kResultWindowsShared;
  for (const auto& [id, session] : workers.sessions())
    left -= std::min(left, session.result_window - std::min(session.result_window, kResultWindowLeast));
  return std::min(kResultWindowLeast + left / kResultWindowPart, kResultWindowMost);
}

}  // namespace

// `key`: of its sessions only; nullopt: of all.
std::size_t Sessions::unready(std::optional<KeyId> key) const {
  return static_cast<std::size_t>(
      std::count_if(workers_.sessions().begin(), workers_.sessions().end(), [key](const auto& entry) {
        const Session& session = entry.second;
        return (!key || session.key == *key) &&
               (in<Binding>(session) || in<Arriving>(session) || in<Naming>(session));
      }));
}

// One that does not follow the last HELLO of its worker was overtaken, and its sender is gone; or is of a
// second worker that calls itself the same, which would wait forever.
std::optional<RefusalCause> Sessions::refusal_of(const HelloReceived& event, const Worker* before) const {
  const Hello& hello = event.hello;
  if (hello.protocol != kProtocol) return OtherProtocol{hello.protocol, hello.version};
  if (revoked_.contains(event.key)) return KeyNotValid{};
  if (stopping_) return RunComplete{};
  if (!says_text(hello)) return NoText{};
  if (hello.slots == 0 || hello.worker.value == 0 || hello.engine == 0 || hello.name.empty())
    return NoIdentity{};
  // A key that was revoked, or had expired, and is valid again has another number.
  if (before != nullptr && before->key != event.key && !revoked_.contains(before->key))
    return IdOfAnotherKey{hello.worker};
  if (before == nullptr && workers_.is_of_another_key(hello.worker, event.fingerprint))
    return IdOfAnotherKey{hello.worker};
  if (before != nullptr && !follows(hello, before->hello))
    return IdUsedBefore{hello.worker, before->hello.engine, before->hello.try_number, hello.engine,
                        hello.try_number};
  const bool is_new = before == nullptr || (!before->named && !before->session);
  const bool has_key = event.key != KeyId{};
  if (is_new && (unready(std::nullopt) >= kUnreadyMost || (has_key && unready(event.key) >= kUnreadyOfAKey)))
    return TooManyRegister{};
  if (before == nullptr && (workers_.workers().size() >= kWorkersMost ||
                            (has_key && workers_.workers_of(event.key) >= kWorkersOfAKey)))
    return TooManyWorkers{};
  return std::nullopt;
}

void Sessions::hello(HelloReceived&& event, Step& step) {
  const Hello& hello = event.hello;
  const Worker* before = workers_.find(hello.worker);
  if (const auto cause = refusal_of(event, before)) {
    // A copy of the last one has its answer.
    const bool is_copy = std::holds_alternative<IdUsedBefore>(*cause) && event.peer == before->peer &&
                         !follows(before->hello, hello);
    if (!is_copy) step.decide(Refuse{event.peer, *cause});
    return;
  }
  const std::uint32_t engine_before = before == nullptr ? 0 : before->hello.engine;
  const std::optional<SessionId> old = before == nullptr ? std::nullopt : before->session;
  Worker& worker = workers_.enrol(hello, event.key, event.fingerprint);
  worker.peer = event.peer;
  Session& fresh = workers_.open(worker, event.fresh, step.now);
  if (old) {
    Session* session = workers_.find(*old);
    CHECK(session != nullptr);
    if (engine_before == hello.engine) {
      report_out_of_reach(*session, step);
      report_mute(*session, step);
      ledger_.inherit(*session, fresh);
    } else {
      blame_.suspect(worker, engine_before, ledger_.lose(*session, Ledger::Loss::kLost, step), step);
    }
    step.close(*old, false);
    workers_.close(*old);
    worker.session = fresh.id;
  }
  if (engine_before == hello.engine) blame_.acquit(worker, hello.engine);
  fresh.result_window = result_window(workers_);
  look_by(due(fresh));
  step.decide(Admit{event.peer,
                    {kProtocol, options_.run, fresh.id, fresh.name, 0, 0, options_.worker_timeout,
                     fresh.result_window, options_.capture_bytes, options_.capture_failed_only},
                    fresh.slots,
                    fresh.key});
}

// Called for the first thing that a worker says about jobs, so that a worker that only says HELLO leaves
// nothing behind. A name is journaled before any record that holds it, and no job goes to a worker whose name
// is not durable; otherwise the next start of the run could give the name to another.
void Sessions::grant_name(Worker& worker, Step& step) {
  if (std::exchange(worker.named, true)) return;
  worker.name_entry = journal_.issue(std::nullopt);
  step.entries().emplace_back(GrantedName{worker.id, worker.name, worker.fingerprint});
}

void Sessions::start_if_named(Session& session, Step& step) {
  if (!journal_.is_durable(workers_.worker_of(session).name_entry)) return;
  session.phase = Live{step.now};
  workers_.touch(session);
  look_by(due(session));
  if (session.lane_writable) announce(session, step);
}

}  // namespace workpool::dispatcher

// SPDX-License-Identifier: MIT
// The part of Sessions that answers a HELLO.
#include <algorithm>

#include "common/base/check.h"
#include "common/base/text.h"
#include "dispatcher/core/sessions.h"

namespace workpool::dispatcher {
namespace {

// So many sessions may be on their way to READY at a time; others are told to come later.
constexpr std::size_t kUnreadyMost = 1024;
// So many workers may come over a run: each is remembered, with its name, to the end of it.
constexpr std::size_t kWorkersMost = 65'536;
constexpr const char* kRunComplete = "the run is complete";

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

std::uint64_t result_window(const WorkerTable& workers) {
  std::uint64_t left = kResultWindowsShared;
  for (const auto& [id, session] : workers.sessions())
    left -= std::min(left, session.result_window - std::min(session.result_window, kResultWindowLeast));
  return std::min(kResultWindowLeast + left / kResultWindowPart, kResultWindowMost);
}

}  // namespace

void Sessions::refuse(const std::string& peer, Refusal code, std::string reason, Step& step) {
  step.actions.emplace_back(Refuse{peer, {kProtocol, code, std::move(reason)}});
}

std::size_t Sessions::unready() const {
  return static_cast<std::size_t>(
      std::count_if(workers_.sessions().begin(), workers_.sessions().end(), [](const auto& entry) {
        return in<Naming>(entry.second) || in<Binding>(entry.second) || in<Arriving>(entry.second);
      }));
}

// A HELLO that does not follow the last one of its worker: a copy of it, which has its answer; one that was
// overtaken, whose sender is gone; or a second worker that calls itself the same, which would wait forever.
void Sessions::refuse_old(const Worker& worker, const HelloReceived& event, Step& step) {
  const Hello& last = worker.hello;
  const Hello& hello = event.hello;
  const bool is_copy =
      event.peer == worker.peer && hello.engine == last.engine && hello.try_number == last.try_number;
  if (is_copy) return;
  const auto numbers = [](const Hello& of) {
    return "engine " + std::to_string(of.engine) + ", try " + std::to_string(of.try_number);
  };
  refuse(event.peer, Refusal::kOther,
         "worker id " + hex64(hello.worker.value) + " has registered with " + numbers(last) +
             " already, this is " + numbers(hello) +
             "; each start of a worker needs a new random id, and engine and try must rise",
         step);
}

void Sessions::hello(HelloReceived&& event, Step& step) {
  const Hello& hello = event.hello;
  if (hello.protocol != kProtocol) {
    refuse(event.peer, Refusal::kWrongProtocol,
           "this dispatcher speaks protocol " + std::to_string(kProtocol) + ", the worker (version " +
               hello.version + ") protocol " + std::to_string(hello.protocol) +
               "; install the same version of workpool on both",
           step);
    return;
  }
  if (stopping_) {
    refuse(event.peer, Refusal::kComplete, kRunComplete, step);
    return;
  }
  if (!says_text(hello)) {
    refuse(event.peer, Refusal::kOther, "a HELLO whose version, name, handlers or labels are not UTF-8",
           step);
    return;
  }
  if (hello.slots == 0 || hello.worker.value == 0 || hello.engine == 0 || hello.name.empty()) {
    refuse(event.peer, Refusal::kOther, "a HELLO without a name, a slot or an identity", step);
    return;
  }
  const Worker* before = workers_.find(hello.worker);
  if (before != nullptr && std::pair(hello.engine, hello.try_number) <=
                               std::pair(before->hello.engine, before->hello.try_number)) {
    refuse_old(*before, event, step);
    return;
  }
  if (before == nullptr && (unready() >= kUnreadyMost || workers_.workers().size() >= kWorkersMost)) {
    refuse(event.peer, Refusal::kLater,
           unready() >= kUnreadyMost ? "too many workers are registering at this moment"
                                     : "this run has had too many workers",
           step);
    return;
  }
  const std::uint32_t engine_before = before == nullptr ? 0 : before->hello.engine;
  const std::optional<SessionId> old = before == nullptr ? std::nullopt : before->session;
  const auto [worker, has_new_name] = workers_.enrol(hello);
  worker.peer = event.peer;
  if (has_new_name) {
    worker.name_entry = journal_.issue(std::nullopt);
    step.actions.emplace_back(Persist{GrantedName{worker.id, worker.name}});
  }
  Session& fresh = workers_.open(worker, event.fresh, step.now);
  fresh.acks.advance(journal_.state().durable);  // the journal may have nothing more to say
  if (old) {
    Session* session = workers_.find(*old);
    CHECK(session != nullptr);
    if (engine_before == hello.engine) {
      report_out_of_reach(*session, step);
      report_mute(*session, step);
      ledger_.inherit(*session, fresh);
    } else {
      blame_.suspect(worker, engine_before, ledger_.lose(*session, true, step), step);
    }
    if (!in<Naming>(*session)) step.actions.emplace_back(CloseSession{*old, false});
    workers_.close(*old);
    worker.session = fresh.id;
  }
  if (engine_before == hello.engine) blame_.acquit(worker, hello.engine);
  fresh.result_window = result_window(workers_);
  fresh.phase = Naming{event.peer};
  if (journal_.is_durable(worker.name_entry)) admit(fresh, event.peer, step);
}

// Were it told before, another worker could be given this name by a next start of the run.
void Sessions::admit(Session& session, const std::string& peer, Step& step) {
  session.phase = Binding{};
  session.last_heard = step.now;
  look_by(due(session));
  step.actions.emplace_back(Admit{peer,
                                  {kProtocol, options_.run, session.id, session.name, 0, 0,
                                   options_.worker_timeout, session.result_window, options_.capture_bytes},
                                  session.slots});
}

// What they wait for may never come, and they have nothing of this run.
void Sessions::turn_away_unnamed(Step& step) {
  std::vector<SessionId> unnamed;
  for (auto& [id, session] : workers_.sessions()) {
    const auto* naming = std::get_if<Naming>(&session.phase);
    if (naming == nullptr) continue;
    refuse(naming->peer, Refusal::kComplete, kRunComplete, step);
    unnamed.push_back(id);
  }
  for (const SessionId id : unnamed) workers_.close(id);
}

}  // namespace workpool::dispatcher

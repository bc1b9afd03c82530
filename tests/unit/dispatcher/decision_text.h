// SPDX-License-Identifier: MIT
// A decision of the dispatcher's core as one line of text: two that differ in what they do read differently.
#pragma once

#include <string>
#include <variant>

#include "common/wire/codec.h"
#include "dispatcher/core/facts.h"

namespace workpool::dispatcher {

struct DecisionText {
  static std::string number(auto value) { return " " + std::to_string(value); }

  std::string operator()(const Record& record) const {
    return "RECORD " + record.facts.id + number(record.attempt) + " " + name_of(record.outcome.status) + " " +
           record.worker + number(record.queued.count()) + number(record.ran.count());
  }
  std::string operator()(const GrantedName& granted) const { return "NAME " + granted.name; }
  std::string operator()(const Persist& persist) const {
    std::string text;
    for (const JournalEntry& entry : persist.entries) text += std::visit(*this, entry) + "; ";
    return text;
  }
  std::string operator()(const Load& load) const {
    std::string text = "LOAD";
    for (const JobNumber job : load.jobs) text += number(job);
    return text;
  }
  std::string operator()(const Admit& admit) const {
    return "ADMIT " + admit.peer + " " + admit.welcome.name + number(admit.welcome.session.value) +
           number(admit.welcome.result_window);
  }
  std::string operator()(const Refuse& refuse) const {
    return "REFUSE " + refuse.peer + number(refuse.cause.index());
  }
  std::string operator()(const SendLane& down) const {
    std::string bytes;
    encode(Header{{}, down.session, 0}, down.message, bytes);
    return "SEND" + number(down.message.index()) + " " + bytes;
  }
  std::string operator()(const CloseSession& close) const {
    return "CLOSE" + number(close.session.value) + number(close.say_end);
  }
  std::string operator()(const JobRetried& job) const {
    return "RETRIED " + job.id + number(job.attempt) + number(job.delay.count());
  }
  std::string operator()(const JobEnded& job) const { return "ENDED " + job.id + number(job.attempt); }
  std::string operator()(const WorkerLeft& worker) const {
    return "LEFT " + worker.name + number(worker.cause.index()) + number(worker.requeued);
  }
  template <class Other>
  std::string operator()(const Other&) const {
    return "REPORT";
  }
  std::string operator()(const Report& report) const {
    return std::visit(*this, report) + number(report.index());
  }
  std::string operator()(const RunOver& over) const { return "OVER" + number(over.end.index()); }
  std::string operator()(const Finish& finish) const { return "FINISH" + number(finish.end.index()); }
};

inline std::string text_of(const Action& action) { return std::visit(DecisionText{}, action); }

}  // namespace workpool::dispatcher

// SPDX-License-Identifier: MIT
// Whether two messages say the same, field by field. Not by their encoding: that could forget a field twice.
#pragma once

#include <tuple>
#include <variant>
#include <vector>

#include "common/wire/messages.h"

namespace workpool {

inline auto fields(const Outcome& o) { return std::tie(o.status, o.kind, o.message, o.command, o.value); }
inline auto fields(const Header& h) { return std::tie(h.run, h.session, h.seq); }
inline auto fields(const Hello& h) {
  return std::tie(h.protocol, h.version, h.worker, h.engine, h.try_number, h.name, h.slots, h.handlers,
                  h.labels);
}
inline auto fields(const StatusRequest& s) { return std::tie(s.protocol, s.all); }
inline auto fields(const StatusReply& s) { return std::tie(s.protocol, s.json); }
inline auto fields(const Welcome& w) {
  return std::tie(w.protocol, w.run, w.session, w.name, w.lane_port, w.sink_port, w.worker_timeout,
                  w.result_window, w.capture_bytes, w.capture_failed_only);
}
inline auto fields(const Refused& r) { return std::tie(r.protocol, r.code, r.reason); }
inline auto fields(const Death& d) { return std::tie(d.engine, d.cause, d.ran); }
inline auto fields(const HeldJob& j) { return std::tie(j.key, j.spec, j.attempt, j.elapsed); }
inline auto fields(const ReturnedJob& j) { return std::tie(j.handle, j.key, j.spec, j.attempt, j.reason); }
inline auto fields(const JobRef& j) { return std::tie(j.handle, j.key, j.attempt); }
inline auto fields(const JobOrder& o) {
  return std::tie(o.handle, o.id, o.repeat, o.key, o.spec, o.attempt, o.work, o.timeout, o.slots, o.kind,
                  o.line);
}
inline auto fields(const Ready& r) { return std::tie(r.accepting); }
inline auto fields(const Beat& b) { return std::tie(b.echo, b.echo_held, b.begun, b.ended, b.progress); }
inline auto fields(const LaneBeat& b) { return std::tie(b.stamp, b.ack, b.received); }
inline auto fields(const Goodbye&) { return std::tuple<>(); }
inline auto fields(const Stop&) { return std::tuple<>(); }
inline auto fields(const End&) { return std::tuple<>(); }

template <class T>
bool same(const T& a, const T& b) {
  return fields(a) == fields(b);
}
inline bool same(const JobResult& a, const JobResult& b) {
  return std::tie(a.handle, a.key, a.spec, a.attempt, a.waited, a.ran) ==
             std::tie(b.handle, b.key, b.spec, b.attempt, b.waited, b.ran) &&
         same(a.outcome, b.outcome);
}
template <class T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!same(a[i], b[i])) return false;
  }
  return true;
}
inline bool same(const Died& a, const Died& b) { return same(a.deaths, b.deaths); }
inline bool same(const Held& a, const Held& b) { return same(a.jobs, b.jobs); }
inline bool same(const Results& a, const Results& b) { return same(a.results, b.results); }
inline bool same(const Returned& a, const Returned& b) { return same(a.jobs, b.jobs); }
inline bool same(const Cancel& a, const Cancel& b) { return same(a.jobs, b.jobs); }
inline bool same(const Recall& a, const Recall& b) { return same(a.jobs, b.jobs); }
inline bool same(const Jobs& a, const Jobs& b) {
  return a.ack == b.ack && a.received == b.received && same(a.jobs, b.jobs);
}
template <class... T>
bool same(const std::variant<T...>& a, const std::variant<T...>& b) {
  if (a.index() != b.index()) return false;
  return std::visit([&b](const auto& of_a) { return same(of_a, std::get<std::decay_t<decltype(of_a)>>(b)); },
                    a);
}

}  // namespace workpool

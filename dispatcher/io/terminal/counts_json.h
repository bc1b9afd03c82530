// SPDX-License-Identifier: MIT
// How many jobs there are and how they ended: the counts that a status and a summary begin with. Pure.
#pragma once

#include "dispatcher/core/facts.h"
#include "dispatcher/io/terminal/json_object.h"

namespace workpool::dispatcher {

inline JsonObject counts_json(const Snapshot& s) {
  JsonObject json;
  json.number("total", s.total).truth("total_known", s.total_known).number("before", s.before);
  json.number("done", s.done()).number("ok", s.ok).number("failed", s.failed).number("timeout", s.timeout);
  json.number("quarantined", s.quarantined).number("invalid", s.invalid);
  return json;
}

}  // namespace workpool::dispatcher

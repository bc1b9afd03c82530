// SPDX-License-Identifier: MIT
#include "common/wire/messages.h"

namespace workpool {
namespace {

struct Name {
  const char* operator()(const Died&) const { return "DIED"; }
  const char* operator()(const Held&) const { return "HELD"; }
  const char* operator()(const Results&) const { return "RESULTS"; }
  const char* operator()(const Returned&) const { return "RETURNED"; }
  const char* operator()(const Ready&) const { return "READY"; }
  const char* operator()(const Beat&) const { return "BEAT"; }
  const char* operator()(const Goodbye&) const { return "GOODBYE"; }
  const char* operator()(const Jobs&) const { return "JOBS"; }
  const char* operator()(const Cancel&) const { return "CANCEL"; }
  const char* operator()(const Recall&) const { return "RECALL"; }
  const char* operator()(const LaneBeat&) const { return "BEAT"; }
  const char* operator()(const Stop&) const { return "STOP"; }
  const char* operator()(const End&) const { return "END"; }
};

}  // namespace

const char* name_of(const SinkMessage& message) { return std::visit(Name{}, message); }
const char* name_of(const LaneMessage& message) { return std::visit(Name{}, message); }

}  // namespace workpool

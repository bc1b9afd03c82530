// SPDX-License-Identifier: MIT
// Makes what a worker says of an attempt fit a result line that can be read back. Our own workers send
// nothing else, but a foreign one may send anything. Pure.
#pragma once

#include "common/base/outcome.h"
#include "common/formats/value_json.h"

namespace workpool::dispatcher {

class OutcomeCheck {
 public:
  // A value that is not JSON, or too large, becomes a failure of the handler that says so. A message or an
  // output that is too long is cut; what is cut off an output is added to `truncated`. A
  // file without an absolute path is dropped, and makes an `ok` a failure.
  void make_fit(Outcome& outcome);

 private:
  ValueCheck values_;
};

}  // namespace workpool::dispatcher

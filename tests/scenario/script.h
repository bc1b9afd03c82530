// SPDX-License-Identifier: MIT
// The small language of the scenario files. A line that starts in the first column is a command; the lines
// below it that are indented are what happened then, as the cores decide it: the runner compares or rewrites
// them. `expect` lines hold whatever is rewritten.
//
//   # a comment
// - option worker_timeout=10s crash_limit=3 listening=yes streaming=yes grace=30s …
// - job NAME [priority= retries= timeout= slots= label= type=]
// - dispatcher start | crash
// - input changed | broken | ended (a jobs file was written to; a stream breaks off, ends), local fails
// - worker NAME [name= slots= label= type= grace= orphan_grace= lane=late sink=late]
// - pause NAME|dispatcher, resume …
// - hold NAME lane|sink|both, hold dispatcher disk|loads, release …
// - lose NAME lane|sink, cut NAME lane|sink|both, part NAME lane|sink, connect NAME
// - end NAME JOB ok|failed|timeout|lost-slot|by-signal, returns NAME JOB
// - die NAME, engine NAME, vanish NAME, stop NAME
// - signal int|term|hup, advance DURATION
// - expect recorded JOB STATUS | nothing recorded JOB | NAME runs JOB | NAME idle JOB | NAME STATE… |
//   begun JOB N | finished CODE | running | held N
#pragma once

#include <string>
#include <vector>

namespace workpool::scenario {

struct Played {
  std::vector<std::string> lines;   // the file as it should be
  std::vector<std::string> faults;  // expectations that do not hold, with their line
};

// Plays a scenario file's text.
Played play(const std::string& text);

}  // namespace workpool::scenario

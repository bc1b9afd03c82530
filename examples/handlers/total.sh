#!/bin/sh
# SPDX-License-Identifier: MIT
# A handler in one line of jq: adds numbers.
#
# workpool run jobs.jsonl --handler total='sh examples/handlers/total.sh'
# {"type": "total", "args": {"numbers": [1, 2, 3]}}
exec jq -c --unbuffered '
  if (.args.numbers | type) == "array" then {value: (.args.numbers | add)}
  else {error: "args must have numbers"} end'

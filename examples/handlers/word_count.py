#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A handler in Python: counts the words of a text.

workpool run jobs.jsonl --handler words='python3 examples/handlers/word_count.py'
{"type": "words", "args": {"text": "to be or not to be"}}
"""

import json
import sys
import traceback

for line in sys.stdin:
    try:
        args = json.loads(line)["args"]
        answer = {"value": {"words": len(args["text"].split())}}
    except Exception as error:  # the job fails with this message, and stays the only one that does
        traceback.print_exc()
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)

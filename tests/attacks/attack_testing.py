# SPDX-License-Identifier: MIT
"""The helpers of tests/system, for the tests beside this file."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "system"))
from cli_testing import (BIN, DISPATCHER, WORKER, CliTest, Terminal, clean_environment, free_port, jsonl,  # noqa: E402,F401
                         parse_results, wait_until)
from somebody_else import IS_ROOT, PYTHON, STRANGER, USER, as_user, run_as  # noqa: E402,F401

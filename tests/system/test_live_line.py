#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout 240
"""What the screen of a terminal shows while a run goes on, as tmux draws it: at several widths, resized in mid-run, without colours,
and on a dumb terminal."""

import re
import shlex
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cli_testing import DISPATCHER, CliTest, clean_environment, jsonl, wait_until  # noqa: E402


def normal(text):
    """Figures that differ from run to run are one letter each, and so is a bar that shows a part."""
    text = re.sub(r"\d+(\.\d+)?/s", "R/s", text)
    return re.sub(r"\b(\d+h\d\dm|\d+m\d\ds|\d+(\.\d+)?s)\b", "T", text)


class Screen:
    """A pane of a tmux server of its own, with a program in it."""

    def __init__(self, test, command, columns, **environment):
        self.socket = str(test.folder / f"tmux.{len(list(test.folder.glob('tmux.*')))}")
        test.addCleanup(self.tmux, "kill-server", check=False)
        variables = [word for name, value in environment.items() for word in ("-e", f"{name}={value}")]
        self.environment = clean_environment(LANG="C.UTF-8", TERM="xterm-256color")
        # The shell stays, so that the pane does when the program has ended.
        line = f"cd {shlex.quote(str(test.folder))}; {command}; echo \"exit $?\"; exec sleep 600"
        self.tmux("new-session", "-d", "-x", str(columns), "-y", "24", *variables, line)

    def tmux(self, *arguments, check=True):
        return subprocess.run(["tmux", "-u", "-S", self.socket, "-f", "/dev/null", *arguments], env=self.environment, check=check,
                              capture_output=True, text=True, timeout=60).stdout

    def resize(self, columns):
        self.tmux("resize-window", "-x", str(columns), "-y", "24")

    def rows(self):
        """What stands on it and what has left it at the top, wrapped lines joined."""
        return self.tmux("capture-pane", "-p", "-J", "-S", "-").rstrip("\n").split("\n")

    def wait_for(self, pattern):
        rows = []
        try:
            wait_until(pattern, lambda: rows.append(self.rows()) or re.search(pattern, "\n".join(rows[-1]), re.M))
        except AssertionError as error:
            raise AssertionError(f"{error}\nthe screen: {rows[-1]}") from None
        return rows[-1]

    def wait_for_live(self, expected):
        """Waits until the last row is this one, figures aside."""
        last = []
        try:
            wait_until(repr(expected), lambda: last.append(normal(self.rows()[-1].rstrip())) or last[-1] == expected)
        except AssertionError as error:
            raise AssertionError(f"{error}\nthe last row: {last[-1]!r}") from None


class LiveLine(CliTest):
    def begin(self, columns, *flags, jobs=None, **environment):
        self.write("jobs.jsonl", jsonl(*(jobs or [{"cmd": ["true"]}, {"cmd": ["sh", "-c", "exit 3", "x"]},
                                                  {"cmd": "while [ ! -e go ]; do sleep 0.05; done"}])))
        command = shlex.join([DISPATCHER, "run", "jobs.jsonl", "--local", "1", *flags])
        return Screen(self, command, columns, **environment)

    def test_at_every_width_and_resized_in_mid_run(self):
        screen = self.begin(40)
        above = [f"workpool {self.version()}: 3 jobs from jobs.jsonl",
                 "results go to jobs.results.jsonl; a local worker runs 1 job at a time",
                 "not ok  line 2: sh -c 'exit 3' x: exit status 3 on local"]
        self.assertEqual([normal(row.rstrip()) for row in screen.wait_for(r"longest: line 3, ")],
                         [*above, "2/3  failed 1  longest: line 3, T"])
        lines = {
            40: "2/3  failed 1  longest: line 3, T",
            60: "2/3  failed 1  R/s  ETA --  longest: line 3 on local, T",
            100: "2/3  ok 1  failed 1  running 1  1 worker, 1 slot  T  R/s  ETA --  longest: line 3 on local, T",
            200: "[################--------] 2/3 (66%)  ok 1  failed 1  running 1  1 worker, 1 slot  T  R/s  ETA --  "
                 "longest: line 3 on local, T"}
        for columns in (60, 100, 200, 60, 40):
            with self.subTest(columns):
                screen.resize(columns)
                screen.wait_for_live(lines[columns])
                # Nothing is left of the line as it was, which a narrower window wraps.
                self.assertEqual([normal(row.rstrip()) for row in screen.rows()], [*above, lines[columns]])
        screen.resize(100)
        (self.folder / "go").touch()
        rows = screen.wait_for("^exit 1$")
        end = [normal(row.rstrip()) for row in rows[next(n for n, row in enumerate(rows) if row.startswith("done:")):]]
        self.assertEqual(end[0], "done: 2 ok, 1 failed of 3 jobs")
        self.assertEqual(end[2:5], ["not ok, by reason:", "       1  exit status 3, e.g. line 2: sh -c 'exit 3' x",
                                    "results: jobs.results.jsonl"])
        self.assertEqual(end[-1], "exit 1")
        self.assertNotIn("longest", "\n".join(end))

    def version(self):
        return re.search(r"[\d.]+", self.dispatcher("--version").out)[0]

    def test_the_estimate_is_not_a_guess_while_a_long_job_runs(self):
        screen = self.begin(100, jobs=[{"cmd": ["true"]}] * 50 + [{"cmd": "while [ ! -e go ]; do sleep 0.05; done"}])
        # Until it has run for longer than any other, it may well be over in a moment.
        screen.wait_for(r"50/51 .*ETA --")
        self.assertIn("ETA --", screen.wait_for(r"longest")[-1])
        (self.folder / "go").touch()
        screen.wait_for("^exit 0$")

    def test_a_retry_that_is_waited_for_says_why(self):
        screen = self.begin(100, jobs=[{"cmd": "exit 7", "retries": 50}])
        row = screen.wait_for(r"waits .* to be retried")[-1]
        self.assertRegex(normal(row), r"^0/1.*  ETA --  1 waits T to be retried: exit status 7$")

    def test_without_colours_and_on_a_dumb_terminal(self):
        screen = self.begin(100, NO_COLOR="1")
        screen.wait_for(r"^2/3")
        self.assertNotIn("\x1b[31m", screen.tmux("capture-pane", "-p", "-e"))
        screen = self.begin(100, "-o", "two.jsonl")
        screen.wait_for(r"^2/3")
        self.assertIn("\x1b[31mnot ok", screen.tmux("capture-pane", "-p", "-e"))
        screen = self.begin(100, "-o", "three.jsonl", TERM="dumb")
        screen.wait_for("^not ok")
        (self.folder / "go").touch()
        rows = screen.wait_for("^exit 1$")
        self.assertFalse([row for row in rows if "ETA" in row], rows)


if __name__ == "__main__":
    unittest.main()

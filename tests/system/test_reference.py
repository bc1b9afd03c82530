#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout 120
"""docs/reference.md against the programs and the code: flags, defaults, variables, exit codes, limits, formats."""

import json
import re
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cli_testing import DISPATCHER, SOURCE, WORKER, CliTest, clean_environment, free_port, jsonl, wait_until  # noqa: E402
from markdown_tables import Page, cells_of, plain  # noqa: E402

PAGE = Page(SOURCE / "docs" / "reference.md")

# Sections with flags, and the commands that have exactly these.
COMMANDS = {"`workpool-dispatcher run`": [[DISPATCHER, "run"]],
            "`workpool-dispatcher each`": [[DISPATCHER, "each"]],
            "`workpool-dispatcher check`": [[DISPATCHER, "check"]],
            "`workpool-dispatcher verify`": [[DISPATCHER, "verify"]],
            "`workpool-dispatcher show`": [[DISPATCHER, "show"]],
            "`workpool-dispatcher status`": [[DISPATCHER, "status"]],
            "`workpool-dispatcher keygen`": [[DISPATCHER, "keygen"]],
            "`workpool-worker`": [[WORKER]]}
# `each` has the flags of another section, too, less these. It has others of these names.
FLAGS_OF_RUN = {"`workpool-dispatcher each`": {"--format jsonl|lines", "--handler NAME=COMMAND", "--handler-jobs N", "--limit KEY=RULE", "--cwd FOLDER", "--env NAME[=VALUE]", "--shell PROGRAM", "--stdout FILE", "--stderr FILE"}}
ARGUMENTS = {"run": ["jobs.jsonl"], "each": ["echo", ":::", "1"], "check": ["jobs.jsonl"], "verify": ["jobs.jsonl", "results"],
             "show": ["results"], "status": [], "keygen": ["pool.key"],
             WORKER: ["tcp://127.0.0.1:1"]}

# Rows of "Limits", and the constants of the code that they are about.
LIMITS = {"a line": "kLineBytesMax",
          "nesting of JSON": "kJsonDepthMax",
          "an id": "kIdBytesMax",
          "a type": "kTypeBytesMax",
          "labels of a job": "kLabelsMax",
          "limits of a job": "kLimitsMax",
          "limits in the first line": "kLimitRulesMost",
          "a key of a limit": "kLimitKeyBytesMax",
          "a label, of a job or a worker": "kLabelBytesMax",
          "an element of cmd, a string cmd, an env entry (NAME=value)": "kArgumentBytesMax",
          "the value that a handler returns": "kValueBytesMax",
          "error.message": "kErrorMessageBytesMax",
          "stdout, and stderr, of a command that is captured": "kCaptureBytesMax",
          "a result line": "kResultLineBytesMax",
          "slots of a worker, --local": "kSlotsMax",
          "errors shown of a jobs file": "kErrorsMax",
          "jobs read ahead from a pipe": r"std::uint64_t jobs"}

# Rows of "Limits" of docs/protocol.md, likewise.
WIRE_LIMITS = {"a frame": "kFrameBytesMost",
               "a message in one frame": "kPartBytesMost",
               "bytes of one PART": "kPartBytesMost",
               "a message joined from PARTs": "kMessageBytesMost",
               "a joined message that is no RESULTS": None,           # dispatcher/io/net/transport.cpp
               "unfinished messages of all sessions together": None,  # TransportOptions
               "a HELLO": "kHelloBytesMost",
               "version, name of a HELLO": None,  # a literal in the decoder
               "a handler, a label, a cause": "kTextMost",
               "slots of a worker": "kSlotsMost",
               "the value of a result": "kValueBytesMax",
               "the message of a result": "kErrorMessageBytesMax",
               "stdout, stderr of a result": "kCaptureBytesMax",
               "a duration": None}  # in years


def source(path):
    return (SOURCE / path).read_text()


def constant(name):
    """The value of an integer constant, wherever it stands; a name may stand twice, with one value."""
    pattern = re.compile(rf"\b{name}\s*=\s*([1-9][0-9'<* ]*?)(?:ull|ULL|u|U)?\s*;")
    found = {match for folder in ("common/base", "common/formats", "common/wire", "dispatcher/io/jobs", "dispatcher/cli_run.cpp")
             for path in ([SOURCE / folder] if folder.endswith(".cpp") else (SOURCE / folder).rglob("*.[ch]*"))
             for match in pattern.findall(path.read_text())}
    values = {eval(text.replace("'", ""), {"__builtins__": {}}) for text in found}  # digits, `<<` and `*` only
    assert len(values) == 1, f"{name} is {values}"
    return values.pop()


def number_in(text):
    """The last number of a cell such as `--capture`, at most 256 KiB."""
    number, unit = re.findall(r"([\d,]+)\s*(KiB|MiB)?", text)[-1]
    return int(number.replace(",", "")) * {"": 1, "KiB": 1 << 10, "MiB": 1 << 20}[unit]


def flags_on_page(section):
    """The rows of all tables of flags in a section."""
    return [row for rows in PAGE.tables(section) for row in rows if next(iter(row)) == "flag"]


def flags_of_help(text):
    """{--flag VALUE: default} as --help prints them; the default is what stands in brackets at the end."""
    flags, current = {}, None
    for line in text.split("\nDefaults are")[0].splitlines():
        start = re.match(r"  (?:-(\w), )? *--([\w-]+)(?: (\S+))?(?:  |$)(.*)", line)
        if start:
            letter, name, value, rest = start.groups()
            current = (f"-{letter}, " if letter else "") + f"--{name}" + (f" {value}" if value else "")
            flags[current] = rest.strip()
        elif current and line.startswith("   "):
            flags[current] += " " + line.strip()
    found = {}
    for flag, text_of in flags.items():
        default = re.search(r" \[(.*)\]$", " " + text_of)
        found[flag] = default.group(1) if default else ""
    return found


class Flags(CliTest):
    def test_page_and_help_have_the_same_flags_with_the_same_defaults(self):
        for section, commands in COMMANDS.items():
            rows = flags_on_page(section)
            on_page = {plain(row["flag"]): plain(row["default"]) for row in rows}
            if section in FLAGS_OF_RUN:
                of_run = {plain(row["flag"]): plain(row["default"]) for row in flags_on_page("`workpool-dispatcher run`")}
                on_page |= {flag: default for flag, default in of_run.items() if flag not in FLAGS_OF_RUN[section]}
                on_page |= {"-o, --results FILE": "not recorded", "--capture SIZE": "16MiB"}
            for command in commands:
                with self.subTest(" ".join(command)):
                    in_help = flags_of_help(self.call([*command, "--help"]).out)
                    for flag in ("-h, --help", "--version"):
                        in_help.pop(flag)
                    self.assertEqual(on_page, in_help)

    def test_each_flag_has_the_variable_that_the_page_names(self):
        self.write("jobs.jsonl", '{"cmd":["true"]}\n')
        for section, commands in COMMANDS.items():
            for row in flags_on_page(section):
                if "environment variable" not in row:
                    continue
                variable = plain(row["environment variable"])
                if not variable:  # --key: WORKPOOL_KEY holds a key, and no path
                    continue
                for command in commands:
                    with self.subTest(f"{command[-1]} {variable}"):
                        # What does not print is no value of any flag, except that a file may be called anything.
                        file = {"WORKPOOL_RESULTS": "same file", "WORKPOOL_SUMMARY": "is JOBS"}.get(variable)
                        value = "jobs.jsonl" if file else "\x01"
                        finished = self.call([*command, *ARGUMENTS[command[-1]]], env=clean_environment(**{variable: value}))
                        self.assertEqual(finished.code, 2, str(finished))
                        self.assertIn(file or f"environment variable {variable}:", finished.err)


    def test_flags_without_a_variable_have_none(self):
        for variable in ("CSV", "TAG", "JSON", "STDOUT", "STATS", "SHELL", "NULL", "PER_JOB"):
            finished = self.call([DISPATCHER, "each", "--dry-run", "echo", ":::", "1"], env=clean_environment(**{"WORKPOOL_" + variable: "\x01"}))
            self.assertEqual(finished.code, 0, str(finished))


class ExitCodes(CliTest):
    def rows(self):
        return PAGE.table("Exit codes", "code")

    def column(self, name):
        return {int(row["code"]) for row in self.rows() if row[name]}

    def test_the_page_has_those_of_the_code(self):
        enum = re.search(r"enum class ExitCode[^{]*{(.*?)};", source("common/base/exit_code.h"), re.S).group(1)
        self.assertEqual([int(row["code"]) for row in self.rows()],
                         sorted(int(code) for code in re.findall(r"=\s*(\d+)\s*,", enum)))

    def in_help(self, *command):
        text = self.call([*command, "--help"]).out.partition("Exit codes: ")[2]
        return {int(code) for codes in re.findall(r"(?:^|; )(\d+(?:/\d+)?) ", text.replace("\n", " ")) for code in codes.split("/")}

    def test_help_has_those_of_the_page(self):
        self.assertEqual(self.in_help(DISPATCHER, "run"), self.column("`run`"))
        self.assertEqual(self.in_help(DISPATCHER), self.column("`run`"))
        self.assertEqual(self.in_help(DISPATCHER, "keygen"), self.column("`keygen`"))
        self.assertEqual(self.in_help(WORKER), self.column("`workpool-worker`"))
        helps = [self.in_help(DISPATCHER, command) for command in ("check", "verify", "show", "status")]
        self.assertEqual(set().union(*helps), self.column("`check`, `verify`, `show`, `status`"))
        for codes in helps:
            self.assertLessEqual({130, 143}, codes)

    def test_help_has_every_cause_that_the_page_has_for_71(self):
        row = next(row for row in self.rows() if row["code"] == "71")
        causes = re.sub(r" \([^)]*\)", "", row["`run`"]).split(", or ")
        for command in ([DISPATCHER, "run"], [DISPATCHER]):
            with self.subTest(" ".join(command)):
                text = " ".join(self.call([*command, "--help"]).out.split())
                in_help = re.search(r"; 71 ([^;]*);", text).group(1).split(", or ")
                self.assertEqual(len(in_help), len(causes), in_help)
                for short, cause in zip(in_help, causes):
                    self.assertTrue(cause.startswith(short), f"{short!r}, and the page: {cause!r}")


class Numbers(unittest.TestCase):
    def test_limits_are_those_of_the_code(self):
        rows = {plain(row["what"]): row["limit"] for row in PAGE.table("Limits", "what")}
        self.assertEqual(rows.keys(), LIMITS.keys())
        for what, name in LIMITS.items():
            with self.subTest(what):
                self.assertEqual(number_in(rows[what]), constant(name))


    def test_limits_on_the_wire_are_those_of_the_code(self):
        rows = {plain(row["what"]): row["limit"] for row in Page(SOURCE / "docs" / "protocol.md").table("Limits", "what")}
        self.assertEqual(rows.keys(), WIRE_LIMITS.keys())
        for what, name in WIRE_LIMITS.items():
            with self.subTest(what):
                self.assertTrue(name is None or number_in(rows[what]) == constant(name), rows[what])


class Formats(CliTest):
    def test_members_of_a_job(self):
        on_page = {plain(name) for row in PAGE.table("Members of a job", "member") for name in cells_of(row["member"])}
        names = re.search(r"kMemberNames{(.*?)}", source("common/formats/job_line_limits.h"), re.S).group(1)
        self.assertEqual(on_page, set(re.findall(r'"(\w+)"', names)))

    def test_built_in_handlers(self):
        on_page = {plain(row["type"]) for row in PAGE.table("Built-in handlers", "type")}
        self.assertEqual(on_page, set(re.findall(r'name\(\) const override { return "(\w+)"', source("worker/handlers/builtin.cpp"))))

    def test_words_of_a_result(self):
        code = source("common/base/outcome.cpp")
        words = re.findall(r'return "(\w+)"', code) or re.findall(r'"(\w+)"', code)
        on_page = {plain(row["status"]) for row in PAGE.table("Results file", "status")}
        on_page |= {plain(row["`error.kind`"]) for row in PAGE.table("Results file", "`error.kind`")}
        self.assertEqual(on_page, set(words))

    def test_members_of_a_result(self):
        jobs = [{"cmd": "echo out; echo err >&2", "id": "ok"}, {"cmd": "exit 3"}, {"cmd": "kill -9 $$"},
                {"cmd": ["head", "-c", "300000", "/dev/zero"]}, {"cmd": "printf '\\377' | tee /dev/stderr"},
                {"type": "echo", "args": 1, "each": {"1": "a"}, "meta": 1}, {"cmd": ["/usr/bin/python3", "-c", "bytearray(100 << 20)"]}]
        finished = self.run_jobs(*jobs, code=1)
        _, of_bad_line = self.pipe_jobs("{oops}\n", code=1)
        seen = {member for result in [*finished.results, *of_bad_line] for member in result}
        on_page = {plain(name) for row in PAGE.table("Results file", "member") for name in cells_of(row["member"])}
        # The page names these in the words about stdout and stderr.
        self.assertEqual(on_page | {"stdout_base64", "stderr_base64"}, seen | {"stderr_base64"})

    def test_members_of_a_status(self):
        self.write("jobs.jsonl", jsonl({"cmd": ["sleep", "1000"]}))
        address = f"tcp://127.0.0.1:{free_port()}"
        self.start_run("jobs.jsonl", "--listen", address, "--local", "1")

        def answer():
            asked = self.dispatcher("status", address, "--json")
            status = json.loads(asked.out) if asked.code == 0 else {}
            return status if status.get("workers") else None
        status = wait_until("a worker", answer)
        rows = PAGE.table("Status as JSON", "member")
        self.assertEqual([plain(name) for row in rows for name in cells_of(row["member"])], list(status))
        rows_of_jobs = PAGE.table("Status as JSON", "member of `jobs`")
        self.assertEqual([plain(name) for row in rows_of_jobs for name in cells_of(row["member of `jobs`"])], list(status["jobs"]))
        workers = next(row["meaning"] for row in rows if plain(row["member"]) == "workers")
        self.assertEqual(re.findall(r"`(\w+)`", workers), list(status["workers"][0]))


if __name__ == "__main__":
    unittest.main()

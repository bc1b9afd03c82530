#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout 300
"""`each`: one command for many values. Sources, placeholders, output, order, resuming, odd values, pipes that do not end."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cli_testing import BIN, SLACK, CliTest, clean_environment, parse_results  # noqa: E402

FRONT = str(BIN / "workpool")
ODD_NAMES = [b"plain.txt", b"a b.txt", b"q'uo\"te.txt", b"$(touch gotcha).txt", b"`touch gotcha`", b"-rf", b"new\nline.txt",
             b"semi;touch gotcha;", b"star*?[x].txt", b"back\\slash", b"tab\there", "ümläut".encode(), b"\xff\xfe not utf-8", b"{}", b"{1}"]


class EachTest(CliTest):
    def each(self, *words, code=0, **options):
        finished = self.call([FRONT, "each", *words], **options)
        if code is not None:
            self.assertEqual(finished.code, code, str(finished))
        return finished

    def lines(self, *words, **options):
        return self.each("-k", *words, **options).out.splitlines()


class Sources(EachTest):
    def test_values_of_the_command_line(self):
        self.assertEqual(self.lines("echo", "<{}>", ":::", "a", "b c", "", "$HOME"), ["<a>", "<b c>", "<>", "<$HOME>"])
        self.assertEqual(self.lines("echo", ":::", "x", "y"), ["x", "y"])
        self.assertEqual(self.lines("--", "echo", ":::"), [])

    def test_every_combination_the_last_varying_fastest(self):
        self.assertEqual(self.lines("echo", "{1}{2}{3}", ":::", "a", "b", ":::", "1", "2", ":::", "x"), ["a1x", "a2x", "b1x", "b2x"])
        self.assertEqual(self.lines("echo", "{1}{2}", ":::", "a", "b", ":::"), [])

    def test_linked_sources_stop_with_the_shortest(self):
        self.assertEqual(self.lines("echo", "{1}{2}{3}", ":::", "a", "b", "c", ":::+", "1", "2", ":::", "x", "y"),
                         ["a1x", "a1y", "b2x", "b2y"])

    def test_files_and_stdin(self):
        self.write("one", "a\n\nb\r\nc")
        self.write("two", "1\n2\n")
        self.assertEqual(self.lines("echo", "::::", "one"), ["a", "b", "c"])
        self.assertEqual(self.lines("echo", "{2}{1}", "::::", "one", "two"), ["1a", "2a", "1b", "2b", "1c", "2c"])
        self.assertEqual(self.lines("echo", "{2}{1}", "::::", "one", "::::+", "two"), ["1a", "2b"])
        self.assertEqual(self.lines("-a", "two", "echo"), ["1", "2"])
        self.assertEqual(self.lines("echo", "{1}{2}", "::::", "-", "two", stdin="x\ny\n"), ["x1", "x2", "y1", "y2"])
        self.assertEqual(self.lines("echo", stdin="x\ny"), ["x", "y"])
        self.assertEqual(self.lines("-0", "printf", "%s.", stdin="x\0y\nz\0\0"), ["x.y", "z.."])
        self.assertEqual(self.lines("echo", stdin=""), [])

    def test_rows_and_objects(self):
        self.write("p.csv", 'rate,seed name\r\n0.1,"a, b"\r\n0.2,"say ""x"""\r\n')
        self.assertEqual(self.lines("--csv", "p.csv", "echo", "{rate}|{seed name}|{2}|{#}"), ["0.1|a, b|a, b|1", '0.2|say "x"|say "x"|2'])
        self.assertEqual(self.lines("--csv", "p.csv", "--no-header", "echo", "{2}"), ["seed name", "a, b", 'say "x"'])
        self.assertEqual(self.lines("--tsv", "-", "echo", "{b}{a}", stdin="a\tb\n1\t2\n"), ["21"])
        self.assertEqual(self.lines("--jsonl", "-", "echo", "{n}{t}", stdin='{"n": 1.50, "t": "x"}\n{"t": null, "n": true}\n'), ["1.50x", "true"])

    def test_several_values_a_job(self):
        self.assertEqual(self.lines("-n", "2", "echo", "{}", "{2}-{1}", stdin="1\n2\n3\n"), ["1 2 2-1", "3 -3"])
        self.assertEqual(self.lines("-n3", "printf", "<%s>", "{}", ":::", "a b", "c"), ["<a b><c>"])

    def test_chunks_of_the_input(self):
        self.assertEqual(self.lines("--chunks", "4", "wc", "-l", stdin="".join(f"{n}\n" for n in range(1, 11))), ["4", "4", "2"])
        big = "".join("x" * 999 + "\n" for _ in range(1000))
        self.assertEqual(self.lines("--chunks", "1000000", "wc", "-c", stdin=big), [str(len(big))])
        too_big = self.each("--chunks", "1000000", "wc", "-c", stdin=big + big, code=65)
        self.assertIn("give --chunks fewer lines", too_big.err)
        odd = b"\xef\xbb\xbfa b\n\n\r\n\xff\0\nend"
        self.assertEqual(self.each("-k", "--chunks", "2", "cat", stdin=odd).raw_out, odd)

    def test_columns_of_lines(self):
        self.assertEqual(self.lines("--colsep", ", ", "echo", "{2}-{1}", stdin="a, b\nc, \n"), ["b-a", "-c"])
        self.assertIn("stdin:2: 1 column", self.each("--colsep", ",", "echo", stdin="a,b\nc\n", code=65).err)

    def test_what_is_wrong_is_refused_before_anything_runs(self):
        self.write("bad.csv", "a,b\n1,2\n3\n")
        self.write("bad.jsonl", '{"a": 1}\n{"a": }\n')
        for words, code, says in [
                (["echo", "{foo}", ":::", "1"], 2, "unknown placeholder `{foo}`"),
                (["echo", "{..}", ":::", "1"], 2, "unknown placeholder `{..}`"),
                (["zcat {} | wc -l", ":::", "1"], 2, "add --shell"),
                (["--shell", "", ":::", "date"], 2, "COMMAND is empty"),
                (["", ":::", "date"], 2, "COMMAND is empty"),
                (["--chunks", "2", "echo", "{}", "::::", "bad.csv"], 2, "unknown placeholder `{}`"),
                (["-P", "4", "echo", ":::", "1"], 2, "there is no -P here; instead: -j N"),
                (["--joblog", "x", "echo", ":::", "1"], 2, "there is no --joblog here; instead: -o FILE"),
                (["--handler", "x=cat", "echo", ":::", "1"], 2, "there is no --handler here; instead: run, with a jobs file"),
                (["-k", "--halt=now,fail=1", "echo", ":::", "1"], 2, "there is no --halt here; instead: --max-fails"),
                (["--colsep", ",", "echo", ":::", "1"], 2, "--colsep needs one source"),
                (["--label", "", "echo", ":::", "1"], 2, "--label"),
                ([":::", "1"], 2, "COMMAND is missing"),
                (["--bogus", "echo", ":::", "1"], 2, "unknown flag '--bogus'"),
                (["-n", "0", "echo", ":::", "1"], 2, "--per-job"),
                (["-n", "2", "echo", ":::", "1", ":::", "2"], 2, "one source"),
                (["--csv", "bad.csv", "touch", "ran{#}", ":::", "1"], 2, "no other source"),
                (["echo", ":::+", "1"], 2, "there is none"),
                (["echo", "::::"], 2, "needs the name of a file"),
                (["echo", "::::", "-", "-"], 2, "only one of the sources"),
                (["echo", "::::", "nowhere"], 65, "nowhere: cannot be opened"),
                (["echo", "::::", "."], 65, ".: is a directory"),
                (["--csv", "bad.csv", "touch", "ran{#}"], 65, "bad.csv:3: 1 column, but the first row has 2"),
                (["--jsonl", "bad.jsonl", "touch", "ran{#}"], 65, "bad.jsonl:2: column"),
                (["-j", "many", "echo", ":::", "1"], 2, "--jobs: 'many' is not a number of jobs"),
                (["--no-header", "echo", ":::", "1"], 2, "--no-header needs")]:
            finished = self.each(*words, code=code)
            self.assertIn(says, finished.err, str(words))
        self.assertEqual(list(self.folder.glob("ran*")), [])

    def test_a_mistake_in_a_pipe_stops_the_run(self):
        finished = self.each("--csv", "-", "echo", "{a}", stdin="a,b\n1,2\n3\n", code=65)
        self.assertIn("stdin:3: 1 column", finished.err)


class OddValues(EachTest):
    def make(self):
        folder = self.folder / "odd"
        folder.mkdir()
        for name in ODD_NAMES:
            (os.fsencode(folder) + b"/" + name)
            with open(os.path.join(os.fsencode(folder), name), "wb") as file:
                file.write(name)
        return folder

    def check(self, words):
        folder = self.make()
        names = b"".join(name + b"\0" for name in ODD_NAMES)
        finished = self.call([FRONT, "each", "-k", "-0", *words], stdin=names, cwd=folder)
        self.assertEqual(finished.code, 0, str(finished))
        self.assertEqual(finished.raw_out, b"".join(ODD_NAMES))
        self.assertFalse((folder / "gotcha").exists())

    def test_arrive_as_they_are(self):
        self.check(["cat", "--", "{}"])

    def test_arrive_through_a_shell(self):
        self.check(["--shell", "cat -- {}"])

    def test_arrive_between_quotes(self):
        for command in ('cat -- "{}"', "cat -- '{}'", 'x={}; cat -- "$x"', 'cat -- "./"{}', "cat -- '.'\"/{}\"", "cat -- $(echo .)/{}",
                        "cat <<< x >/dev/null; cat -- {}"):
            with self.subTest(command):
                if (self.folder / "odd").exists():
                    shutil.rmtree(self.folder / "odd")
                self.check(["--shell=bash", command])

    def test_are_refused_where_a_shell_might_run_them(self):
        for command in ("echo `cat {}`", 'echo "$(cat {})"', "cat <<EOF\n{}\nEOF", "echo $(({} + 1))", "true # {}", "echo \\{}", "echo $'{}'",
                        "echo '`' `echo '{}'`", "[[ {} -gt 5 ]]", "let x={}", "eval {}", "declare -i x={}", "x[{}]=1", "[[ -v {} ]]"):
            finished = self.each("--shell=bash", command, ":::", "$(touch gotcha)", code=2)
            self.assertIn("a placeholder ", finished.err, command)

    def test_no_template_runs_a_value(self):
        """Random templates of the letters that quoting is made of: what is accepted never runs a value, in dash and bash."""
        pieces = ["'", '"', "$'", "\\", "${x:-", "}", "${x%", "#", " # ", "<<", "<<<", "`", "$(echo ", ")", "$((", "[[ ", " ]]", " -gt ", "$x", "$$",
                  " ", "\n", ";", "|cat ", "echo ", "echo ", "{}", "{}", "{}", "a", "x=", "let ", "eval ", "$[", "]", "a[", "{", ","]
        values = [";touch pwned;", "'", "$(touch pwned)", "`touch pwned`", "a[$(touch pwned)]", "2", "a,b", "\ntouch pwned\n", "'; touch pwned #",
                  '"; touch pwned; "', "\\", "x' 'y"]
        random = Random(7)
        accepted = 0
        for _ in range(150):
            template = "".join(random.choice(pieces) for _ in range(random.randint(3, 9)))
            if "{}" not in template:
                continue
            for shell in ("/bin/sh", "bash"):
                done = self.each(f"--shell={shell}", "--quiet", "--timeout", "10", template, ":::", *values, code=None)
                accepted += done.code != 2
                self.assertEqual([path.name for path in self.folder.glob("pwned*")], [], f"{shell}: {template!r}")
        print(f"{accepted} templates were accepted")
        self.assertGreater(accepted, 30)

    def test_a_number_is_no_descriptor_and_a_value_lengthens_no_name(self):
        self.each("--shell", "echo {}>f{}; echo {#}>g{#}", ":::", "3", "2")
        self.assertEqual([(self.folder / name).read_text() for name in ("f2", "f3", "g1", "g2")], ["2\n", "3\n", "1\n", "2\n"])
        for shell in ("/bin/sh", "bash"):
            self.assertEqual(self.lines(f"--shell={shell}", "x=y; echo $x{} \"$x{}\" '$x{}' p{,{}}", ":::", "z")[0].split()[:3], ["yz", "yz", "$xz"])

    def test_arrive_through_bash_and_a_jobs_file(self):
        folder = self.make()
        names = b"".join(name + b"\0" for name in ODD_NAMES)
        printed = self.call([FRONT, "each", "--dry-run", "-0", "--shell=bash", "cat -- {}"], stdin=names, cwd=folder)
        self.assertEqual(printed.code, 0, str(printed))
        (folder / "jobs.jsonl").write_bytes(printed.raw_out)
        finished = self.call([FRONT, "run", "jobs.jsonl", "--progress", "none"], cwd=folder)
        self.assertEqual(finished.code, 0, str(finished))
        results = parse_results((folder / "jobs.results.jsonl").read_bytes())
        self.assertEqual(len(results), len(ODD_NAMES))
        # The same command gives the same jobs the same ids.
        again = self.call([FRONT, "each", "-o", "each.jsonl", "-0", "--shell=bash", "cat -- {}"], stdin=names, cwd=folder)
        self.assertEqual(again.code, 0, str(again))
        ids = {result["id"] for result in parse_results((folder / "each.jsonl").read_bytes())}
        self.assertEqual(ids, {result["id"] for result in results})


class Output(EachTest):
    def test_is_whole_and_grouped(self):
        finished = self.each("-j", "4", "--shell", "for i in 1 2 3; do echo {}; echo e{} >&2; sleep 0.05; done", ":::", "a", "b", "c", "d")
        for text, mark in ((finished.out, ""), (finished.err, "e")):
            lines = [line for line in text.splitlines() if line]
            groups = [lines[i:i + 3] for i in range(0, len(lines), 3)]
            self.assertEqual(sorted(groups), [[mark + x] * 3 for x in "abcd"])

    def test_keeps_the_order_of_the_values(self):
        self.assertEqual(self.lines("-j", "3", "--shell", "sleep 0.{}; echo {}", ":::", "4", "1", "2"), ["4", "1", "2"])
        out_of_order = self.each("-j", "3", "--shell", "sleep 0.{}; echo {}", ":::", "6", "1").out
        self.assertEqual(out_of_order.split(), ["1", "6"])

    def test_both_streams_into_one_pipe(self):
        words = ["--shell", "yes 'out {}' | head -20000; yes 'err {}' | head -20000 >&2", ":::", "1", "2", "3", "4"]
        for order in ([], ["-k"]):
            finished = self.call(["bash", "-c", 'exec "$@" 2>&1 | cat', "bash", FRONT, "each", *order, *words])
            lines = finished.out.splitlines()
            self.assertEqual(len(lines), 4 * 40000)
            blocks = [lines[i] for i in range(0, len(lines), 20000)]
            self.assertEqual([set(lines[i:i + 20000]) for i in range(0, len(lines), 20000)], [{line} for line in blocks])
            self.assertEqual(sorted(blocks), sorted(f"{stream} {n}" for stream in ("out", "err") for n in range(1, 5)))

    def test_what_waits_for_an_earlier_job_takes_no_memory(self):
        self.write("big.sh", "[ $1 = 1 ] && sleep 8; head -c 250000 /dev/zero | tr '\\0' x; echo \" $1\"\n")
        started = self.start(FRONT, "each", "-k", "sh", "big.sh", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        started.process.stdin.write("".join(f"{n}\n" for n in range(1, 801)).encode())
        started.process.stdin.close()
        self.assertEqual(started.finish().code, 0)
        peak = 0
        _, _, usage = 0, 0, resource.getrusage(resource.RUSAGE_CHILDREN)
        peak = usage.ru_maxrss // 1024
        print(f"200 MB of output in order: peak {peak} MiB of any program so far")
        self.assertLess(peak, 4 * 80)

    def test_much_output_in_order(self):
        # The first job is the slowest, so all others wait for it, on disk for the most part.
        words = ["-j", "4", "--shell", "test {} = 0 && sleep 2; head -c 60000 /dev/zero | tr '\\0' {}; echo", ":::", "0"]
        values = [str(n % 9 + 1) for n in range(900)]
        out = self.lines(*words, *values)
        self.assertEqual([line[0] for line in out], ["0", *values])
        self.assertEqual({len(line) for line in out}, {60000})

    def test_tags_each_line(self):
        finished = self.each("-k", "--tag", "--shell", "echo x; echo y; echo z >&2; : {}", ":::", "a b", "c")
        self.assertEqual(finished.out, "a b\tx\na b\ty\nc\tx\nc\ty\n")
        self.assertEqual(finished.err, "a b\tz\nc\tz\n")

    def test_is_not_changed(self):
        self.assertEqual(self.each("-k", "printf", "%s", ":::", "a", "b").raw_out, b"ab")
        self.assertEqual(self.each("--shell", "printf '\\377\\000\\n'; : {}", ":::", "a").raw_out, b"\xff\0\n")

    def test_quiet_and_silent(self):
        finished = self.each("--quiet", "echo", ":::", "a")
        self.assertEqual((finished.out, finished.err), ("", ""))
        self.assertEqual(self.each("true", ":::", "a").err, "")

    def test_failures_name_their_values(self):
        finished = self.each("--shell", "exit {}", ":::", "0", "3", code=1)
        self.assertIn("not ok  '3' (job 2): exit status 3", finished.err)
        self.assertIn("1 ok, 1 failed of 2 jobs", finished.err)
        self.assertIn("give -o FILE", finished.err)

    def test_a_reader_that_goes_away_ends_it(self):
        process = subprocess.Popen([FRONT, "each", "--shell", ": {}; head -c 30000 /dev/zero"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, cwd=self.folder, env=clean_environment())
        process.stdout.close()
        _, err = process.communicate(b"".join(b"%d\n" % n for n in range(1000)), timeout=60)
        self.assertEqual((process.returncode, err), (-signal.SIGPIPE, b""))

    def test_a_slow_reader_loses_nothing(self):
        process = subprocess.Popen([FRONT, "each", "-k", "--shell", "head -c 30000 /dev/zero | tr '\\0' x; echo"], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.folder, env=clean_environment())
        process.stdin.write(b"".join(b"%d\n" % n for n in range(300)))
        process.stdin.close()
        time.sleep(4)  # longer than anything waits at the end
        read = process.stdout.read()
        self.assertEqual(process.wait(60), 0)
        self.assertEqual(read.count(b"\n"), 300)
        process.stdout.close()
        process.stderr.close()


class Recording(EachTest):
    def test_results_say_what_made_them(self):
        self.each("-o", "r.jsonl", "echo", "{2}", ":::", "a", ":::", "1", "2")
        self.write("p.csv", "rate,seed\n0.1,7\n")
        self.each("-o", "p.jsonl", "--csv", "p.csv", "true")
        each = sorted(json.dumps(result["each"]) for result in parse_results((self.folder / "r.jsonl").read_bytes()))
        self.assertEqual(each, ['{"1": "a", "2": "1"}', '{"1": "a", "2": "2"}'])
        self.assertEqual(parse_results((self.folder / "p.jsonl").read_bytes())[0]["each"], {"rate": "0.1", "seed": "7"})

    def test_the_same_command_continues_and_a_new_value_runs_alone(self):
        first = self.each("-k", "-o", "r.jsonl", "echo", ":::", "a", "b", "b")
        self.assertEqual(first.out.split(), ["a", "b", "b"])
        again = self.each("-k", "-o", "r.jsonl", "echo", ":::", "a", "b", "b")
        self.assertEqual(again.out, "")
        more = self.each("-k", "-o", "r.jsonl", "echo", ":::", "new", "a", "b", "b", "b")
        self.assertEqual(more.out.split(), ["new", "b"])
        ids = [result["id"] for result in parse_results((self.folder / "r.jsonl").read_bytes())]
        self.assertEqual(len(set(ids)), 5)

    def test_what_failed_runs_again_with_the_command_that_it_prints(self):
        self.write("fails", "")
        finished = self.each("-o", "r.jsonl", "--shell", "test ! -e fails; echo --overwrite {}", ":::", "a b", code=0)
        finished = self.each("-o", "s.jsonl", "test", "!", "-e", ":::", "fails", code=1)
        command = finished.err.rsplit("to run what is not ok again: ", 1)[1].splitlines()[0]
        (self.folder / "fails").unlink()
        again = self.call(["/bin/sh", "-c", command])
        self.assertEqual(again.code, 0, str(again))

    def test_dry_run_prints_the_jobs_and_runs_nothing(self):
        out = self.each("--dry-run", "--cwd", "/tmp", "--env", "A=1", "touch", "{}", ":::", "x", "y").out
        self.assertEqual(out, '{"cmd":["touch","x"],"env":{"A":"1"},"cwd":"/tmp","each":{"1":"x"}}\n'
                              '{"cmd":["touch","y"],"env":{"A":"1"},"cwd":"/tmp","each":{"1":"y"}}\n')
        self.assertEqual(list(self.folder.glob("x")), [])
        self.assertEqual(self.lines("--cwd", "/", "--env", "A=1 2", "--shell", "pwd; echo $A; : {}", ":::", "x"), ["/", "1 2"])

    def test_results_overwrite_nothing_else(self):
        self.write("values", "a\nb\n")
        for words in (["-o", "values", "echo", "::::", "values"], ["-o", "values", "-a", "values", "echo"], ["-o", "values", "--csv", "values", "echo"]):
            refused = self.each("--overwrite", *words, code=2)
            self.assertIn("would overwrite the values of values", refused.err)
        self.write("r.jsonl", "")
        refused = self.call(["bash", "-c", f"'{FRONT}' each -o r.jsonl echo ::: a > r.jsonl"])
        self.assertEqual(refused.code, 2)
        self.assertIn("the file that stdout goes to", refused.err)
        self.assertEqual((self.folder / "values").read_text(), "a\nb\n")
        only = self.each("-o", "-", "echo", ":::", "a")
        self.assertEqual(parse_results(only.out)[0]["stdout"], "a\n")

    def test_what_was_held_back_is_printed_at_a_stop(self):
        started = self.start(FRONT, "each", "-k", "-j", "4", "--shell", "test {} = 1 && sleep 30; head -c 100000 /dev/zero | tr '\\0' x; echo",
                             ":::", *map(str, range(1, 41)))
        time.sleep(2)
        started.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        started.process.send_signal(signal.SIGINT)
        time.sleep(4)  # longer than anything else waits at the end
        out = started.finish().out
        self.assertGreaterEqual(out.count("\n"), 20)
        self.assertEqual({len(line) for line in out.splitlines()}, {100000})

    def test_retries_and_timeouts(self):
        finished = self.each("-o", "r.jsonl", "--timeout", "0.3", "sleep", ":::", "10", code=1)
        self.assertIn("timed out", finished.err)

    def test_ctrl_c_finishes_what_runs(self):
        started = self.start(FRONT, "each", "-k", "-j", "1", "-o", "r.jsonl", "--shell", "touch started; sleep 1; echo {}", ":::", "1", "2")
        while not (self.folder / "started").exists():
            time.sleep(0.02)
        started.process.send_signal(signal.SIGINT)
        finished = started.finish()
        self.assertEqual((finished.code, finished.out), (130, "1\n"), str(finished))


class Streams(EachTest):
    def test_a_value_runs_as_soon_as_it_comes(self):
        started = self.start(FRONT, "each", "echo", stdin=subprocess.PIPE, bufsize=0)
        for value in (b"one\n", b"two\n"):
            started.process.stdin.write(value)
            self.assertEqual(started.read_line(), value)
        started.process.stdin.close()
        self.assertEqual(started.finish().code, 0)

    def test_a_million_values_start_at_once_in_bounded_memory(self):
        text = "".join(f"{n}\n" for n in range(1_000_000))
        self.write("values", text)
        begin = time.monotonic()
        started = self.start(FRONT, "each", "-j", "2", "echo", "::::", "values", bufsize=0)
        started.read_line()
        took = time.monotonic() - begin
        pid = started.process.pid
        status = Path(f"/proc/{pid}/status").read_text()
        peak = int(status.split("VmHWM:")[1].split()[0]) // 1024
        started.process.send_signal(signal.SIGINT)
        started.process.send_signal(signal.SIGINT)
        started.process.stdout.close()
        started.process.wait(60)
        print(f"a million values: first output after {took:.2f} s, peak {peak} MiB")
        self.assertLess(took, 2 * SLACK)
        self.assertLess(peak, 4 * 60)


class Pipes(EachTest):
    def run_pipe(self, text, *flags, code=0, name="run"):
        finished = self.call([FRONT, name, "-", *flags], stdin=text)
        self.assertEqual(finished.code, code, str(finished))
        return finished

    def test_the_first_byte_decides(self):
        self.assertEqual(self.run_pipe("echo a\n").out, "a\n")
        self.assertEqual(self.run_pipe('\n  {"cmd": ["echo", "b"]}\n').out, "b\n")
        self.assertEqual(self.run_pipe("# comment\n\necho c").out, "c\n")
        self.assertIn("jq -c '.[]'", self.run_pipe('[{"cmd": "touch ran"}]', code=65).err)
        self.assertIn("begins with `{`", self.run_pipe('true\n{"cmd": "touch ran"}\n', "-o", "r.jsonl", code=1).err)
        self.assertFalse((self.folder / "ran").exists())

    def test_files_are_judged_alike(self):
        self.write("plain", "echo a\n")
        self.write("jobs", '{"cmd": ["echo", "b"]}\n')
        self.write("mixed.txt", 'true\n{"cmd": "touch ran"}\n')
        self.write("array", '[{"cmd": "touch ran"}]\n')
        self.write("value.json", '{"cmd": "touch ran"}\n')
        for name, code in (("plain", 0), ("jobs", 0), ("mixed.txt", 65), ("array", 65), ("value.json", 65)):
            finished = self.call([FRONT, "run", name, "--progress", "none"])
            self.assertEqual(finished.code, code, str(finished))
        self.assertFalse((self.folder / "ran").exists())
        self.assertEqual(self.call([FRONT, "run", "value.json", "--format", "jsonl"]).code, 0)


if __name__ == "__main__":
    unittest.main()

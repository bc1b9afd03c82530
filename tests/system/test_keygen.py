#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout 300
"""`keygen`: key files made, changed, listed and refused; what a crash, a full disk and others at once leave of one."""

import base64
import fcntl
import hashlib
import json
import os
import pty
import re
import signal
import stat
import subprocess
import sys
import time
import unittest
from pathlib import Path

import zmq
from zmq.utils import z85

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cli_testing import BIN, DISPATCHER, LIMIT, CliTest, clean_environment, wait_until  # noqa: E402
from workpool_testing import figure  # noqa: E402

JOIN_KEY = re.compile(r"wp1-[A-Za-z0-9_-]{86}")
IS_ROOT = os.geteuid() == 0


def bytes_of(letters):
    return base64.urlsafe_b64decode(letters + "=" * (-len(letters) % 4))


def public_of(secret):
    return z85.decode(zmq.curve_public(z85.encode(secret)))


def fingerprint(public):
    digest = hashlib.blake2b(public, digest_size=32).hexdigest()
    return "-".join(digest[at:at + 4] for at in (0, 4, 8, 12))


class Keygen(CliTest):
    def setUp(self):
        super().setUp()
        self.path = self.folder / "pool.key"

    def keygen(self, *arguments, code=0, **options):
        finished = self.dispatcher("keygen", "pool.key", *arguments, **options)
        self.assertEqual(finished.code, code, str(finished))
        self.assert_no_trace(finished)
        return finished

    def lines(self):
        text = self.path.read_text()
        self.assertTrue(text.endswith("\n"))
        return [json.loads(line) for line in text.splitlines()]

    def names(self):
        return [line["worker"] for line in self.lines()[1:]]

    def assert_whole_and_private(self, names=None):
        """The file is one that is read, nobody else's, and nothing stands beside it."""
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        listed = json.loads(self.keygen("--list", "--json").out)
        if names is not None:
            self.assertEqual([worker["name"] for worker in listed["workers"]], names)
        self.assertEqual(self.left_over(), [])

    def left_over(self):
        return [entry for entry in os.listdir(self.folder) if entry.endswith(".tmp")]


class Files(Keygen):
    def test_makes_a_file_and_says_what_to_do_next(self):
        finished = self.keygen()
        self.assertEqual(finished.out, "")
        self.assertIn("made pool.key, a dispatcher's key", finished.err)
        self.assertIn("workpool-dispatcher keygen pool.key --worker NAME", finished.err)
        self.assertNotIn(self.lines()[0]["dispatcher"], finished.err)
        self.assertEqual(list(self.lines()[0]), ["v", "dispatcher"])
        self.assertEqual(len(bytes_of(self.lines()[0]["dispatcher"])), 32)
        self.assert_whole_and_private([])
        before = self.path.read_bytes()
        self.assert_one_line_error(self.keygen(code=1), 1, "pool.key exists already", "never overwritten")
        self.assertEqual(self.path.read_bytes(), before)
        commands = self.call(["workpool", "keygen", "it is.key"]).err
        self.assertIn("workpool keygen 'it is.key' --worker NAME\n", commands)

    def test_the_umask_does_not_matter(self):
        for mask in ("0", "0777", "022"):
            script = f"umask {mask}; {DISPATCHER} keygen pool.key && {DISPATCHER} keygen pool.key --worker a"
            self.assertEqual(self.call(["sh", "-c", script]).code, 0)
            self.assert_whole_and_private(["a"])
            self.path.unlink()

    def test_a_worker_gets_its_key(self):
        finished = self.keygen("--worker", "node7")
        self.assertRegex(finished.out, rf"\A{JOIN_KEY.pattern}\n\Z")
        self.assertEqual(finished.err, "")
        first, worker = self.lines()
        join = bytes_of(finished.out.strip()[4:])
        self.assertEqual(join[:32], public_of(bytes_of(first["dispatcher"])))
        self.assertEqual(public_of(join[32:]), bytes_of(worker["public"]))
        self.assertEqual(list(worker), ["worker", "public"])
        self.assertNotIn(finished.out.strip()[60:], self.path.read_text(), "the worker's secret is nowhere")
        self.assert_whole_and_private(["node7"])
        listed = json.loads(self.keygen("--list", "--json").out)
        self.assertEqual(listed, {"v": 1, "file": "pool.key", "fingerprint": fingerprint(join[:32]),
                                  "workers": [{"name": "node7", "fingerprint": fingerprint(public_of(join[32:]))}]})

    def test_several_workers_at_once(self):
        out = self.keygen("--worker", "a", "--worker", "b c").out
        self.assertRegex(out, rf"\Aa {JOIN_KEY.pattern}\nb c {JOIN_KEY.pattern}\n\Z")
        self.assertEqual(self.names(), ["a", "b c"])
        self.assertEqual(len(set(JOIN_KEY.findall(out))), 2)

    def test_a_name_that_is_there_is_refused_and_revoked_first(self):
        first = self.keygen("--worker", "node7").out
        before = self.path.read_bytes()
        refused = self.keygen("--worker", "node8", "--worker", "node7", code=1)
        self.assert_one_line_error(refused, 1, "has a key for node7 already",
                                   "workpool-dispatcher keygen pool.key --revoke node7")
        self.assertEqual((refused.out, self.path.read_bytes()), ("", before))
        self.assertIn("revoked the key of node7 in pool.key", self.keygen("--revoke", "node7").err)
        self.assert_whole_and_private([])
        self.assertNotEqual(self.keygen("--worker", "node7").out, first)

    def test_an_unknown_name_changes_nothing(self):
        self.keygen("--worker", "Node7", "--worker", "b")
        before = self.path.read_bytes()
        self.assert_one_line_error(self.keygen("--revoke", "b", "--revoke", "node77", code=1), 1,
                                   "pool.key has no key for node77; did you mean Node7?")
        self.assert_one_line_error(self.keygen("--revoke", "zzzzzz", code=1), 1,
                                   "it has: workpool-dispatcher keygen pool.key --list")
        self.assertEqual(self.path.read_bytes(), before)

    def test_keys_expire(self):
        now = time.time()
        self.keygen("--worker", "long", "--expires", "30d")
        self.keygen("--worker", "short", "--expires", "1s")
        self.keygen("--worker", "never", "--expires", "inf")
        expires = [worker.get("expires") for worker in self.lines()[1:]]
        self.assertIsNone(expires[2])
        moment = time.mktime(time.strptime(expires[0], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
        self.assertTrue(now + 30 * 86400 - 1 <= moment <= time.time() + 30 * 86400 + 1)
        wait_until("an expired key", lambda: "expired" in self.keygen("--list").out)
        rows = self.keygen("--list").out.splitlines()
        self.assertRegex(rows[0], r"^dispatcher's key [0-9a-f-]{19}, expires: never; 3 workers$")
        self.assertRegex(rows[1], r"^worker  fingerprint          expires$")
        self.assertRegex(rows[2], rf"^long    [0-9a-f-]{{19}}  {expires[0]}, in 29d$")
        self.assertRegex(rows[3], rf"^short   [0-9a-f-]{{19}}  {expires[1]}, expired$")
        self.assertRegex(rows[4], r"^never   [0-9a-f-]{19}  never$")
        listed = json.loads(self.keygen("--list", "--json").out)
        self.assertEqual([worker.get("expired") for worker in listed["workers"]], [False, True, None])
        # And the file as a whole.
        self.assertIn("all its keys expire in 2d", self.keygen("--expires", "2d").err)
        self.assertRegex(self.keygen("--list").out.splitlines()[0], "in (47h|2d);")
        self.assertFalse(json.loads(self.keygen("--list", "--json").out)["expired"])
        self.assertIn("does not expire", self.keygen("--expires", "inf").err)
        self.assertNotIn("expires", self.lines()[0])
        self.path.unlink()
        self.keygen("--expires", "8h")
        self.assertIn("expires", self.lines()[0])

    def test_wrong_usage(self):
        for arguments, words in ((["--worker", "a", "--list"], "give one of them"),
                                 (["--worker", "a", "--revoke", "b"], "give one of them"),
                                 (["--revoke", "b", "--list"], "give one of them"),
                                 (["--revoke", "b", "--expires", "1d"], "--expires"),
                                 (["--list", "--expires", "1d"], "--expires"),
                                 (["--json"], "--list"),
                                 (["--worker", "a", "--worker", "a"], "twice"),
                                 (["--worker", "x" * 65], "64 bytes"),
                                 (["--worker", "a\nb"], "control character"),
                                 (["--worker", b"\xff"], "UTF-8"),
                                 (["--worker", ""], "empty"),
                                 (["--expires", "soon"], "--expires"),
                                 (["--expires", "0"], "less than 1s")):
            finished = self.call([DISPATCHER, "keygen", "pool.key", *arguments])
            self.assert_one_line_error(finished, 2, words)
        self.assert_one_line_error(self.call([DISPATCHER, "keygen", "-"]), 2, "stdout")
        self.assert_one_line_error(self.call([DISPATCHER, "keygen"]), 2, "FILE")
        self.assertFalse(self.path.exists())

    def test_what_cannot_be_trusted_is_refused(self):
        def refused(*words):
            for arguments in (["--list"], ["--worker", "new"], ["--revoke", "node7"], ["--expires", "1d"]):
                self.assert_one_line_error(self.keygen(*arguments, code=78), 78, "pool.key", *words)
        self.assert_one_line_error(self.keygen("--list", code=78), 78, "does not exist", "workpool-dispatcher keygen pool.key")
        self.assert_one_line_error(self.keygen("--revoke", "a", code=78), 78, "does not exist")
        self.keygen("--worker", "node7")
        text = self.path.read_text()
        self.path.chmod(0o640)
        refused("can be read or written by other users: chmod 600 pool.key")
        self.path.chmod(0o600)
        for damaged, words in ((text[:-1], "line 2 is cut short"), ("", "it is empty"), (text + "{}\n", "line 3"),
                               (text.replace('"v":1', '"v":2'), "another version"),
                               (text[:-2] + ',"role":"x"}\n', "a newer one has written it")):
            self.path.write_text(damaged)
            refused("is damaged", words)
            self.assertEqual(self.path.read_text(), damaged)
        self.path.unlink()
        for make, words in ((lambda: self.path.symlink_to("elsewhere"), "symbolic link"),
                            (lambda: os.mkfifo(self.path, 0o600), "no regular file")):
            make()
            refused(words)
            self.path.unlink()

    @unittest.skipUnless(IS_ROOT, "only root can run programs as two users")
    def test_a_file_of_another_user_is_refused(self):
        self.keygen("--worker", "node7")
        self.folder.chmod(0o777)
        for owner, user in ((12345, 0), (0, 12345)):
            os.chown(self.path, owner, owner)
            finished = self.call([DISPATCHER, "keygen", "pool.key", "--list"], user=user, group=user, extra_groups=[])
            self.assert_one_line_error(finished, 78, f"belongs to another user ({owner})")


class Secrets(Keygen):
    def test_no_secret_is_printed_but_join_keys(self):
        said = [self.keygen().err]
        secrets = [self.lines()[0]["dispatcher"]]
        added = self.keygen("--worker", "node7")
        secrets.append(added.out.strip()[48:])
        said.append(added.err)
        for arguments, code in ((["--list"], 0), (["--list", "--json"], 0), (["--worker", "node7"], 1), (["--expires", "1d"], 0),
                                (["--revoke", "node8"], 1), (["--revoke", "node7"], 0), ([], 1)):
            finished = self.keygen(*arguments, code=code)
            said += [finished.out, finished.err]
        text = self.path.read_text()
        self.path.write_text(text[:40] + "!" + text[41:])
        said.append(self.keygen("--list", code=78).err)
        for secret in secrets:
            for at in range(0, len(secret) - 8):
                self.assertNotIn(secret[at:at + 8], "".join(said))

    def test_a_file_that_takes_a_join_key_is_closed_to_others(self):
        for before, mode in ((None, 0o600), (b"", 0o600), (b"mine\n", 0o644)):
            out = self.folder / "node.key"
            if before is not None:
                out.write_bytes(before)
                out.chmod(0o644)
            name = f"of {mode} {before}"
            script = f"umask 022; exec {DISPATCHER} keygen pool.key --worker '{name}' >> node.key"
            self.assertEqual(self.call(["sh", "-c", script]).code, 0)
            self.assertEqual(stat.S_IMODE(out.stat().st_mode), mode)
            out.unlink()

    def test_a_terminal_gets_a_hint_and_nothing_else_does(self):
        master, slave = pty.openpty()
        try:
            finished = self.keygen("--worker", "node7", stderr=slave)
            shown = os.read(master, 65536).decode()
        finally:
            os.close(master)
            os.close(slave)
        self.assertRegex(finished.out, rf"\A{JOIN_KEY.pattern}\n\Z")
        self.assertIn("WORKPOOL_KEY", shown)
        self.assertNotRegex(shown, JOIN_KEY)

    def test_memory_and_arguments_are_not_for_others(self):
        self.keygen()
        with open(self.path, "r+b") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            waiting = self.start(DISPATCHER, "keygen", "pool.key", "--worker", "node7")
            process = Path(f"/proc/{waiting.process.pid}")
            # It is not dumpable from the time on when it handles keys: root owns what belongs to it there.
            wait_until("a process that handles keys", lambda: re.search(r"Max core file size +0 +0 ", (process / "limits").read_text()))
            wait_until("the owner", lambda: (process / "environ").stat().st_uid == 0)
            self.assertNotIn(b"wp1-", (process / "cmdline").read_bytes())
        finished = waiting.finish()
        self.assertEqual(finished.code, 0, str(finished))


class World(Keygen):
    def pool_of(self, count):
        """A file with many workers, whose writing takes a moment."""
        self.keygen()
        rows = [self.path.read_text()]
        for number in range(count):
            public = base64.urlsafe_b64encode(number.to_bytes(32, "big")).decode().rstrip("=")
            rows.append(json.dumps({"worker": f"node {number}", "public": public}) + "\n")
        self.path.write_text("".join(rows))

    def test_workers_added_at_once_all_land(self):
        for exists in (False, True):
            if self.path.exists():
                self.path.unlink()
            if exists:
                self.keygen()
            names = [f"node{number}" for number in range(20)]
            running = [self.start(DISPATCHER, "keygen", "pool.key", "--worker", name) for name in names]
            finished = [keygen.finish() for keygen in running]
            self.assertEqual([end.code for end in finished], [0] * 20, "\n".join(map(str, finished)))
            self.assertEqual(sorted(self.names()), sorted(names))
            publics = {line["worker"]: bytes_of(line["public"]) for line in self.lines()[1:]}
            for name, end in zip(names, finished):
                self.assertEqual(public_of(bytes_of(end.out.strip()[4:])[32:]), publics[name])
            self.assert_whole_and_private()

    def test_a_file_that_stays_locked_is_not_waited_for_without_end(self):
        self.keygen()
        before = self.path.read_bytes()
        with open(self.path, "r+b") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            self.assert_one_line_error(self.keygen("--worker", "node7", code=74), 74, "is being changed by another command", "try again")
        self.assertEqual(self.path.read_bytes(), before)

    def test_killed_at_any_moment_it_leaves_the_file_whole(self):
        self.pool_of(9000)
        names = self.names()
        hits, tries = 0, 0
        end = time.monotonic() + LIMIT
        while hits < 5:
            tries += 1
            self.assertLess(time.monotonic(), end, f"{hits} of {tries} kills came in the middle")
            known = set(self.left_over())
            process = subprocess.Popen([DISPATCHER, "keygen", "pool.key", "--worker", f"new {tries}"], cwd=self.folder,
                                       env=clean_environment(), stdout=subprocess.DEVNULL)
            # As soon as the new file shows, or after ever longer if the eye is too slow for it.
            while process.poll() is None and set(self.left_over()) <= known:
                pass
            process.send_signal(signal.SIGKILL)
            process.wait()
            hits += bool(self.left_over())
            now = self.names()
            self.assertIn(now, (names, [*names, f"new {tries}"]))
            names = now
            self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        figure(f"{hits} of {tries} kills left a file beside")
        self.keygen("--worker", "the last")
        self.assert_whole_and_private([*names, "the last"])

    def test_a_key_that_cannot_be_printed_is_taken_out_again(self):
        self.keygen("--worker", "a")
        with open("/dev/full", "wb") as full:
            finished = self.keygen("--worker", "b", "--worker", "c", code=74, stdout=full)
        self.assertIn("cannot write the answer to stdout", finished.err)
        self.assertIn("taken out again", finished.err)
        self.assert_whole_and_private(["a"])

    @unittest.skipUnless(IS_ROOT, "only root can mount a small file system")
    def test_a_full_disk_leaves_the_old_file(self):
        disk = self.folder / "disk"
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=True)
        self.addCleanup(lambda: subprocess.run(["umount", "-l", disk], check=True))
        path = disk / "pool.key"
        self.assertEqual(self.dispatcher("keygen", path).code, 0)
        with open(disk / "filler", "wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(b"x" * 1024)
            except OSError:
                pass
        before = path.read_bytes()
        for arguments in ([path, "--worker", "a"], [path, "--expires", "1d"], [disk / "other.key"]):
            self.assert_one_line_error(self.dispatcher("keygen", *arguments), 74, "cannot be written: No space left on device")
        self.assertEqual(path.read_bytes(), before)
        self.assertEqual(sorted(os.listdir(disk)), ["filler", "pool.key"])
        (disk / "filler").unlink()
        self.assertEqual(self.dispatcher("keygen", path, "--worker", "a").code, 0)

    def test_a_full_file_is_refused(self):
        self.pool_of(10_000)
        self.assert_one_line_error(self.keygen("--worker", "one more", code=1), 1, "10000 workers", "the most")
        start = time.monotonic()
        self.keygen("--revoke", "node 5000")
        figure(f"a change of a file with 10,000 workers took {(time.monotonic() - start) * 1000:.0f} ms")


if __name__ == "__main__":
    unittest.main()

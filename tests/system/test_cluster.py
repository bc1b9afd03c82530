# SPDX-License-Identifier: MIT
# ctest: timeout 300
"""Real input over three workers, one of which is killed and one comes in the middle: as a plain loop would have it."""

import hashlib
import signal
import time
import unittest
from collections import Counter
from pathlib import Path

from workpool_testing import System, figure

TREE = "/usr/share/doc"


class Checksums(System):
    def test_every_file_under_usr_share_doc(self):
        paths = sorted(str(path) for path in Path(TREE).rglob("*") if path.is_file() and not path.is_symlink())
        self.assertGreaterEqual(len(paths), 500)
        self.jobs(*[{"cmd": ["sha256sum", "--", path], "id": path} for path in paths])
        began = time.monotonic()
        dispatcher = self.dispatcher("--worker-timeout", "2s")
        steady = self.worker("--slots", "2", "--name", "steady")
        doomed = self.worker("--slots", "2", "--name", "doomed")
        self.wait_results(len(paths) // 4)
        self.wait_status("work at the one to be killed",
                         lambda s: any(w["name"] == "doomed" and w["done"] > 0 for w in s["workers"]))
        doomed.send(signal.SIGKILL)
        self.assertEqual(doomed.wait(), -signal.SIGKILL)
        self.wait_results(len(paths) // 2)
        self.assertIsNone(dispatcher.poll())
        newcomer = self.worker("--slots", "2", "--name", "newcomer")
        self.assert_ends(dispatcher, 0, 200)
        took = time.monotonic() - began
        for worker in (steady, newcomer):
            self.assert_ends(worker, 0)
        self.assert_verified()
        found = {name: result["stdout"] for name, result in self.by_id().items()}
        # The plain loop. Where a name has a newline or a backslash, sha256sum says so with a leading backslash.
        expected = {}
        for path in paths:
            digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
            odd = any(c in path for c in "\\\n\r")
            shown = path.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r") if odd else path
            expected[path] = f"{chr(92) if odd else ''}{digest}  {shown}\n"
        self.assertEqual(found, expected)
        shares = Counter(result["worker"] for result in self.results())
        figure(f"{len(paths)} files in {took:.1f} s by {dict(shares)}")
        self.assertEqual(set(shares), {"steady", "doomed", "newcomer"})
        self.assertEqual({result["attempt"] for result in self.results()} - {1, 2}, set())


if __name__ == "__main__":
    unittest.main(verbosity=2)

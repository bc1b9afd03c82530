# SPDX-License-Identifier: MIT
"""What a worker finds out at its start: whom it may dial, whether it fits, what the system lacks."""

import os
import time
import unittest

from workpool_testing import WORKER, System

IS_ROOT = os.geteuid() == 0
FAST = ["--worker-timeout", "2s"]


class WorkerStart(System):
    def worker_in(self, preparation, *command):
        """A worker in a mount namespace of its own."""
        return self.start(["unshare", "--mount", "sh", "-c", f'{preparation} && exec "$@"', "sh", *command])

    def worker_with_hosts(self, hosts, *flags):
        own = self.folder / "hosts"
        own.write_text(hosts)
        return self.worker_in(f"mount --bind {own} /etc/hosts", WORKER, f"tcp://there:{self.port}", *flags)

    # Two documentation addresses (RFC 5737): nobody is there, and without --insecure nobody is asked.

    @unittest.skipUnless(IS_ROOT, "only root can give a worker a hosts file of its own")
    def test_a_name_that_leads_only_elsewhere(self):
        worker = self.worker_with_hosts("192.0.2.1 there\n192.0.2.2 there\n")
        self.assert_ends(worker, 78)
        self.assertIn("192.0.2.1", worker.err())
        self.assertIn("--insecure", worker.err())

    @unittest.skipUnless(IS_ROOT, "only root can give a worker a hosts file of its own")
    def test_a_name_that_leads_here_too_waits_for_it(self):
        worker = self.worker_with_hosts("192.0.2.1 there\n127.0.0.1 there\n")
        worker.says("Connection refused")
        self.jobs({"type": "noop", "id": "a"})
        dispatcher = self.dispatcher(*FAST)
        self.assert_ends(dispatcher, 0)
        self.assert_ends(worker, 0)

    @unittest.skipUnless(IS_ROOT, "only root can take /proc away from a worker")
    def test_without_proc(self):
        began = time.monotonic()
        worker = self.worker_in("mount -t tmpfs none /proc", WORKER, self.address)
        self.assert_ends(worker, 71)
        self.assertLess(time.monotonic() - began, 20)
        self.assertIn("CONFIG_PROC_CHILDREN", worker.err())
        self.assertIn("exit 71", worker.err())
        self.assertEqual(worker.err().count("\n"), 1, worker.err())

    def test_labels_that_do_not_fit(self):
        flags = [word for i in range(80) for word in ("--label", f"{i:060}")]
        worker = self.worker(*flags)
        self.assert_ends(worker, 2)
        self.assertIn("80 labels of 4800 bytes are too many", worker.err())

    def test_an_engine_that_dies_before_any_contact(self):
        worker = self.worker("--slots", "1")
        worker.says("waiting_for_dispatcher")
        os.kill(worker.engine(), 9)
        worker.says("engine_died")
        self.jobs({"type": "noop", "id": "a"})
        dispatcher = self.dispatcher(*FAST)
        self.assert_ends(dispatcher, 0)
        self.assert_ends(worker, 0)


if __name__ == "__main__":
    unittest.main()

# SPDX-License-Identifier: MIT
# ctest: timeout 300
"""Workers join and leave as they like, and each refusal has its exit code."""

import os
import signal
import socket
import subprocess
import threading
import time
import unittest
from collections import Counter

import zmq
import msgpack

import workpool_wire as wire
from workpool_testing import DISPATCHER, WORKER, System, figure, parse_results, wait_until

FAST = ["--worker-timeout", "2s"]


class Forwarder:
    """Passes the bytes of TCP connections to `here` on to `there`; closes a connection if nothing listens there."""

    def __init__(self, here, there):
        self.listener = socket.create_server(here)
        self.there = there
        self.accepted = 0
        self.thread = threading.Thread(target=self.accept, daemon=True)

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            try:
                far = socket.create_connection(self.there, timeout=10)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self.copy, args=(source, target), daemon=True).start()

    @staticmethod
    def copy(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


class Joining(System):
    def test_before_after_and_in_mid_run(self):
        names = [f"j{i}" for i in range(90)]
        self.jobs(*[self.witness_job(name, 0.1) for name in names])
        early = self.worker("--slots", "1", "--name", "early")
        early.engine()
        dispatcher = self.dispatcher(*FAST)
        after = self.worker("--slots", "1", "--name", "after")
        self.wait_results(10)
        joins = self.worker("--slots", "1", "--name", "joins")
        leaves = self.worker("--slots", "1", "--name", "leaves")
        self.wait_status("four workers at work", lambda s: sum(w["done"] > 0 for w in s["workers"]) == 4)
        leaves.send(signal.SIGTERM)
        self.assert_ends(leaves, 0)
        self.assertIsNone(dispatcher.poll())
        self.assert_ends(dispatcher, 0)
        for worker in (early, after, joins):
            self.assert_ends(worker, 0)
        self.assert_results({name: "ok" for name in names})
        self.assert_verified()
        self.assertEqual(set(self.witnessed("start").values()), {1})
        shares = Counter(result["worker"] for result in self.results())
        figure(f"90 jobs of 0.1 s went to {dict(shares)}")
        self.assertEqual(set(shares), {"early", "after", "joins", "leaves"})
        self.assertLess(max(shares.values()), 70)

    def test_names(self):
        self.jobs(*[self.witness_job(f"j{i}", 0.1) for i in range(60)])
        dispatcher = self.dispatcher(*FAST)
        first = self.worker("--slots", "1", "--name", "node")
        self.wait_workers("node")
        self.worker("--slots", "1", "--name", "node")
        self.wait_workers("node", "node-2")
        # A name means one worker for the whole run: that of one which left is not given again.
        first.send(signal.SIGTERM)
        self.assert_ends(first, 0)
        self.worker("--slots", "1", "--name", "node")
        self.wait_workers("node-2", "node-3")
        self.assert_ends(dispatcher, 0)

    def test_a_name_survives_its_engine(self):
        self.jobs(*[self.witness_job(f"j{i}", 0.1) for i in range(40)])
        dispatcher = self.dispatcher(*FAST)
        worker = self.worker("--slots", "1", "--name", "node")
        self.wait_results(2)
        os.kill(worker.engine(), signal.SIGKILL)
        self.assert_ends(dispatcher, 0)
        self.assert_ends(worker, 0)
        self.assertEqual({result["worker"] for result in self.results()}, {"node"})

    def test_results_on_stdout(self):
        self.jobs(*[{"type": "echo", "args": i, "id": f"e{i}"} for i in range(50)])
        self.results_path = "-"
        dispatcher = self.dispatcher()
        self.worker("--slots", "2")
        self.assert_ends(dispatcher, 0)
        found = parse_results(dispatcher.out())
        self.assertEqual({r["id"]: r["value"] for r in found}, {f"e{i}": i for i in range(50)})

    def test_large_results(self):
        # Values and outputs that travel in parts, next to a small one.
        big = "x" * 900_000
        self.jobs({"type": "echo", "args": big, "id": "big"}, {"type": "echo", "args": 1, "id": "small"},
                  {"cmd": ["head", "-c", "300000", "/dev/zero"], "id": "binary"})
        dispatcher = self.dispatcher(*FAST, "--capture", "256KiB")
        worker = self.worker("--slots", "3")
        self.assert_ends(dispatcher, 0)
        self.assert_ends(worker, 0)
        found = self.by_id()
        self.assertEqual(found["big"]["value"], big)
        self.assertEqual(found["binary"]["truncated"], 300000 - 256 * 1024)


class Addresses(System):
    insecure = True

    def one_run(self, worker_address, *flags):
        self.jobs(*[self.witness_job(f"j{i}") for i in range(5)])
        dispatcher = self.dispatcher(*FAST, *flags)
        worker = self.worker("--slots", "1", address=worker_address)
        self.assert_ends(dispatcher, 0)
        self.assert_ends(worker, 0)
        self.assert_results({f"j{i}": "ok" for i in range(5)})

    def test_ipv6(self):
        self.host = "::1"
        self.one_run(self.address)

    def test_localhost_by_its_ipv4_address(self):
        # If localhost is ::1 and 127.0.0.1, nothing listens on the first.
        self.one_run(f"tcp://localhost:{self.port}")

    def worker_with_hosts(self, hosts, name):
        """A worker that finds `name` in a hosts file of its own, which may still be changed."""
        own = self.folder / "hosts"
        own.write_text(hosts)
        return self.start(["unshare", "--mount", "sh", "-c", 'mount --bind "$1" /etc/hosts && shift && exec "$@"', "sh", own,
                           WORKER, f"tcp://{name}:{self.port}", "--slots", "1"])

    @unittest.skipUnless(os.geteuid() == 0, "only root can give a worker a hosts file of its own")
    def test_a_name_with_two_addresses(self):
        for self.host in ("127.0.0.1", "::1"):
            with self.subTest(self.host):
                self.jobs(*[self.witness_job(f"j{i}") for i in range(5)])
                dispatcher = self.dispatcher(*FAST, "--overwrite")
                began = time.monotonic()
                worker = self.worker_with_hosts("::1 both\n127.0.0.1 both\n", "both")
                self.assert_ends(worker, 0)
                self.assert_ends(dispatcher, 0)
                figure(f"a name with two addresses, listening on {self.host}: done after {time.monotonic() - began:.1f} s")

    @unittest.skipUnless(os.geteuid() == 0, "only root can give a worker a hosts file of its own")
    def test_a_name_that_resolves_late(self):
        self.jobs(self.witness_job("a"))
        dispatcher = self.dispatcher(*FAST)
        worker = self.worker_with_hosts("127.0.0.1 localhost\n", "late.invalid")
        worker.says("late.invalid")
        (self.folder / "hosts").write_text("127.0.0.1 localhost late.invalid\n")
        self.assert_ends(dispatcher, 0)
        self.assert_ends(worker, 0)

    def test_any_address(self):
        own = subprocess.run(["hostname", "-I"], capture_output=True, text=True).stdout.split()
        self.host = "0.0.0.0"
        self.jobs(*[self.witness_job(f"j{i}") for i in range(5)])
        dispatcher = self.dispatcher()
        dispatcher.says("open to everyone")
        address = f"tcp://{own[0] if own else '127.0.0.2'}:{self.port}"
        self.assert_ends(self.start([WORKER, address]), 78)
        worker = self.worker(address=address)
        self.assert_ends(dispatcher, 0)
        self.assert_ends(worker, 0)

    def test_ports(self):
        low = self.port + 1
        self.jobs(*[self.witness_job(f"j{i}", 0.3) for i in range(12)])
        dispatcher = self.dispatcher(*FAST, "--ports", f"{low}-{low + 2}")
        workers = [self.worker("--slots", "1", "--name", f"w{i}", "--log-level", "debug") for i in range(2)]
        self.wait_workers("w0", "w1")
        self.assertEqual(wire.listening_ports(dispatcher.pid), {self.port, low, low + 1, low + 2})
        # None is left for a third: it is refused for now, and comes when one leaves.
        third = self.worker("--slots", "1", "--name", "w2")
        self.wait_status("the lack of ports", lambda status: "--ports" in status["waiting_for"])
        self.assertIn("no port is left for worker w2", dispatcher.err())
        workers[0].send(signal.SIGTERM)
        self.wait_workers("w1", "w2")
        self.assert_ends(dispatcher, 0)
        self.assert_ends(third, 0)

    def test_port_in_use(self):
        with socket.create_server(("127.0.0.1", self.port)):
            self.jobs(self.witness_job("a"))
            dispatcher = self.dispatcher()
            self.assert_ends(dispatcher, 71)
            self.assertIn(str(self.port), dispatcher.err())


class Refusals(System):
    insecure = True

    def answer_worker(self, answer, *flags):
        """A dispatcher that is not one answers the first HELLO of a worker."""
        with wire.Sockets() as sockets:
            router = sockets.listen(zmq.ROUTER, self.address)
            worker = self.worker("--slots", "1", *flags)
            peer, frame = router.recv_multipart()
            self.assertEqual(msgpack.unpackb(frame)[:5], [wire.HELLO, 0, 0, 0, wire.PROTOCOL])
            router.send_multipart([peer, answer])
            if flags:
                return worker, router.recv_multipart()
            worker.wait()
        return worker, None

    def test_another_protocol_in_welcome(self):
        worker, _ = self.answer_worker(wire.welcome(protocol=99))
        self.assert_ends(worker, 76)
        self.assertIn("protocol 99", worker.err())

    def test_refused_for_the_protocol(self):
        worker, _ = self.answer_worker(wire.refused(76, "speak 99", protocol=99))
        self.assert_ends(worker, 76)
        self.assertIn("speak 99", worker.err())

    def test_refused_for_another_reason(self):
        worker, _ = self.answer_worker(wire.refused(77, "no room for you"))
        self.assert_ends(worker, 77)
        self.assertIn("no room for you", worker.err())

    def test_refused_since_the_run_is_complete(self):
        worker, _ = self.answer_worker(wire.refused(0, "the run is complete"))
        self.assert_ends(worker, 0)

    def test_refused_for_now_tries_on(self):
        worker, again = self.answer_worker(wire.refused(1, "later"), "--log-level", "debug")
        self.assertGreater(msgpack.unpackb(again[1])[8], 1)      # a higher try number
        self.assertIsNone(worker.poll())

    def test_a_worker_of_another_protocol(self):
        self.jobs(self.witness_job("a"))
        dispatcher = self.dispatcher()
        with wire.Sockets() as sockets:
            answer = sockets.register(self.address, protocol=99)
            self.assertEqual((answer[0], answer[4], answer[5]), (wire.REFUSED, wire.PROTOCOL, 76))
            self.assertIn("99", answer[6])
        self.assertEqual(self.status()["workers"], [])
        self.assertIsNone(dispatcher.poll())

    def test_the_wrong_port(self):
        # A server that says nothing, one that closes, and one that speaks HTTP: named, and waited for.
        servers = {"closes": lambda connection: connection.close(),
                   "speaks": lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
                   "is silent": lambda connection: None}
        workers = {}
        listeners = {}
        connections = []
        for what in servers:
            listeners[what] = socket.create_server((self.host, 0))
            listeners[what].setblocking(False)
            connections.append(listeners[what])
            workers[what] = self.worker("--orphan-grace", "7s", address=f"tcp://127.0.0.1:{listeners[what].getsockname()[1]}")

        def serve():
            for what, listener in listeners.items():
                try:
                    connections.append(listener.accept()[0])
                    servers[what](connections[-1])
                except OSError:
                    pass
            return all(worker.poll() is not None for worker in workers.values())
        wait_until("the workers to leave", serve)
        for connection in connections:
            connection.close()
        for what, worker in workers.items():
            with self.subTest(what):
                self.assert_ends(worker, 69)
                said = {"closes": "closed without an answer", "speaks": "not a workpool dispatcher", "is silent": "is it a dispatcher?"}
                self.assertIn(said[what], worker.err())

    def test_only_the_registration_port_is_forwarded(self):
        # As by a tunnel or a firewall that knows of one port only: said on both sides, and nobody has joined.
        self.jobs({"type": "noop", "id": "a"})
        # With the default timeout: then the worker itself gives up its session first.
        dispatcher = self.dispatcher()
        dispatcher.says("to start a worker")
        with Forwarder(("127.0.0.2", self.port), (self.host, self.port)):
            worker = self.worker("--name", "far", address=f"tcp://127.0.0.2:{self.port}")
            worker.says("for results is out of reach from here")
            dispatcher.says("worker far has registered but did not connect for its jobs")
        self.assertNotIn("joined", worker.err() + dispatcher.err())
        self.assertNotIn("is lost", dispatcher.err())
        near = self.worker("--name", "near")
        self.assert_ends(dispatcher, 0)
        self.assert_ends(near, 0)
        self.assertIn("worker near joined", dispatcher.err())

    def test_a_forwarder_with_nobody_behind_it(self):
        # It accepts and closes, as a tunnel does while the dispatcher is down: tried again at once.
        with Forwarder(("127.0.0.2", self.port), (self.host, self.port)) as forwarder:
            worker = self.worker("--orphan-grace", "3s", address=f"tcp://127.0.0.2:{self.port}")
            self.assert_ends(worker, 69)
            self.assertIn("closed without an answer", worker.err())
            figure(f"{forwarder.accepted} tries in 3 s")
            self.assertGreater(forwarder.accepted, 3)
            asked = time.monotonic()
            status = subprocess.run([DISPATCHER, "status", f"tcp://127.0.0.2:{self.port}"], capture_output=True, text=True)
            figure(f"status said so in {time.monotonic() - asked:.2f} s")
            self.assertEqual(status.returncode, 1)
            self.assertIn("closed without an answer", status.stderr)

    def test_a_name_that_does_not_resolve_is_waited_for(self):
        worker = self.worker("--orphan-grace", "1s", address="tcp://no-such-host.invalid:5555")
        self.assert_ends(worker, 69)
        self.assertIn("no-such-host.invalid", worker.err())


if __name__ == "__main__":
    unittest.main(verbosity=2)

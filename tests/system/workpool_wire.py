# SPDX-License-Identifier: MIT
"""Workers and dispatchers that are not: the messages of docs/protocol.md over plain sockets, for the tests."""

import os
import random
import socket
import unittest

import msgpack
import zmq

PROTOCOL = 1
HELLO, STATUS, WELCOME, REFUSED, STATUS_REPLY, PART = 1, 2, 3, 4, 5, 6
DIED, HELD, RESULTS, RETURNED, READY, BEAT, GOODBYE = 10, 11, 12, 13, 14, 15, 16
JOBS, CANCEL, RECALL, LANE_BEAT, STOP, END = 20, 21, 22, 23, 24, 25


def hello(protocol=PROTOCOL, name="raw", slots=1, engine=1, try_number=1, worker=None):
    worker = worker or random.getrandbits(64) | 1
    return msgpack.packb([HELLO, 0, 0, 0, protocol, "0.0.0", worker, engine, try_number, name, slots, ["noop"], []])


def welcome(protocol=PROTOCOL, run=7, session=9, name="raw", lane=1, sink=1, timeout_s=2):
    return msgpack.packb([WELCOME, 0, 0, 0, protocol, run, session, name, lane, sink, timeout_s * 1_000_000, 1 << 20, 65536])


def refused(code, reason="because", protocol=PROTOCOL):
    return msgpack.packb([REFUSED, 0, 0, 0, protocol, code, reason])


class Sockets:
    """A ZeroMQ context whose sockets wait for nothing when they are closed; use it with `with`."""

    def __enter__(self):
        self.context = zmq.Context()
        self.sockets = []
        return self

    def make(self, kind, linger=0):
        """Lives as long as the context, whoever forgets it."""
        made = self.context.socket(kind)
        self.sockets.append(made)
        made.linger = linger
        made.rcvtimeo = made.sndtimeo = 20_000
        return made

    def __exit__(self, *error):
        self.context.destroy(linger=0)

    def dial(self, kind, address):
        socket_made = self.make(kind)
        socket_made.connect(address)
        return socket_made

    def listen(self, kind, address):
        socket_made = self.make(kind, 1000)
        socket_made.bind(address)
        return socket_made

    def register(self, address, **fields):
        """The answer to a HELLO as a list."""
        dealer = self.dial(zmq.DEALER, address)
        dealer.send(hello(**fields))
        answer = msgpack.unpackb(dealer.recv())
        dealer.close()
        return answer


def listening_ports(pid):
    """TCP ports that the process listens on, by its descriptors."""
    inodes = set()
    try:
        entries = os.listdir(f"/proc/{pid}/fd")
    except PermissionError:
        raise unittest.SkipTest("a dispatcher shows its descriptors to root only") from None
    for entry in entries:
        try:
            target = os.readlink(f"/proc/{pid}/fd/{entry}")
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    ports = set()
    for table in ("tcp", "tcp6"):
        with open(f"/proc/{pid}/net/{table}") as lines:
            for line in list(lines)[1:]:
                fields = line.split()
                if fields[3] == "0A" and fields[9] in inodes:
                    ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports


def send_bytes(port, data, host="127.0.0.1"):
    """Over plain TCP; what the other side does with the connection is its business."""
    with socket.create_connection((host, port), timeout=10) as connection:
        connection.settimeout(0.05)
        try:
            connection.sendall(data)
            connection.recv(64)
        except OSError:
            pass

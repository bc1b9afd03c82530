#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout 900
"""A scraper of many hosts, so many pages at a time and so many a second for each: the log of the server never shows more.

SCRAPER_PAGES is how many pages of each of the 1,000 hosts are fetched, by default 100.
"""

import os
import random
import re
import shutil
import tempfile
import time
import unittest
from pathlib import Path

from media_testing import MediaWorker
from spans_testing import most_at_once, most_within
from workpool_testing import figure, free_port

HOSTS = 1000
PAGES = int(os.environ.get("SCRAPER_PAGES", 100))
# A worker makes 25 transfers on each of its two threads: with no more slots none of them waits in the program.
WORKERS, SLOTS = 4, 25
# Two begins that are this far apart in the log may have been a whole second apart: each is cut to milliseconds, and the clock of
# the server may be adjusted by half a millisecond in a second.
WITHIN_MS = 1000 - 1
AT_ONCE, PER_SECOND = 2, 5
# The server sends so many bytes and then the rest, so a page takes 400 / pace seconds.
FIRST_BYTES = 400
PACES = {"[0-3]": 16_000, "[4-7]": 10_000, "[89]": 7_000}
BODY = "x" * 500


def host_of(number):
    return f"127.0.{1 + number // 250}.{1 + number % 250}"


def seconds_of(page):
    """What the server takes for it at least."""
    return next(FIRST_BYTES / pace for digits, pace in PACES.items() if re.fullmatch(digits, str(page)[-1]))


def milliseconds(text):
    seconds, rest = text.split(".")
    return int(seconds) * 1000 + int(rest)


def pages_of(log):
    """{host: {page: (begin, end)}} in milliseconds, of lines "host /page end duration". No page may be there twice.

    The server notes when a request has come and when its answer has gone, both by the time at which it last looked for events. So
    a page that was asked for because another one had ended never seems to begin before that end.
    """
    pages = {}
    for line in log.splitlines():
        host, page, end, duration = line.split()
        of_host = pages.setdefault(host, {})
        assert page not in of_host, f"{host}{page} was fetched twice"
        of_host[page] = (milliseconds(end) - milliseconds(duration), milliseconds(end))
    return pages


def worst(pages):
    """The most pages of a host that were open at once, and that began within a second."""
    spans = [list(of_host.values()) for of_host in pages.values()]
    return (max(most_at_once(of_host) for of_host in spans),
            max(most_within([begin for begin, _ in of_host], WITHIN_MS) for of_host in spans))


def shares(spans, slots, parts=10):
    """How much of the slots had a page open at the server, in each of so many parts of the time."""
    first, last = min(begin for begin, _ in spans), max(end for _, end in spans)
    length = (last - first) / parts
    open_for = [0.0] * parts
    for begin, end in spans:
        for part in range(int((begin - first) / length), min(parts - 1, int((end - first) / length)) + 1):
            since = first + part * length
            open_for[part] += max(0, min(end, since + length) - max(begin, since))
    return [time_open / (length * slots) for time_open in open_for]


class Usage:
    """Processor time and peak memory of a process, as last seen."""

    def __init__(self, pid):
        self.pid, self.processor, self.peak_mib = pid, 0.0, 0.0

    def look(self):
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
            status = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return
        self.processor = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        if peak := re.search(r"VmHWM:\s*(\d+)", status):
            self.peak_mib = int(peak[1]) / 1024


class Scraper(MediaWorker):
    def setUp(self):
        super().setUp()
        # In memory: a disk may take minutes to delete so many files.
        self.out = Path(tempfile.mkdtemp(prefix="workpool-scraper-", dir="/dev/shm"))
        self.addCleanup(shutil.rmtree, self.out)

    def serve(self, hosts):
        port = free_port()
        listens = "".join(f"    listen {host_of(number)}:{port};\n" for number in range(hosts))
        paces = "".join(f'    "~{digits}$" {pace};\n' for digits, pace in PACES.items())
        self.start_nginx(port, "$server_addr $uri $msec $request_time", f"""
  map $uri $pace {{
{paces}  }}
  server {{
{listens}    sendfile_max_chunk {FIRST_BYTES};
    limit_rate $pace;
    location / {{ return 200 "{BODY}"; }}
  }}""", host=host_of(0))
        return port

    def scrape(self, hosts, pages, rule, limit):
        """What the server's log has of so many pages of each of so many hosts, fetched in any order."""
        port, seed = self.serve(hosts), random.randrange(1_000_000)
        jobs = [{"type": "fetch", "id": f"{host_of(host)}/{page}", "limit": f"host:{host_of(host)}",
                 "args": {"url": f"http://{host_of(host)}:{port}/{page}", "target": f"{self.out}/{host}", "max_bytes": len(BODY)}}
                for host in range(hosts) for page in range(pages)]
        random.Random(seed).shuffle(jobs)
        self.jobs({"limits": {"host:*": rule}}, *jobs)
        for _ in range(WORKERS):
            self.start([self.program, self.address, "--slots", SLOTS, "--log-level", "error"])
        began = time.monotonic()
        self.ran = self.dispatcher("--local", "0")
        self.usage = Usage(self.ran.pid)
        while self.ran.poll() is None and time.monotonic() < began + limit:
            self.usage.look()
            time.sleep(0.25)
        self.assert_ends(self.ran, 0, limit=1)
        self.took = time.monotonic() - began
        self.assert_verified()
        self.assertEqual({result["value"]["bytes"] for result in self.by_id().values()}, {len(BODY)})
        log = (self.folder / "access.log").read_text()
        found = pages_of(log)
        self.assertEqual({host: len(of_host) for host, of_host in found.items()}, {host_of(host): pages for host in range(hosts)},
                         f"the jobs were shuffled with {seed}")
        return found

    def test_the_log_never_shows_more(self):
        found = self.scrape(HOSTS, PAGES, f"{AT_ONCE},{PER_SECOND}/s", limit=800)
        at_once, within = worst(found)
        spans = [span for of_host in found.values() for span in of_host.values()]
        figure(f"{len(spans)} pages of {HOSTS} hosts: at most {at_once} of a host at once ({AT_ONCE} allowed), {within} begun within a second ({PER_SECOND})")
        self.tell(spans)
        # Equal: of a run that never comes to its limits the log would say nothing.
        self.assertEqual((at_once, within), (AT_ONCE, PER_SECOND))

    def tell(self, spans):
        """How fast it was and how busy its slots, next to what nobody can be faster than. Asserted is nothing of it."""
        first, last = min(begin for begin, _ in spans), max(end for _, end in spans)
        took = (last - first) / 1000
        of_slots = HOSTS * sum(map(seconds_of, range(PAGES))) / (WORKERS * SLOTS)
        of_rate = (PAGES - PER_SECOND) / PER_SECOND
        figure(f"from the first to the last page {took:.1f} s, {len(spans) / took:.0f}/s, with the start {self.took:.1f} s; the pages need {of_slots:.1f} s of all slots at least, "
               f"the rate {of_rate:.1f} s: {took / max(of_slots, of_rate):.2f} times the larger")
        busy = re.search(r"slots (\d+)% busy", self.ran.err())
        figure(f"slots {busy[1] if busy else '?'} % busy by the dispatcher; with a page open, in each tenth of the time: "
               + " ".join(f"{share:.0%}" for share in shares(spans, WORKERS * SLOTS)))
        figure(f"dispatcher: {self.usage.processor / len(spans) * 1e6:.0f} us of processor time a page, {self.usage.peak_mib:.0f} MiB at the most; load {os.getloadavg()[0]:.1f}")

    def test_one_more_is_seen(self):
        """What the other test would say if the dispatcher let one more through."""
        at_once, within = worst(self.scrape(10, 40, f"{AT_ONCE + 1},{PER_SECOND + 1}/s", limit=120))
        self.assertEqual((at_once, within), (AT_ONCE + 1, PER_SECOND + 1))


class Counting(unittest.TestCase):
    """To the millisecond."""

    @staticmethod
    def log_of(*spans):
        return worst(pages_of("".join(f"h /{page} 1.{end:03} 0.{end - begin:03}\n" if end < 1000 else
                                      f"h /{page} {1 + end // 1000}.{end % 1000:03} 0.{end - begin:03}\n"
                                      for page, (begin, end) in enumerate(spans))))

    def test_at_once(self):
        self.assertEqual(self.log_of((0, 20), (5, 30), (20, 40), (30, 50))[0], 2)
        self.assertEqual(self.log_of((0, 20), (5, 30), (19, 40))[0], 3)

    def test_within_a_second(self):
        five = [(number, number + 1) for number in range(5)]
        self.assertEqual(self.log_of(*five, (999, 1010))[1], 5)
        self.assertEqual(self.log_of(*five, (998, 1010))[1], 6)

    def test_twice(self):
        with self.assertRaises(AssertionError):
            pages_of("h /1 1.000 0.001\nh /1 2.000 0.001\n")


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout 600
"""examples/media-worker, built against the install tree: photographs of all kinds, and pages of a server of its own."""

import hashlib
import http.server
import json
import os
import random
import socket
import threading
import time
import unittest
from pathlib import Path

from library_testing import call
from media_testing import MediaWorker
from workpool_testing import LIMIT, SOURCE, engines_of, figure, free_port

PHOTOS = sorted(Path("/usr/share/backgrounds/mate/nature").glob("*.jpg"))[:4]
PICTURES = 210
PAGES = 5_000
BOX = (120, 90)
# libvips' numbers of its formats: unsigned bytes.
UCHAR = 0


def threads_of(pid):
    """0 if it is gone."""
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return 0


class Thumbnails(MediaWorker):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.tool = cls.root / "pictures"
        flags = call("pkg-config", "--cflags", "--libs", "vips").split()
        call("g++", "-std=c++20", "-O1", "-Wall", "-Wextra", "-Werror", "-o", cls.tool,
             SOURCE / "tests" / "system" / "pictures.cpp", *flags)
        cls.folder_of_pictures = cls.root / "photos"
        cls.folder_of_pictures.mkdir()
        made = call(cls.tool, "make", cls.folder_of_pictures, PICTURES, *PHOTOS)
        cls.pictures = {line["name"]: line for line in map(json.loads, made.splitlines())}

    def measured(self, paths):
        said = call(self.tool, "measure", *paths).splitlines()
        return [json.loads(line) for line in said if line.startswith("{")]

    def order(self, name, target=None, **more):
        return {"source": str(self.folder_of_pictures / name), "target": str(self.out / (target or name + ".jpg")),
                "width": BOX[0], "height": BOX[1], **more}

    def broken_pictures(self):
        """Files that are none, or not all of one, with the words of libvips."""
        folder = self.folder_of_pictures
        jpeg = (folder / "jpeg [0].jpg").read_bytes()
        png = (folder / "png [2].png").read_bytes()
        webp = (folder / "webp [7].webp").read_bytes()
        kinds = {"cut.jpg": (jpeg[:len(jpeg) // 2], "Premature end"), "cut.png": (png[:len(png) // 2], "png"),
                 "cut.webp": (webp[:len(webp) // 2], "[wW]eb[pP]"), "text.jpg": (b"no picture", "not a known file format"),
                 "empty.png": (b"", "not a known file format"), "head.jpg": (jpeg[:20], "[jJ]peg|JPEG"),
                 "noise.png": (png[:60] + bytes(1000), "png")}
        for name, (content, _) in kinds.items():
            (folder / name).write_bytes(content)
        return {name: words for name, (_, words) in kinds.items()}

    def test_photographs(self):
        endings = {"gif": ".gif", "moving": ".webp", "alpha": ".png"}
        self.assertGreaterEqual(len(self.pictures), 200)
        orders = {name: self.order(name, Path(name).stem + endings.get(picture["kind"], ".jpg"))
                  for name, picture in self.pictures.items()}
        broken = self.broken_pictures()
        orders |= {name: self.order(name, f"bad-{name}") for name in broken}
        orders["none"] = self.order("not there.jpg")
        results = self.media("thumbnail", orders, code=1)
        names = list(self.pictures)
        for name, found in zip(names, self.measured([orders[name]["target"] for name in names])):
            picture, value = self.pictures[name], results[name]["value"]
            scale = min(1, BOX[0] / picture["width"], BOX[1] / picture["height"])
            for side in ("width", "height"):
                self.assertAlmostEqual(found[side], picture[side] * scale, delta=1.01, msg=f"{name}: {found}")
                self.assertEqual(found[side], value[side], name)
            self.assertEqual((found["format"], found["orientation"]), (UCHAR, 1), name)
            self.assertEqual(found["frames"], 3 if picture["kind"] in ("gif", "moving") else 1, name)
            self.assertEqual(found["frames"], value.get("frames", 1), name)
            self.assertEqual(value["bytes"], os.path.getsize(orders[name]["target"]))
            if picture["kind"] != "grey":
                red, green, blue = found["corner"][:3]
                self.assertTrue(red > 190 and green < 90 and blue < 90, f"{name}: the red corner is not there: {found}")
        for name, words in broken.items():
            self.assert_fails(results[name], words)
            self.assertEqual(results[name]["error"]["message"].count(str(self.folder_of_pictures)), 1,
                             "the reason is about one picture, its own")
        self.assert_fails(results["none"], r"not there\.jpg: No such file or directory$")
        self.assertEqual(len(list(self.out.iterdir())), len(self.pictures))

    def test_fits_and_mistakes(self):
        name = "jpeg [0].jpg"  # 160 by 120
        good = {"contain": {"fit": "contain", "width": 100, "height": 100}, "cover": {"fit": "cover", "width": 50, "height": 60},
                "fill": {"fit": "fill", "width": 70, "height": 20}, "larger": {"width": 1000, "height": 1000}}
        orders = {key: self.order(name, key + ".png", **more) for key, more in good.items()}
        for quality in (10, 95):
            orders[f"q{quality}"] = self.order(name, f"q{quality}.jpg", quality=quality)
        wrong = {"fit": ({"fit": "odd"}, '"fit" must be "contain", "cover" or "fill"'),
                 "quality": ({"quality": 0}, '"quality" must be from 1 to 100'),
                 "width": ({"width": "a"}, '"width" must be an integer'), "zero": ({"width": 0}, '"width" must be from 1'),
                 "more": ({"size": 1}, 'unknown member "size"'), "ending": ({"target": "x.bmp"}, "must end in .jpg"),
                 "folder": ({"target": "/no/such/folder/x.jpg"}, "^/no/such/folder/x.jpg: No such file")}
        orders |= {key: self.order(name, **{**more, "target": None}) | more for key, (more, _) in wrong.items()}
        # A name that ends as options of libvips do.
        odd = self.folder_of_pictures / "photo[page=7]"
        odd.write_bytes((self.folder_of_pictures / name).read_bytes())
        orders["brackets"] = self.order(odd.name, "brackets[strip].jpg")
        results = self.media("thumbnail", orders, code=1)
        for key in (*good, "brackets"):
            self.assertEqual(results[key]["status"], "ok", results[key])
        size = {key: (results[key]["value"]["width"], results[key]["value"]["height"]) for key in [*good, "brackets"]}
        self.assertEqual(size, {"contain": (100, 75), "cover": (50, 60), "fill": (70, 20), "larger": (160, 120),
                                "brackets": (120, 90)})
        self.assertLess(results["q10"]["value"]["bytes"], results["q95"]["value"]["bytes"])
        for key, (_, words) in wrong.items():
            self.assert_fails(results[key], words)

    def test_a_huge_picture_many_slots_and_a_timeout(self):
        huge = self.folder_of_pictures / "huge.jpg"
        call("vips", "replicate", self.folder_of_pictures / "jpeg [13].jpg", huge, 25, 20)
        orders = {f"huge{number}": self.order(huge.name, f"{number}.png", width=2000, height=2000) for number in range(6)}
        most = [0]

        def watch():
            while not stop.wait(0.01):
                for engine in engines_of(self.worker_program.pid) if self.worker_program else ():
                    most[0] = max(most[0], threads_of(engine))
        stop = threading.Event()
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            results = self.media("thumbnail", orders, slots=32)
        finally:
            stop.set()
            watcher.join()
        self.assertEqual({result["status"] for result in results.values()}, {"ok"})
        cores = os.cpu_count()
        figure(f"6 huge pictures on 32 slots: {most[0]} threads, {cores} cores")
        # At most one picture for each core, and each on a thread or two of libvips.
        self.assertLess(most[0], 6 + 4 * max(2, cores) + 20)
        self.results_path.unlink()
        results = self.media("thumbnail", {"late": orders["huge0"]}, self.until_no_parts(), code=1, timeout="20ms", retries=0)
        self.assertEqual((results["late"]["status"], results["tidy"]["status"]), ("timeout", "ok"))


class Server(http.server.BaseHTTPRequestHandler):
    """What nginx does not do."""
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/silent":
            self.server.quiet.wait(LIMIT)
        elif self.path == "/endless":
            self.send_response(200)
            self.end_headers()
            self.close_connection = True
            try:
                while not self.server.quiet.wait(0.001):
                    self.wfile.write(bytes(1000))
            except OSError:
                pass
        elif self.path == "/half":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(bytes(500))
            self.close_connection = True
        else:
            text = json.dumps(dict(self.headers)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(text)

    def log_message(self, *_):
        pass


class Fetches(MediaWorker):
    def setUp(self):
        super().setUp()
        self.www = self.folder / "www"
        self.www.mkdir()
        self.start_servers()
        self.odd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
        self.odd.quiet = threading.Event()
        self.odd.daemon_threads = True
        threading.Thread(target=self.odd.serve_forever, daemon=True).start()
        self.odd_base = f"http://127.0.0.1:{self.odd.server_port}"
        self.addCleanup(self.odd.server_close)
        self.addCleanup(self.odd.shutdown)
        self.addCleanup(self.odd.quiet.set)

    def start_servers(self):
        plain, tls = free_port(), free_port()
        call("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
             "-keyout", self.folder / "key.pem", "-out", self.folder / "cert.pem")
        self.start_nginx(plain, "$connection $status", f"""
  root {self.www};
  server {{
    listen 127.0.0.1:{plain};
    location = /moved {{ return 302 /p/1; }}
    location = /circle {{ return 302 /circle; }}
    location = /broken {{ return 500; }}
    location = /count {{ stub_status; }}
  }}
  server {{
    listen 127.0.0.1:{tls} ssl;
    ssl_certificate cert.pem; ssl_certificate_key key.pem;
  }}""")
        self.base, self.tls_base = f"http://127.0.0.1:{plain}", f"https://127.0.0.1:{tls}"

    def order(self, url, name, **more):
        return {"url": url if "://" in url else self.base + url, "target": str(self.out / name), **more}

    def test_pages(self):
        (self.www / "p").mkdir()
        for number in range(PAGES):
            (self.www / "p" / str(number)).write_text(f"page {number}\n" * (1 + number % 50))
        large = random.Random(1).randbytes(30 << 20)
        (self.www / "large").write_bytes(large)
        orders = {str(number): self.order(f"/p/{number}", str(number)) for number in range(PAGES)}
        orders["large"] = self.order("/large", "large", max_bytes=30 << 20)
        results = self.media("fetch", orders, slots=50)
        for number in range(PAGES):
            text = f"page {number}\n" * (1 + number % 50)
            self.assertEqual((self.out / str(number)).read_text(), text)
            self.assertEqual(results[str(number)]["value"], {"status": 200, "bytes": len(text), "content_type": "text/plain",
                                                             "url": f"{self.base}/p/{number}"})
        self.assertEqual(hashlib.sha256((self.out / "large").read_bytes()).digest(), hashlib.sha256(large).digest())
        log = [line.split() for line in (self.folder / "access.log").read_text().splitlines()]
        self.assertEqual(len(log), PAGES + 1)
        connections = len({connection for connection, _ in log})
        figure(f"{PAGES} pages and one of 30 MB over {connections} connections: {self.rate:.0f} a second")
        # 50 at once. Some more, since the two threads do not share what they keep.
        self.assertLessEqual(connections, 100)

    def test_how_it_fails(self):
        (self.www / "p").mkdir()
        (self.www / "p" / "1").write_text("one\n")
        (self.www / "bytes").write_bytes(bytes(1000))
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            dead = closed.getsockname()[1]
            orders = {
                "dns": self.order("http://no-such-host.invalid/", "dns"),
                "connect": self.order(f"http://127.0.0.1:{dead}/", "connect"),
                "tls": self.order(self.tls_base + "/", "tls"),
                "tls to plain": self.order(self.base.replace("http:", "https:") + "/", "tls2"),
                "timeout": self.order(self.odd_base + "/silent", "silent", silence=1),
                "status 404": self.order("/missing", "404"),
                "status 500": self.order("/broken", "500"),
                "size": self.order("/bytes", "bytes", max_bytes=999),
                "size of what has none": self.order(self.odd_base + "/endless", "endless", max_bytes=5000),
                "transfer: half": self.order(self.odd_base + "/half", "half"),
                "transfer: circle": self.order("/circle", "circle"),
                "transfer: file": self.order("file:///etc/hostname", "file"),
                "folder": self.order("/bytes", "no/such/folder"),
                "max_bytes": self.order("/bytes", "x", max_bytes=0),
                "headers": self.order("/bytes", "x", headers={"A": 1}),
                "injected": self.order("/bytes", "x", headers={"A": "b\r\nC: d"}),
                "followed": self.order("/moved", "followed"),
                "not followed": self.order("/moved", "not followed", follow=False),
                "exactly": self.order("/bytes", "exactly", max_bytes=1000),
                "with headers": self.order(self.odd_base + "/", "headers", headers={"X-Own": "yes", "User-Agent": "mine"}),
            }
            results = self.media("fetch", orders, slots=20, code=1)
        good = ("followed", "not followed", "exactly", "with headers")
        self.assertEqual({name for name, result in results.items() if result["status"] == "ok"}, set(good))
        self.assertEqual((self.out / "followed").read_text(), "one\n")
        self.assertEqual(results["followed"]["value"]["url"], self.base + "/p/1")
        self.assertEqual(results["not followed"]["value"]["status"], 302)
        self.assertEqual(results["exactly"]["value"]["bytes"], 1000)
        sent = json.loads((self.out / "headers").read_text())
        self.assertEqual((sent["X-Own"], sent["User-Agent"]), ("yes", "mine"))
        for name, result in results.items():
            word = name.split()[0].rstrip(":")
            if word in ("dns", "connect", "tls", "timeout", "status", "size", "transfer"):
                self.assert_fails(result, rf"^{word}: ")
        self.assert_fails(results["status 404"], "^status: 404$")
        self.assert_fails(results["folder"], "folder: No such file or directory")
        self.assert_fails(results["max_bytes"], '"max_bytes" must be at least 1')
        self.assert_fails(results["headers"], '"headers" must be an object of which each member is a string')
        self.assert_fails(results["injected"], "line breaks")
        self.assertEqual(sorted(path.name for path in self.out.iterdir()), sorted(("followed", "not followed", "exactly", "headers")))

    def test_a_stop_ends_a_transfer(self):
        orders = {f"endless{number}": self.order(self.odd_base + "/endless", f"e{number}") for number in range(60)}
        began = time.monotonic()
        results = self.media("fetch", orders, self.until_no_parts(), slots=61, code=1, timeout="1s", retries=0)
        self.assertEqual(results.pop("tidy")["status"], "ok")
        self.assertEqual({result["status"] for result in results.values()}, {"timeout"})
        self.assertLess(time.monotonic() - began, LIMIT)
        self.assertNotIn("restarts", self.worker_program.err(), "no slot was lost")


if __name__ == "__main__":
    unittest.main()

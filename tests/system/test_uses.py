#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout 300
"""The classic uses, on a few dozen real inputs each, with the very examples that people start from."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cli_testing import DISPATCHER, SOURCE, CliTest, clean_environment, free_port, parse_results, wait_until  # noqa: E402

EXAMPLES = SOURCE / "examples"
BACKGROUNDS = Path("/usr/share/backgrounds/mate")

# A shell that sees one of them unquoted, or in quotes of the wrong kind, makes a file PWNED.
ODD_NAMES = ["two words", "it's", 'a "quoted" one', "dollar $HOME `x`", "back\\slash", "new\nline", "tab\there",
             "\u00e9\u4e2d\U0001f600", "-n", "#hash", " lead", "trail ", "*", "%p", "{}", "control \x01\x1b[31m",
             "b $(touch PWNED).jpg", "b `touch PWNED`.log", "b'; touch PWNED; '", 'b"; touch PWNED; "', "b\ntouch PWNED\n"]


class Use(CliTest):
    def example(self, name, *arguments):
        """The jobs file that a generating example prints."""
        made = self.call([str(EXAMPLES / name), *map(str, arguments)])
        self.assertEqual(made.code, 0, str(made))
        return made.raw_out

    def run_file(self, name, text, code=0, *flags):
        self.write(name, text)
        checked = self.dispatcher("check", name)
        self.assertEqual(checked.code, 0, str(checked))
        finished = self.dispatcher("run", name, *flags, limit=200)
        self.assertEqual(finished.code, code, str(finished))
        finished.results_path = self.folder / (name.rsplit(".", 1)[0] + ".results.jsonl")
        verified = self.dispatcher("verify", name, finished.results_path)
        self.assertEqual(verified.code, 0, str(verified))
        return finished

    def tree(self):
        """A few dozen real files, and names that have hurt others."""
        root = self.folder / "tree"
        shutil.copytree("/usr/share/common-licenses", root / "licenses")
        (root / "odd").mkdir()
        for number, name in enumerate(ODD_NAMES):
            (root / "odd" / name).write_text(f"{number}\n")
        return root

    def assert_nothing_was_executed(self):
        self.assertEqual(list(self.folder.rglob("PWNED")), [])


class Checksums(Use):
    def expected(self, root):
        return {os.path.join(folder, name): hashlib.sha256(Path(folder, name).read_bytes()).hexdigest()
                for folder, _, names in os.walk(root) for name in names if not os.path.islink(os.path.join(folder, name))}

    def test_of_a_tree(self):
        root = self.tree()
        finished = self.run_file("sums.jsonl", self.example("checksums-of-a-tree", root))
        expected = self.expected(root)
        self.assertGreaterEqual(len(expected), 24)
        got = {}
        for line, result in zip((self.folder / "sums.jsonl").read_text().splitlines(),
                                sorted(finished.results, key=lambda r: r["line"])):
            # sha256sum marks a line whose name it escaped with a backslash.
            got[json.loads(line)["cmd"][-1]] = result["stdout"].lstrip("\\").split()[0]
        self.assertEqual(got, expected)

    def test_a_second_run_does_nothing_and_a_new_file_is_one_job(self):
        root = self.tree()
        self.run_file("sums.jsonl", self.example("checksums-of-a-tree", root))
        (root / "licenses" / "new one").write_text("new\n")
        total = len(self.expected(root))
        finished = self.run_file("sums.jsonl", self.example("checksums-of-a-tree", root))
        self.assertIn(f"({total - 1} done before)", finished.err)

    def test_checksums_txt(self):
        self.write("checksums.txt", (EXAMPLES / "checksums.txt").read_bytes())
        finished = self.dispatcher("run", "checksums.txt")
        self.assertEqual(finished.code, 0, str(finished))

    def test_names_that_are_not_utf_8_are_reported(self):
        root = self.tree()
        (root / "odd" / os.fsdecode(b"latin \xe9.jpg")).write_text("x")
        made = self.call(["bash", "-c", f"'{EXAMPLES}/checksums-of-a-tree' '{root}'"])
        self.assertEqual(made.code, 1)
        self.assertIn("left out, not UTF-8", made.err)
        self.assertEqual(len(made.out.splitlines()), len(self.expected(root)) - 1)

    def test_find_into_a_pipe(self):
        root = self.tree()
        command = f"find '{root}' -type f -print0 | '{DISPATCHER}' each -0 -o sums.results.jsonl sha256sum -- {{}}"
        finished = self.call(["bash", "-c", command])
        self.assertEqual(finished.code, 0, str(finished))
        self.assert_nothing_was_executed()
        results = parse_results((self.folder / "sums.results.jsonl").read_bytes())
        self.assertEqual(sorted(result["stdout"].lstrip("\\").split()[0] for result in results),
                         sorted(self.expected(root).values()))
        finished = self.call(["bash", "-c", command])
        self.assertEqual(finished.code, 0, str(finished))
        self.assertIn(f"{len(results)} done before", finished.err)


class OneLiners(Use):
    """The pipes that README, pages and --help show, run as they are among names that would be executed by a careless one."""

    def shown(self):
        texts = [path.read_text() for path in (SOURCE / "README.md", *(SOURCE / "docs").glob("*.md"))]
        texts += [path.read_text() for path in EXAMPLES.iterdir() if path.is_file() and os.access(path, os.X_OK)]
        texts += [self.dispatcher(*command, "--help").out for command in ([], ["run"], ["each"], ["check"])]
        lines = {found.strip() for text in texts for found in re.findall(r"(?m)^(?:  )?(?:\$ )?((?:find|seq) .*\|.*workpool.*)$", text)}
        for line in "\n".join(texts).splitlines():
            self.assertNotRegex(line, r"find .*-printf|find .*\| *(sh|xargs(?! -0))|-exec sh", "a name may become a command")
        return sorted(lines)

    def test_each_runs_and_executes_no_name(self):
        lines = self.shown()
        self.assertGreaterEqual(len(lines), 2, lines)
        for folder in ("photos", "logs", "FOLDER"):
            (self.folder / folder).mkdir()
            for name in ODD_NAMES:
                for ending in ("", ".jpg", ".log"):
                    (self.folder / folder / (name + ending)).write_text("x")
        os.symlink(EXAMPLES, self.folder / "examples")
        for number, line in enumerate(lines):
            with self.subTest(line):
                # These files are no photographs; what makes thumbnails of them is tested below.
                line = line.partition("   #")[0].replace("vipsthumbnail {} -o thumbs/{/.}.jpg", "cat -- {}")
                finished = self.call(["bash", "-c", f"set -o pipefail; {line}"])
                self.assertEqual(finished.code, 0, line + "\n" + str(finished))
                self.assert_nothing_was_executed()
                for path in self.folder.glob("*.jsonl*"):
                    path.unlink()


@unittest.skipUnless(shutil.which("vipsthumbnail") and BACKGROUNDS.is_dir(), "libvips-tools or mate-backgrounds is missing")
class Thumbnails(Use):
    def test_of_a_folder_of_photographs(self):
        found = [path for path in BACKGROUNDS.rglob("*") if path.suffix in (".jpg", ".png") and not path.is_symlink()]
        self.assertGreaterEqual(len(found), 20)
        self.assert_thumbnails(BACKGROUNDS, found)

    def test_names_as_cameras_and_people_make_them(self):
        photos = self.folder / "my photos"
        (photos / "a trip").mkdir(parents=True)
        small = min((path for path in BACKGROUNDS.rglob("*.jpg")), key=lambda path: path.stat().st_size)
        names = ["two words.JPG", "it's.jpeg", "a trip/same.jpg", "same.jpg", "100%s.jpg", "copy [1].jpg", "\u00e9.jpg",
                 "b $(touch PWNED).jpg", "b\ntouch PWNED\n.jpg"]
        for name in names:
            shutil.copy(small, photos / name)
        self.assert_thumbnails(photos, names)

    def assert_thumbnails(self, photos, found):
        thumbs = self.folder / "thumbs"
        self.run_file("thumbs.jsonl", self.example("thumbnails", photos, thumbs, 160))
        made = [path for path in thumbs.rglob("*") if path.is_file()]
        self.assertEqual(len(made), len(found))
        for path in made:
            sides = [int(subprocess.run(["vipsheader", "-f", field, str(path)], capture_output=True, check=True).stdout)
                     for field in ("width", "height")]
            self.assertEqual(max(sides), 160)


@unittest.skipUnless(shutil.which("nginx") or Path("/usr/sbin/nginx").exists(), "nginx-light is missing")
class Fetching(Use):
    def start_nginx(self, root):
        port = free_port()
        (self.folder / "nginx").mkdir()
        self.folder.chmod(0o755)
        self.write("nginx.conf", f"""
daemon off; master_process off; error_log stderr; pid {self.folder}/nginx/pid;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path nginx/1; proxy_temp_path nginx/2; fastcgi_temp_path nginx/3; uwsgi_temp_path nginx/4;
  scgi_temp_path nginx/5;
  server {{
    listen 127.0.0.1:{port};
    root {root};
    location = /moved {{ return 302 /page-00.html; }}
    location = /broken {{ return 500; }}
  }}
}}
""")
        server = self.start("/usr/sbin/nginx", "-p", str(self.folder), "-c", str(self.folder / "nginx.conf"))
        wait_until("nginx", lambda: self.call(["curl", "-s", "-o", "/dev/null", f"http://127.0.0.1:{port}/"]).code == 0
                   or server.process.poll() is not None)
        self.assertIsNone(server.process.poll(), server.err)
        return f"http://127.0.0.1:{port}"

    def test_a_list_of_urls(self):
        root = self.folder / "www"
        root.mkdir()
        pages = {f"page-{n:02}.html": os.urandom(1000 * n) for n in range(30)}
        for name, content in pages.items():
            (root / name).write_bytes(content)
        base = self.start_nginx(root)
        urls = [f"{base}/{name}" for name in pages] + [f"{base}/moved", f"{base}/missing", f"{base}/broken",
                                                       f"{base}/page-01.html?a=1&b='2'", f"{base}/page-01.html"]
        self.write("urls.txt", "# a comment\n\n" + "\r\n".join(urls) + "\n")
        folder = self.folder / "fetched pages"
        finished = self.run_file("fetch.jsonl", self.example("fetch-urls", "urls.txt", folder), 1, "--local", "4")
        bad = {result["line"]: result for result in finished.results if result["status"] != "ok"}
        self.assertEqual(sorted(bad), [32, 33])
        self.assertIn("404", bad[32]["stderr"])
        self.assertIn("500", bad[33]["stderr"])
        self.assertEqual(bad[32]["attempt"], 3)
        got = {path.read_bytes() for path in folder.iterdir()}
        self.assertTrue(set(pages.values()) <= got)
        self.assertEqual(len(list(folder.iterdir())), 32)
        # Mended, only those two are fetched.
        (root / "missing").write_bytes(b"found")
        finished = self.dispatcher("run", "fetch.jsonl", "--retry-failed", "--retries", "0")
        self.assertEqual(finished.code, 1, str(finished))
        self.assertIn("(32 done before)", finished.err)
        self.assertIn(b"found", {path.read_bytes() for path in folder.iterdir()})


class Transcripts(Use):
    def test_of_the_readme_are_what_runs_say(self):
        checked = self.call([str(SOURCE / "scripts" / "transcripts")], env=clean_environment(WORKPOOL_BIN=str(Path(DISPATCHER).parent)))
        self.assertEqual(checked.code, 0, str(checked))


class Examples(Use):
    def test_hello_and_sleep(self):
        finished = self.run_file("hello.jsonl", (EXAMPLES / "hello.jsonl").read_bytes())
        self.assertIn("12 ok of 12 jobs", finished.err)
        made = self.example("make-sleep-jobs", 200, "0.2")
        self.assertEqual(made, (EXAMPLES / "sleep-200.jsonl").read_bytes())
        self.run_file("sleep.jsonl", made.replace(b'"0.2"', b'"0.01"'), 0, "--local", "20")

    def test_each_says_how_it_is_used(self):
        for path in sorted(EXAMPLES.iterdir()):
            if path.is_file() and os.access(path, os.X_OK):
                finished = self.call([str(path)])
                self.assertEqual(finished.code, 2, path.name)
                self.assertIn("usage:", finished.err)


if __name__ == "__main__":
    unittest.main()

# SPDX-License-Identifier: MIT
"""What the tests of examples/media-worker share: the program, built against an install tree, and a server for it."""

import re
import shlex
import socket

from library_testing import Installed, call
from workpool_testing import LIMIT, SOURCE, wait_until


class MediaWorker(Installed):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        source, build = SOURCE / "examples" / "media-worker", cls.root / "media"
        cls.program = build / "media-worker"
        if not cls.program.exists():
            call("cmake", "-S", source, "-B", build, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={cls.prefix}",
                 "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS=-Werror")
            call("cmake", "--build", build)

    def setUp(self):
        super().setUp()
        for name in [name for name in self.environment if name.lower().endswith("_proxy")]:
            del self.environment[name]
        self.out = self.folder / "out"
        self.out.mkdir()
        self.worker_program = None

    def media(self, kind, orders, *others, slots=2, code=0, limit=120, **job):
        """The results by id of one job for each id, with these args, and of other jobs."""
        self.jobs(*[{"type": kind, "id": name, "args": args, **job} for name, args in orders.items()], *others)
        self.worker_program = self.start([self.program, self.address, "--slots", slots])
        run = self.run_to_end("--local", "0", "--overwrite", listen=True, limit=limit)
        self.assertEqual(run.poll(), code, self.all_said()[-4000:])
        self.rate = float(re.search(r"([\d.]+)/s,", run.err())[1])
        self.assert_ends(self.worker_program, 0)
        self.assertEqual([path.name for path in self.out.iterdir() if ".part-" in path.name], [])
        return self.by_id()

    def until_no_parts(self):
        """A job that keeps the worker until what has timed out has ended and left nothing; what still runs when
        a worker leaves has a second only."""
        parts = shlex.quote(str(self.out)) + "/*.part-*"
        return {"cmd": f"sleep 3; for i in $(seq {LIMIT * 10}); do ls {parts} >/dev/null 2>&1 || exit 0; sleep 0.1; done; exit 1",
                "id": "tidy", "timeout": f"{LIMIT + 10}s"}

    def assert_fails(self, result, pattern):
        self.assertEqual((result["status"], result["error"]["kind"]), ("failed", "handler"), result)
        self.assertRegex(result["error"]["message"], pattern)

    def start_nginx(self, port, log_format, servers, host="127.0.0.1"):
        """A server of these blocks of configuration, one of which listens there; its log is access.log."""
        (self.folder / "nginx").mkdir()
        temporary = " ".join(f"{name}_temp_path nginx/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (self.folder / "nginx.conf").write_text(f"""
daemon off; master_process off; error_log stderr; pid {self.folder}/nginx/pid;
events {{ worker_connections 8192; }}
http {{
  log_format short '{log_format}';
  access_log {self.folder}/access.log short;
  keepalive_requests 1000000;
  default_type text/plain;
  {temporary}
  {servers}
}}
""")
        server = self.start(["/usr/sbin/nginx", "-p", self.folder, "-c", self.folder / "nginx.conf"])

        def answers():
            self.assertIsNone(server.poll(), server.err())
            with socket.socket() as probe:
                return probe.connect_ex((host, port)) == 0
        wait_until("nginx", answers)
        return server

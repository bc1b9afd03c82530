# SPDX-License-Identifier: MIT
"""What the rows of examples/media-worker need: the program, built against an install tree; photographs; a server."""
import contextlib
import glob
import os
import shutil
import socket
import subprocess
import time

import runs

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PHOTOS = "/usr/share/backgrounds/mate/*/*.jpg"
PHOTO_BYTES_MAX = 2_000_000  # the two that are larger would be most of the time


def build(binaries, folder):
    """The path of media-worker, in `folder`, linked with the library of that build."""
    prefix = f"{folder}/installed"
    runs.output_of(["cmake", "--install", os.path.dirname(binaries), "--prefix", prefix])
    try:
        runs.output_of(["cmake", "-S", f"{ROOT}/examples/media-worker", "-B", f"{folder}/media", "-G", "Ninja",
                        f"-DCMAKE_PREFIX_PATH={prefix}"])
        runs.output_of(["cmake", "--build", f"{folder}/media"])
    except runs.Failed as failed:
        raise runs.Failed(f"{failed}\n(scripts/setup --dev installs libvips-dev and libcurl4-openssl-dev)") from None
    return f"{folder}/media/media-worker"


def photographs(folder, count):
    """Copies of photographs from Debian's mate-backgrounds."""
    found = sorted(path for path in glob.glob(PHOTOS) if os.path.getsize(path) <= PHOTO_BYTES_MAX)
    if not found:
        raise runs.Failed(f"no photographs in {PHOTOS}: scripts/setup --dev")
    os.mkdir(folder)
    names = [f"{folder}/{number}.jpg" for number in range(count)]
    for number, name in enumerate(names):
        shutil.copyfile(found[number % len(found)], name)
    return names


@contextlib.contextmanager
def server(folder, root):
    """nginx with the files of `root`; its address."""
    port = runs.free_port()
    os.makedirs(f"{folder}/nginx", exist_ok=True)
    temporary = " ".join(f"{name}_temp_path {folder}/nginx/{name};" for name in
                         ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    with open(f"{folder}/nginx.conf", "w", encoding="utf-8") as file:
        file.write(f"daemon off; master_process off; error_log stderr; pid {folder}/nginx/pid;\n"
                   f"events {{ worker_connections 512; }}\n"
                   f"http {{ access_log off; keepalive_requests 1000000; {temporary}\n"
                   f"  server {{ listen 127.0.0.1:{port}; root {root}; }} }}\n")
    process = runs.Process(["/usr/sbin/nginx", "-p", folder, "-c", f"{folder}/nginx.conf"], stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 30
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if process.has_ended() or time.monotonic() > until:
                raise runs.Failed("nginx does not start")
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
    finally:
        runs.end_all([process])


def seconds_of(binaries, folder, jobs_file, program, slots):
    """The wall time of a run of that file by media-worker, and the processor time of its worker."""
    results, address = f"{folder}/out.jsonl", f"tcp://127.0.0.1:{runs.free_port()}"
    with open(f"{folder}/dispatcher.err", "wb") as said:
        dispatcher = runs.Process([f"{binaries}/workpool-dispatcher", "run", jobs_file, "-o", results, "--overwrite",
                                   "--listen", address, "--local", "0", "--progress", "none"],
                                  stdout=subprocess.DEVNULL, stderr=said)
        worker = runs.Process([program, address, "--slots", str(slots), "--log-level", "error"],
                              stdout=subprocess.DEVNULL, stderr=said)
    try:
        runs.wait_for_all([dispatcher, worker])
    except runs.Failed as failed:
        raise runs.Failed(f"{failed}; they said: {runs.said_in(folder)}") from None
    finally:
        runs.end_all([dispatcher, worker])
        runs.remove_results(folder)
    return worker.ended - dispatcher.started, worker.processor

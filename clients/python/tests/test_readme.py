# SPDX-License-Identifier: MIT
"""The examples of README.md, run as they stand there, print what stands there."""

import os
import re
import subprocess
import sys

from conftest import HERE, LIMIT, needs_handlers

BLOCKS = re.compile(r"<!-- (file|run|shell):? ?(\S*) -->\n```(?:python)?\n(.*?)```\n(?:\n```\n(.*?)```\n)?", re.DOTALL)


IMAGES = """
import os

def measure(path):
    return os.path.getsize(path)
"""
BEFORE = """
import workpool, images
paths = [f"{number}.png" for number in range(120)]
for number, path in enumerate(paths):
    with open(path, "wb") as file:
        file.write(b"x" * number)
"""
AFTER = """
assert sizes == list(range(120)), sizes
assert done.split() == ["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "0.png"], done
"""


@needs_handlers
def test_the_lines_in_the_readme_of_workpool(tmp_path):
    page = (HERE.parents[2] / "README.md").read_text()
    lines = re.search(r"\*\*From Python\.\*\*.*?```python\n(.*?)```", page, re.DOTALL)[1]
    (tmp_path / "images.py").write_text(IMAGES)
    (tmp_path / "lines.py").write_text(BEFORE + lines + AFTER)
    ran = subprocess.run([sys.executable, "lines.py"], cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT)
    assert ran.returncode == 0, ran.stderr


@needs_handlers
def test_the_examples(tmp_path):
    blocks = BLOCKS.findall((HERE.parent / "README.md").read_text())
    assert [name for _, name, _, _ in blocks] == ["shapes.py", "futures", "failures", "limits", "models.py", "handlers", "", "results"]
    # python3 on PATH is the one that runs this.
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").symlink_to(sys.executable)
    environment = {**os.environ, "PATH": os.pathsep.join([str(tmp_path / "bin"), os.environ["WORKPOOL_BIN"], os.environ["PATH"]])}
    for kind, name, text, said in blocks:
        if kind == "file":
            (tmp_path / name).write_text(text)
            continue
        (tmp_path / "example").write_text(text)
        ran = subprocess.run([sys.executable if kind == "run" else "sh", "example"], cwd=tmp_path, env=environment,
                             capture_output=True, text=True, timeout=LIMIT)
        assert ran.returncode == 0, ran.stderr
        assert kind == "shell" or ran.stdout == said, ran.stderr

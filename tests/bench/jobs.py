# SPDX-License-Identifier: MIT
"""The jobs that measurements run: each function yields lines of a jobs file."""
import json


def write(path, lines):
    """Writes a jobs file; returns the number of its lines."""
    count = 0

    def counted():
        nonlocal count
        for count, line in enumerate(lines, 1):
            yield line
    with open(path, "w", encoding="ascii") as out:
        out.writelines(counted())
    return count


def lines_of(jobs):
    """Of jobs as dictionaries."""
    return (json.dumps(job, separators=(",", ":")) + "\n" for job in jobs)


def equal_noops(count):
    return ('{"type":"noop"}\n' for _ in range(count))


def noops_with_args(count):
    """88 bytes a line, each with other arguments."""
    return (f'{{"type":"noop","args":{{"number":{10_000_000 + i},"file":"/data/input/part-{i:010}.parquet"}}}}\n'
            for i in range(count))


def echoes_of_1k(count):
    """Arguments of 1,024 bytes, none like the other."""
    text = ("0123456789abcdef" * 64)[:997]
    return (f'{{"type":"echo","args":{{"number":{100_000 + i},"text":"{text}"}}}}\n' for i in range(count))


def failures(count):
    return ('{"type":"fail","args":{"message":"no"}}\n' for _ in range(count))


def commands(count):
    return ('{"cmd":["/bin/true"]}\n' for _ in range(count))


CLASS_LABELS = [f"l{i}" for i in range(12)]


def noops_of_classes(count, classes):
    """As many requirements, in turn: subsets of CLASS_LABELS."""
    def labels_of(number):
        return [label for bit, label in enumerate(CLASS_LABELS) if number % classes >> bit & 1]
    return lines_of({"type": "noop", "labels": labels_of(i)} for i in range(count))


def limited(job, count, keys):
    """So many keys of limits, in turn; 0: none."""
    return lines_of({**job, "limit": f"host:{i % keys}"} if keys else job for i in range(count))


SQUARES = "sum(i * i for i in range(int(%s)))"
PYTHON_HANDLER = f"""import json, sys
for line in sys.stdin:
    n = json.loads(line)["args"]["n"]
    print(json.dumps({{"value": {SQUARES % "n"}}}), flush=True)
"""


def python_commands(count):
    """The function of PYTHON_HANDLER, in a Python of its own each time."""
    code = f"import sys; print({SQUARES % 'sys.argv[1]'})"
    return lines_of({"cmd": ["python3", "-c", code, str(i % 100)]} for i in range(count))


def of_type(kind, count):
    return lines_of({"type": kind, "args": {"n": i % 100}} for i in range(count))

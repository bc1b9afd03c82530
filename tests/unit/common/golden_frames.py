#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Writes golden_frames.h: the messages of sample_messages.h as python's msgpack encodes them.

Run it only when a message is added: a frame that is there already must not change, since other versions of the
programs write and read it.

usage: /usr/bin/python3 tests/unit/common/golden_frames.py > tests/unit/common/golden_frames.h
"""

import msgpack

HEAD = [0x1112131415161718, 0x2122232425262728, 300]
REGISTRATION = [0, 0, 0]
KEY = bytes(range(16))
SPEC = bytes(range(0xF0, 0x100))
HANDLE = 0x0000000500000007
SECOND = 1_000_000
ORDER = [HANDLE, b"job-1", KEY, SPEC, 2, b'{"cmd":["true"]}', 1_500_000, 3, 0]
NUMBERED = [HANDLE, 129, KEY, SPEC, 2, b'{"type":"noop"}', 0, 3, 1]
RESULT = [HANDLE, KEY, SPEC, 3, 1, 70000]
OUTPUT = [b"out\0\xff", b"e" * 300, 99]

FRAMES = {
    "HELLO": [1, *REGISTRATION, 1, "0.1.0", 0x3132333435363738, 2, 200, "w-é", 70000, ["echo", "sleep"],
              ["gpu"]],
    "STATUS": [2, *REGISTRATION, 1, False],
    "WELCOME": [3, *REGISTRATION, 1, 0x4142434445464748, 0x5152535455565758, "w-2", 50000, 255, 10 * SECOND,
                8 << 20, 65536],
    "WELCOME_FAILED_ONLY": [3, *REGISTRATION, 1, 0x4142434445464748, 0x5152535455565758, "w-2", 50000, 255,
                            10 * SECOND, 8 << 20, 65536, True],
    "REFUSED": [4, *REGISTRATION, 1, 76, "no"],
    "STATUS_REPLY": [5, *REGISTRATION, 1, '{"jobs":1}'],
    "PART": [6, *HEAD, 1, True, b"p"],
    "DIED": [10, *HEAD, [[1, "signal 11 (SIGSEGV)", [KEY, bytes(16)]], [2, "", []]]],
    "HELD": [11, *HEAD, [[KEY, SPEC, 4, 5000 * SECOND]]],
    "HELD_EMPTY": [11, *HEAD, []],
    "RESULTS": [12, *HEAD, [
        RESULT,
        [*RESULT, 2, 5],
        [*RESULT, 0, 0, b'{"a":[1]}'],
        [*RESULT, 1, 1, b"", b"exit status 3", True, 3, None, *OUTPUT],
        [*RESULT, 1, 2, b"", b"exit status 3", True, None, -9, *OUTPUT],
    ]],
    "RESULTS_USED": [12, *HEAD, [[*RESULT, 1, 1, b"", b"exit status 3", True, 3, None, *OUTPUT, 2500, 70001]]],
    "RESULTS_FILES": [12, *HEAD, [
        [*RESULT, 1, 8, b"", b"no room", True, 0, None, [b"/o/\xff", 70000, SPEC], None, 0],
        [*RESULT, 0, 0, b"", b"", True, 0, None, None, [b"/e", 0, KEY], 0],
    ]],
    "RETURNED": [13, *HEAD, [[HANDLE, KEY, SPEC, 1, 2]]],
    "READY": [14, *HEAD, False],
    "BEAT": [15, *HEAD, 123456789, 40, [[HANDLE, 2_000_000]], [HANDLE, 1]],
    "BEAT_PROGRESS": [15, *HEAD, 5, 6, [], [], [[HANDLE, 400, "half wäy"]]],
    "BEAT_PLAIN": [15, *HEAD, 5, 6, []],
    "GOODBYE": [16, *HEAD],
    "JOBS": [20, *HEAD, 17, 18, [ORDER, NUMBERED]],
    "JOBS_LINE": [20, *HEAD, 17, 18, [[*ORDER, 70000]]],
    "CANCEL": [21, *HEAD, [[HANDLE, KEY, 2], [0, KEY, 1]]],
    "RECALL": [22, *HEAD, [[HANDLE, KEY, 2]]],
    "LANE_BEAT": [23, *HEAD, 2**64 - 1, 1, 2],
    "STOP": [24, *HEAD],
    "END": [25, *HEAD],
}


def main():
    print("// SPDX-License-Identifier: MIT")
    print("// Made by golden_frames.py: frames as msgpack of another language writes them, in hex.")
    print("#pragma once\n")
    print("namespace workpool::golden {\n")
    print("struct Frame {\n  const char* name;\n  const char* hex;\n};\n")
    print("// clang-format off\ninline constexpr Frame kFrames[] = {")
    for name, frame in FRAMES.items():
        digits = msgpack.packb(frame, use_bin_type=True).hex()
        lines = [digits[i:i + 96] for i in range(0, len(digits), 96)]
        print(f'    {{"{name}",')
        print("\n".join(f'     "{line}"' for line in lines) + "},")
    print("};\n// clang-format on\n")
    print("}  // namespace workpool::golden")


if __name__ == "__main__":
    main()

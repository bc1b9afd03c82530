# SPDX-License-Identifier: MIT
"""How much happened at once, and how often within a time, as the tests of limits count it."""


def most_at_once(spans):
    """Of spans (begin, end); one that begins when another ends is after it."""
    edges = sorted([(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans])
    most = now = 0
    for _, step in edges:
        now += step
        most = max(most, now)
    return most


def most_within(times, length):
    """How many of these times are within any span that is shorter than `length`."""
    times = sorted(times)
    most = first = 0
    for last, time_of_it in enumerate(times):
        while times[first] <= time_of_it - length:
            first += 1
        most = max(most, last - first + 1)
    return most

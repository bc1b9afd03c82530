# SPDX-License-Identifier: MIT
"""A picture: the cost of a job by thread, and throughput over job count, workers and requirements,
of this build and of another one. Measures both and writes an SVG file."""
import os
import statistics
import tempfile

import instructions
import jobs
import runs

JOB_COUNTS = (10_000, 100_000, 1_000_000, 5_000_000)
WORKER_COUNTS = (1, 2, 8, 32, 100)
CLASS_COUNTS = (1, 10, 300, 3_000)
WORKER_JOBS, CLASS_JOBS = 400_000, 60_000
QUICKER = 10  # with --quick so many times fewer jobs, and the largest of each kind are left out

COLOURS = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#ff8ab7", "#a463f2", "#97bbf5", "#9c6b4e", "#9498a0",
           "#1b9e9e")
INK, GRID, OURS, OTHER = "#222222", "#dddddd", "#4269d0", "#9498a0"
WIDTH, MARGIN = 960, 70


# ---- measuring ----

def throughput(builds, folder, lines, pairs, **more):
    """Median of jobs per second of each build, in interleaved runs."""
    jobs_file = f"{folder}/jobs.jsonl"
    count = jobs.write(jobs_file, lines)
    rates = [[] for _ in builds]
    for _ in range(pairs):
        for build, found in zip(builds, rates):
            run = runs.Run(build, folder, jobs_file, **more)
            try:
                found.append(count / run.wait_for_end().seconds)
            finally:
                run.stop()
                runs.remove_results(folder)
    return [statistics.median(found) for found in rates]


def curves(builds, pairs, quick):
    """(title, what the axis counts, [(x, [jobs/s of each build])]) of each kind."""
    fewer = QUICKER if quick else 1
    def of(points):
        return points[:-1] if quick else points
    with tempfile.TemporaryDirectory(prefix="workpool-bench-") as folder:
        return (
            ("over the number of jobs", "jobs, two workers",
             [(count, throughput(builds, folder, jobs.noops_with_args(count), pairs)) for count in of(JOB_COUNTS)]),
            ("over workers", f"workers of one slot, {WORKER_JOBS // fewer:,} jobs",
             [(count, throughput(builds, folder, jobs.equal_noops(WORKER_JOBS // fewer), pairs, workers=count))
              for count in of(WORKER_COUNTS)]),
            ("over requirements", f"requirements, {CLASS_JOBS // fewer:,} jobs, two workers",
             [(count, throughput(builds, folder, jobs.noops_of_classes(CLASS_JOBS // fewer, count), pairs,
                                 labels=jobs.CLASS_LABELS)) for count in of(CLASS_COUNTS)]),
        )


def costs(builds, quick):
    """[(thread, [instructions per job of each build])], the dispatcher's threads first."""
    with tempfile.TemporaryDirectory(prefix="workpool-bench-") as folder:
        jobs_file = f"{folder}/jobs.jsonl"
        count = jobs.write(jobs_file, jobs.noops_with_args(instructions.QUICK_JOBS if quick else instructions.JOBS))
        found = []
        for number, build in enumerate(builds):
            os.mkdir(f"{folder}/{number}")
            found.append(instructions.counted(build, f"{folder}/{number}", jobs_file))
        names = sorted(dict.fromkeys(name for build in found for name in build), key=lambda name: name[0])
        return [(f"{program}: {thread}", [build.get((program, thread), 0) / count for build in found])
                for program, thread in names]


# ---- drawing ----

def text(x, y, words, size=13, anchor="start", colour=INK, bold=False):
    weight = ' font-weight="bold"' if bold else ""
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}"{weight}>'
            f'{words}</text>')


def short(number):
    for unit, name in ((1_000_000, " M"), (1_000, " k")):
        if number >= unit:
            return f"{number / unit:g}{name}"
    return f"{number:g}"


def draw_costs(cost, names, top):
    """A bar for each build, of one part for each thread; a list of the threads with their figures below."""
    parts = [text(MARGIN, top, "Instructions per job, by thread", 16, bold=True)]
    most = max(sum(figures[build] for _, figures in cost) for build in range(len(names)))
    wide = WIDTH - 2 * MARGIN - 90
    for build, name in enumerate(names):
        y, x = top + 20 + build * 42, MARGIN + 90
        parts.append(text(MARGIN, y + 21, name))
        for number, (_, figures) in enumerate(cost):
            width = figures[build] / most * wide
            parts.append(f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="32" fill="{COLOURS[number % len(COLOURS)]}"/>')
            x += width
        parts.append(text(x + 6, y + 21, f"{sum(figures[build] for _, figures in cost):,.0f}", 12))
    below = top + 40 + len(names) * 42
    for number, (thread, figures) in enumerate(cost):
        x, y = MARGIN + (number % 2) * 420, below + number // 2 * 20
        parts.append(f'<rect x="{x}" y="{y - 11}" width="12" height="12" fill="{COLOURS[number % len(COLOURS)]}"/>')
        parts.append(text(x + 20, y, f"{thread}: {', '.join(f'{figure:,.0f}' for figure in figures)}", 12))
    return parts, below + (len(cost) + 1) // 2 * 20


def draw_curve(title, axis, points, names, left, top, wide, high):
    """Jobs per second over a count; each count has the same room."""
    parts = [text(left, top - 12, title, 14, bold=True)]
    most = max(max(rates) for _, rates in points) * 1.1
    for step in range(5):
        y = top + high - high * step / 4
        parts.append(f'<line x1="{left}" y1="{y:.1f}" x2="{left + wide}" y2="{y:.1f}" stroke="{GRID}"/>')
        parts.append(text(left - 6, y + 4, short(round(most * step / 4, -3)), 11, "end"))
    places = [left + wide * (number + 0.5) / len(points) for number in range(len(points))]
    for (count, _), x in zip(points, places):
        parts.append(text(x, top + high + 16, short(count), 11, "middle"))
    for build in reversed(range(len(names))):
        colour = OURS if build == 0 else OTHER
        line = [(x, top + high - rates[build] / most * high) for (_, rates), x in zip(points, places)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in line]
    parts.append(text(left + wide / 2, top + high + 34, axis, 11, "middle"))
    return parts


def svg(cost, found, names):
    parts, bottom = draw_costs(cost, names, 30)
    top = bottom + 50
    parts.append(text(MARGIN, top, "No-op jobs per second, from jobs file to results file", 16, bold=True))
    for build, name in enumerate(names):
        x = MARGIN + 480 + build * 170
        parts.append(f'<circle cx="{x}" cy="{top - 5}" r="5" fill="{OURS if build == 0 else OTHER}"/>')
        parts.append(text(x + 12, top, name))
    wide = (WIDTH - 2 * MARGIN - 2 * 65) / 3
    for number, (title, axis, points) in enumerate(found):
        parts += draw_curve(title, axis, points, names, MARGIN + number * (wide + 65), top + 50, wide, 190)
    high = top + 50 + 190 + 50
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {high:.0f}" '
                      'font-family="sans-serif">', f'<rect width="{WIDTH}" height="{high:.0f}" fill="white"/>', *parts,
                      "</svg>\n"])


def write(path, binaries, against, pairs, quick):
    builds = [build for build in (binaries, against) if build]
    names = ["now", "before"][:len(builds)]
    drawn = svg(costs(builds, quick), curves(builds, pairs, quick), names)
    with open(path, "w", encoding="utf-8") as out:
        out.write(drawn)

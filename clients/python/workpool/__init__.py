# SPDX-License-Identifier: MIT
"""Python for workpool: write handlers, run jobs as futures, read results.

    @workpool.handler("embed")
    def embed(args): ...
    workpool.serve()                         # the loop that a worker talks to

    with workpool.Pool() as pool:            # a concurrent.futures.Executor
        pool.submit(module.function, 1)
        pool.command(["sha256sum", path])

    for result in workpool.read_results("jobs.results.jsonl"): ...
"""

from __future__ import annotations

from workpool._errors import JobFailed
from workpool._handlers import Job, handler
from workpool._pool import Pool
from workpool._results import OutputFile, Result, Results, ResultsWarning, read_results
from workpool._serving import serve

__version__ = "0.1.0"
__all__ = ["Job", "JobFailed", "OutputFile", "Pool", "Result", "Results", "ResultsWarning", "handler",
           "read_results", "serve"]

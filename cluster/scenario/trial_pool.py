"""Tries on all cores: processes that run one document after the other.

Here: handing out documents, in order, and stopping at once when nobody wants the rest. Not here: what is tried
(`explore`, `shrink`), or what a try is (`trial`).
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from types import TracebackType

from cluster.scenario.document import Document
from cluster.scenario.trial import Failure, Trial, fails_alike, try_document

TRIES_PER_WORKER = 50
"""A worker is replaced after so many runs, so that what a library leaks does not add up."""


class TrialPool:
    """Worker processes. To be used in a `with` statement, which leaves none behind."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        context = get_context("spawn")  # spawned workers inherit the pinned hash seed and nothing else
        self._pool = ProcessPoolExecutor(
            jobs, mp_context=context, initializer=_begin_worker, max_tasks_per_child=TRIES_PER_WORKER
        )

    def __enter__(self) -> TrialPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def tries(self, wanted: Iterable[tuple[Document, int, str]]) -> Iterator[Trial]:
        """Try documents under seeds and yield what came out, as it comes; the third item says how to replay one."""
        waiting = iter(wanted)
        running: set[Future[Trial]] = set()
        while True:
            while len(running) < 2 * self.jobs and (item := next(waiting, None)) is not None:
                running.add(self._pool.submit(try_document, *item))
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()

    def first_alike(self, documents: Sequence[Document], seed: int, failure: Failure) -> int | None:
        """Return the number of the first document that fails in the same way, None when none does."""
        futures = [self._pool.submit(fails_alike, document, seed, failure) for document in documents]
        try:
            return next((number for number, future in enumerate(futures) if future.result()), None)
        finally:
            for future in futures:
                future.cancel()


def _begin_worker() -> None:
    """Silence the logs of clients and nodes: lost connections are the point of the exercise. Let Ctrl-C end it."""
    logging.disable(logging.CRITICAL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # or it would end the try in hand and begin another

"""Exploring a scenario: many of its seeds side by side, and a small scenario file of each kind of failure.

Here: trying seeds, remembering which of them were tried, and shrinking what they find. Not here: what a seed draws
(`explore`), how candidates are chosen (`shrink`), what is told meanwhile (`cluster.cli.explore`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from cluster.scenario.document import Document
from cluster.scenario.explore import explored
from cluster.scenario.found import found_text
from cluster.scenario.shrink import shrink
from cluster.scenario.trial import Failure, Trial, try_document
from cluster.scenario.trial_pool import TrialPool

SHRINKING_TRIES_MAX = 300
RUNS = Path("runs")


@dataclass(frozen=True, slots=True)
class Found:
    """What was made of a failure: a scenario file, with how many steps, and in how many tries."""

    path: Path
    steps: int
    shrinking: str


class Exploration:
    """One scenario's seeds on a pool of processes. `replay_of` is the command that tries one seed again."""

    def __init__(self, document: Document, pool: TrialPool, replay_of: Callable[[int], str]) -> None:
        self._document = document
        self._pool = pool
        self._replay_of = replay_of
        self._shrunk: list[Failure] = []

    def tries(self, seeds: Iterable[int]) -> Iterator[Trial]:
        """Try seeds and yield what came out, as it comes."""
        progress = ExploredSeeds(self._document)
        for trial in self._pool.tries((explored(self._document, seed), seed, self._replay_of(seed)) for seed in seeds):
            progress.add(trial.seed)
            yield trial

    def is_shrunk(self, failure: Failure) -> bool:
        """Whether a failure of this kind was made small before: one file of a kind is enough."""
        return any(failure.is_like(other) for other in self._shrunk)

    def shrink(self, trial: Trial, failure: Failure) -> Found:
        """Leave out of a seed's schedule, cluster and workload what can be left out; write what remains to a file."""
        self._shrunk.append(failure)
        small = shrink(
            explored(self._document, trial.seed),
            lambda documents: self._pool.first_alike(documents, trial.seed, failure),
            tries_max=SHRINKING_TRIES_MAX,
            batch=self._pool.jobs,
        )
        path = RUNS / "found" / f"{small.document['name']}-{trial.seed}.yaml"
        again = try_document(small.document, trial.seed, f"fencepost replay {path}")
        shrinking = f"Shrunk in {small.tried} tries"
        shrinking += "." if small.is_minimal else ", when the patience for it ended."
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found_text(small.document, again, f"Found by: {self._replay_of(trial.seed)}\n{shrinking}"))
        return Found(path, len(small.document.get("steps", ())), shrinking)


class ExploredSeeds:
    """Up to where a scenario's seeds were tried, over all explorations in this directory; a changed one begins anew.

    It is written down after every seed, so that an exploration that was interrupted goes on from there.
    """

    def __init__(self, document: Document) -> None:
        digest = blake2b(json.dumps(document, sort_keys=True).encode(), digest_size=6).hexdigest()
        self._path = RUNS / "explored" / f"{document['name']}-{digest}"
        self._beyond: set[int] = set()  # tried, but after a seed that was not
        self.first_untried = self._read()

    def add(self, seed: int) -> None:
        """Note that a seed was tried."""
        self._beyond.add(seed)
        if seed != self.first_untried:
            return
        while self.first_untried in self._beyond:
            self._beyond.remove(self.first_untried)
            self.first_untried += 1
        self._path.parent.mkdir(parents=True, exist_ok=True)
        written = self._path.with_name(f"{self._path.name}.new")
        written.write_text(f"{self.first_untried}\n")
        os.replace(written, self._path)

    def _read(self) -> int:
        try:
            return int(self._path.read_text())
        except (FileNotFoundError, ValueError):
            return 1

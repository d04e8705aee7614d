"""Write `docs/mutants.md`: `python tests/mutants/table.py`.

Hunts every mutant anew under pinned hashes, so that the seeds in the table are those that anybody gets.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from mutant_catalogue import MUTANTS
from mutant_hunt import Catch, Mutant, hunt

from cluster.runtime.sim import ensure_reproducible

PAGE = Path(__file__).resolve().parents[2] / "docs" / "mutants.md"

HEAD = """# Planted mutants

A checker that nothing has ever alarmed proves nothing. Each mutant below replaces one function of the brokers by one
with a bug (`tests/mutants/`; nothing in `cluster/` knows of them) and runs under a schedule that gives it room
(`tests/mutants/schedules/`), seed after seed until something objects. The same schedule without it must pass under the
same seeds. The test-suite hunts all of them and fails when one survives or is not noticed by the checker that is named
here; `python tests/mutants/table.py` does so under pinned hashes and writes this page.

An oracle's name is explained in its file in `cluster/checks/`; `leader-undisturbed` is a check of the schedule itself.
Where an assertion of the brokers ends the run, what the oracles had seen until then counts.

| mutant | what it does | schedule | caught by | seeds |
| --- | --- | --- | --- | ---: |
"""


def row(mutant: Mutant, catch: Catch) -> str:
    """Return a mutant's line in the table."""
    others = len(catch.checkers) - 1
    by = f"`{mutant.caught_by}`" + (f" and {others} more" if others else "")
    return f"| {mutant.name} | {mutant.meaning} | {mutant.schedule} | {by} | {catch.seed} |"


def page(catches: Iterable[tuple[Mutant, Catch]]) -> str:
    """Return the whole page."""
    return HEAD + "".join(f"{row(mutant, catch)}\n" for mutant, catch in catches)


def main() -> None:
    """Hunt, print what was found, and write the page when nothing survived."""
    logging.disable(logging.CRITICAL)
    catches: list[tuple[Mutant, Catch]] = []
    for mutant in MUTANTS:
        catch = hunt(mutant)
        if catch is None:
            print(f"{mutant.name}: SURVIVED", flush=True)
            continue
        print(f"{mutant.name}: seed {catch.seed}, {', '.join(catch.checkers)}", flush=True)
        catches.append((mutant, catch))
    if len(catches) == len(MUTANTS):
        PAGE.write_text(page(catches))


if __name__ == "__main__":
    ensure_reproducible()
    main()

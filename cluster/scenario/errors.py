"""What is wrong with a scenario, said so that its author can mend it."""

from __future__ import annotations

from collections.abc import Sequence


class ScenarioError(ValueError):
    """A scenario cannot be run as it is written; `problems` has one line for each thing to mend."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(tuple(problems))  # as it was given: an exception crosses between processes by its arguments
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join(self.problems)

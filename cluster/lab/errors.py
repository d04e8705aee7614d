"""What can go wrong for a user of the lab, said with its cause and its remedy.

Here: the one exception that the command line turns into a message and an exit code. Bugs are not told this way:
they are assertions, and end in a traceback.
"""

from __future__ import annotations

USAGE = 2
COULD_NOT_START = 4


class LabError(Exception):
    """A request that the lab cannot serve. `cause` says what is wrong, `remedy` what to do about it."""

    def __init__(self, cause: str, remedy: str, exit_code: int = COULD_NOT_START) -> None:
        super().__init__(cause, remedy, exit_code)  # as given, so that it can be pickled
        self.cause = cause
        self.remedy = remedy
        self.exit_code = exit_code

    def __str__(self) -> str:
        return f"{self.cause}\n{self.remedy}"

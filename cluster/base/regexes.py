"""Regular expressions of clients: subscriptions (KIP-848), filters of lists (KIP-1152). Kafka uses RE2/J, this RE2.

Here: compiling and matching. RE2 needs time linear in the text whatever the expression is, so that no client can stop
a broker with one; it has no backreferences and no look-around, as the clients' documentation says.
"""

from __future__ import annotations

from collections.abc import Iterable

import re2

from cluster.base.errors import ErrorCode, KafkaError


def _options() -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    return options


_OPTIONS = _options()


def check_regex(name: str, regex: str) -> None:
    """Raise KafkaError(INVALID_REGULAR_EXPRESSION), which says why, for what RE2 does not understand.

    `name` is that of the field in which it was sent.
    """
    try:
        re2.compile(regex, _OPTIONS)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        message = f"{name} `{regex}` is not a valid regular expression: {text}."
        raise KafkaError(ErrorCode.INVALID_REGULAR_EXPRESSION, message) from None


def matching(regex: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return the names that an expression matches as a whole; none when it cannot be understood."""
    try:
        compiled = re2.compile(regex, _OPTIONS)
    except re2.error:  # written by another version: whoever sent it was told
        return ()
    return tuple(name for name in names if compiled.fullmatch(name) is not None)

"""A result as people read it in a terminal: the verdict first, the story of what was lost, the command that replays.

Plain text: names such as `[acks-1]` must not be taken for markup, and a pipe must get what a screen gets.
"""

from __future__ import annotations

from collections.abc import Sequence

from cluster.report.result import Anomaly, CheckResult, RunResult

_TITLES = {"as-expected": "AS EXPECTED", "different": "DIFFERENT", "inconclusive": "INCONCLUSIVE"}
_MARKS = {"holds": "✔", "violated": "✖", "unknown": "?"}
_ACCEPTED_MARK = "·"
"""Of a check that accepts any outcome: neither praise nor blame."""

_VIOLATIONS_TOLD_MAX = 3


def terminal_text(result: RunResult) -> str:
    """Return the report of one run, a few lines without a final newline."""
    lines = [_title(result), f"  {_counts(result)}"]
    lines += [f"  {_check_line(check)}" for check in result.checks]
    for check in result.checks:
        if check.outcome == "violated" and not check.is_as_expected:
            lines += [f"    {check.id}: {violation}" for violation in check.violations[:_VIOLATIONS_TOLD_MAX]]
            hidden = check.violation_count - _VIOLATIONS_TOLD_MAX
            if hidden > 0:
                lines.append(f"    {check.id}: … and {hidden} more")
    lines += [f"  ○ {step}" for step in result.unfired]
    lines += [f"  {anomaly.sentence}" for anomaly in told_anomalies(result.anomalies)]
    if result.story:
        lines.append(f"  {result.story}")
    lines.append(f"  replay: {result.replay}")
    return "\n".join(lines)


_CONSEQUENCES = (
    "lost-write",
    "vanished",
    "inconsistent-offsets",
    "nonmonotonic-send",
    "poll-skip",
    "nonmonotonic-poll",
)
"""What the loss of a record brings with it, seen from elsewhere."""


def told_anomalies(anomalies: Sequence[Anomaly]) -> list[Anomaly]:
    """Return what is worth a line: what only follows from a loss that has its own line, for the same reason, is not."""
    lost = {anomaly.reason: anomaly.name for anomaly in reversed(anomalies) if anomaly.name in ("vanished", "unseen")}
    return [one for one in anomalies if one.name not in _CONSEQUENCES or lost.get(one.reason, one.name) == one.name]


def _title(result: RunResult) -> str:
    fails_on_purpose = result.verdict == "as-expected" and any(check.expected == "violated" for check in result.checks)
    title = "FAIL-AS-EXPECTED" if fails_on_purpose else _TITLES[result.verdict]
    variant = "" if result.variant is None else f" [{result.variant}]"
    return (
        f"{title}  {result.scenario}{variant}  seed {result.seed}  "
        f"{result.target} {result.virtual_s:.1f}s in {result.wall_s:.1f}s"
    )


def _counts(result: RunResult) -> str:
    counts = f"acked {result.acked} · failed {result.failed} · unknown {result.unknown}"
    lost = (
        f"lost acked {result.lost} · duplicates {result.duplicates}"
        if result.is_read_back
        else "lost acked ? (not read)"
    )
    leaderless = f"      no leader for {result.leaderless_s:.1f}s" if result.leaderless_s else ""
    return f"{counts}      {lost}{leaderless}"


def _check_line(check: CheckResult) -> str:
    detail = f" ({check.detail})" if check.detail else ""
    told = f"{check.id}: {check.kind} {check.statement}{detail}"
    if check.expected == "any":
        return f"{_ACCEPTED_MARK} {told}  → {check.outcome}; any verdict is accepted"
    line = f"{_MARKS[check.outcome]} {told}"
    if not check.is_as_expected:
        return f"{line}  → {check.outcome}, expected {check.expected}"
    return line if check.outcome == "holds" else f"{line}  → {check.outcome}, as expected"

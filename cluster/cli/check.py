"""`fencepost check`: judge a history that any client of any Kafka cluster wrote.

Exit codes: 0 nothing that the configuration does not permit, 1 something it does not, 2 not a history, 3 nothing
wrong was seen, but no final reading says what became of the last records.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster.lab.errors import USAGE

if TYPE_CHECKING:
    from cluster.checks import Judgement
    from cluster.checks.history import HistoryReport

INCONCLUSIVE = 3


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check")(check)


def check(
    file: Annotated[Path, typer.Argument(metavar="HISTORY", help="One JSON object a line; see docs/history.md.")],
    *,
    acks: Annotated[str | None, typer.Option(help="Of producers that the history says nothing about.")] = None,
    idempotence: Annotated[bool | None, typer.Option(help="Of the same producers.")] = None,
    isolation: Annotated[str | None, typer.Option(help="isolation.level of consumers, as above.")] = None,
    replication_factor: Annotated[int | None, typer.Option(help="Of topics that the history says nothing about.")] = (
        None
    ),
    min_insync_replicas: Annotated[int | None, typer.Option(help="Of the same topics.")] = None,
    unclean_elections: Annotated[bool | None, typer.Option(help="unclean.leader.election.enable, as above.")] = None,
    power_losses: Annotated[
        int, typer.Option(min=0, help="Replicas that lost power, and what they had not synced.")
    ] = 0,
    damaged_disks: Annotated[int, typer.Option(min=0, help="Replicas whose stored bytes were harmed.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One object.")] = False,
) -> None:
    """Look for every anomaly in a history and say which of them its configuration permits."""
    from cluster.checks import Adversity, SettingError, setting_from_json, weigh
    from cluster.checks.history import HistoryError, HistoryReader, check_history

    gc.disable()  # millions of facts without a cycle among them: looking for one takes a third of the time
    reader = HistoryReader()
    client = {"acks": acks, "enable.idempotence": idempotence, "isolation.level": isolation}
    topic = {
        "replication.factor": replication_factor,
        "min.insync.replicas": min_insync_replicas,
        "unclean.leader.election.enable": unclean_elections,
    }
    try:
        with file.open(encoding="utf-8-sig") as lines:
            operations = list(reader.read(lines))
        setting = setting_from_json(_with_defaults(reader.setting or {"type": "setting"}, client, topic))
        report = check_history(operations, setting)
    except (HistoryError, SettingError) as error:
        _complain(file, str(error))
    except UnicodeDecodeError:
        _complain(file, f"line {reader.line + 1}: is not UTF-8 text")
    except OSError as error:
        _complain(file, f"cannot be read: {error.strerror or error}")
    judgements = weigh(report, setting, lambda _: Adversity(power_losses, damaged_disks))
    code = exit_code(report, judgements)
    if as_json:
        print(json.dumps(_to_json(file, report, judgements, code)))
    else:
        print(_text(file, report, judgements, code))
    raise typer.Exit(code)


def exit_code(report: HistoryReport, judgements: tuple[Judgement, ...]) -> int:
    """Return what the process ends with: a history without a final reading is never vaguely green."""
    if any(not judgement.permitted for judgement in judgements):
        return 1
    return 0 if report.has_final_reading else INCONCLUSIVE


def _with_defaults(row: dict[str, Any], client: Mapping[str, Any], topic: Mapping[str, Any]) -> dict[str, Any]:
    """Let options say what the history does not."""
    changed = dict(row)
    for part, options in (("default-client", client), ("default-topic", topic)):
        given = {name: value for name, value in options.items() if value is not None}
        own = changed.get(part, {})
        changed[part] = {**given, **own} if isinstance(own, dict) else own
    return changed


def _complain(file: Path, problem: str) -> None:
    typer.echo(f"{file}: {problem}", err=True)
    raise typer.Exit(USAGE)


_TITLES = {0: "SOUND", 1: "BROKEN", INCONCLUSIVE: "INCONCLUSIVE"}


def _text(file: Path, report: HistoryReport, judgements: tuple[Judgement, ...], code: int) -> str:
    lines = [
        f"{_TITLES[code]}  {file}  {report.operations} operations",
        f"  sent {report.sent} · acked {report.acked} · failed {report.failed} · unknown {report.unknown}"
        f"      read {report.read} · worst lag {report.worst_realtime_lag_us / 1e6:.3f}s",
    ]
    if judgements:
        width = max(len(judgement.anomaly) for judgement in judgements)
        lines.append(f"  {'ANOMALY':{width}}  {'COUNT':>6}  VERDICT")
        for judgement in judgements:
            verdict = "permitted" if judgement.permitted else "not permitted"
            lines.append(f"  {judgement.anomaly:{width}}  {judgement.count:6}  {verdict}: {judgement.reason}")
            lines.append(f"  {'':{width}}  {'':6}    first: {judgement.first}")
    else:
        lines.append("  no anomaly was found")
    if not report.has_final_reading:
        lines.append('  no poll is marked "final": whether the last records are still there was not judged')
    return "\n".join(lines)


def _to_json(file: Path, report: HistoryReport, judgements: tuple[Judgement, ...], code: int) -> dict[str, Any]:
    return {
        "history": str(file),
        "verdict": {0: "sound", 1: "broken", INCONCLUSIVE: "inconclusive"}[code],
        "operations": report.operations,
        "sent": report.sent,
        "acked": report.acked,
        "failed": report.failed,
        "unknown": report.unknown,
        "read": report.read,
        "has_final_reading": report.has_final_reading,
        "worst_realtime_lag_us": report.worst_realtime_lag_us,
        "anomalies": [judgement.to_json() for judgement in judgements],
    }

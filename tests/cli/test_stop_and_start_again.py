"""A whole cluster is stopped in good order and started again on its data: quickly, and with everything there."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from command_line import Shell, produce, read_all

pytestmark = pytest.mark.live

BROKERS = ("b1", "b2", "b3")
SESSION_S = 9.0
VALUES = [f"value-{number}" for number in range(100)]


@pytest.mark.parametrize("combined", [("--combined",), ()], ids=["combined", "separate"])
def test_a_cluster_that_was_stopped_is_back_within_a_session_and_has_lost_nothing(
    tmp_path: Path, combined: tuple[str, ...]
) -> None:
    shell = Shell(tmp_path)
    up = ("up", "-d", *combined, "--port", "0", "--topic", "orders:1:3")
    started = shell.run(*up)
    assert started.returncode == 0, started.stderr
    produce(shell, "orders", VALUES)
    stopped_s = time.monotonic()
    down = shell.run("down")
    assert down.returncode == 0, down.stderr
    assert time.monotonic() - stopped_s < 5.0, "nobody was ended by force, and no session had to run out"
    for name in BROKERS:
        data = tmp_path / "default" / "data" / name
        assert (data / ".kafka_cleanshutdown").read_text().isdigit()
        recovery_point = (data / "orders-0" / "recovery-point-offset-checkpoint").read_text()
        assert recovery_point.split()[-1] == str(len(VALUES)), "the next start reads no record again"
        assert "ERROR" not in (data / "node.log").read_text()
    again_s = time.monotonic()
    started = shell.run(*up)
    assert started.returncode == 0, started.stderr
    assert time.monotonic() - again_s < SESSION_S, "no registration had to wait for an old session"
    assert read_all(shell, "orders", len(VALUES)) == VALUES
    assert shell.run("down", "--purge").returncode == 0

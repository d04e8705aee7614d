"""Every config in the table does something: a name that nothing reads would make people believe in a setting."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cluster.base.configs import DEFINITIONS

ROOT = Path(__file__).resolve().parents[2]
BASE = ROOT / "cluster" / "base"
TABLES = (BASE / "configs.py", BASE / "coordinator_configs.py")


def unread(names: Sequence[str]) -> list[str]:
    """Return the names that no code but the tables' own has as a string."""
    texts = [path.read_text() for path in sorted((ROOT / "cluster").rglob("*.py")) if path not in TABLES]
    return [name for name in names if not any(f'"{name}"' in text for text in texts)]


def test_every_config_is_read_somewhere() -> None:
    assert unread(list(DEFINITIONS)) == []


def test_a_config_that_nobody_reads_is_seen() -> None:
    assert unread(["min.insync.replicas", "no.such.config"]) == ["no.such.config"]

"""Was it right? One oracle a file: each watches the trace and says what must never be.

Outsiders take oracles from the registry by the name that scenarios use.
"""

from __future__ import annotations

from cluster.checks.contract import (
    DISK_DAMAGES,
    UNSYNCED_LOSSES,
    Adversity,
    Circumstances,
    Permission,
    permission,
)
from cluster.checks.judgement import Judgement, weigh
from cluster.checks.oracle import Evidence, Oracle, ReplicaBatch, ReplicaLog, Violation
from cluster.checks.panel import Panel
from cluster.checks.registry import ORACLES, WHITE_BOX
from cluster.checks.setting import (
    ClientSetting,
    Setting,
    SettingError,
    TopicSetting,
    setting_from_json,
    setting_to_json,
)

__all__ = [
    "DISK_DAMAGES",
    "ORACLES",
    "UNSYNCED_LOSSES",
    "WHITE_BOX",
    "Adversity",
    "Circumstances",
    "ClientSetting",
    "Evidence",
    "Judgement",
    "Oracle",
    "Panel",
    "Permission",
    "ReplicaBatch",
    "ReplicaLog",
    "Setting",
    "SettingError",
    "TopicSetting",
    "Violation",
    "permission",
    "setting_from_json",
    "setting_to_json",
    "weigh",
]

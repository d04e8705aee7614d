"""A panel: the oracles of one run, told of each event by its kind, with the model that some of them share.

Here: who is asked, and in which order. Not here: the oracles, or who feeds events (`cluster.scenario.observation`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cluster.base.trace import Traced
from cluster.checks.cluster_model import ClusterModel
from cluster.checks.oracle import Evidence, Oracle
from cluster.checks.setting import Setting


class Panel:
    """Oracles by name. An event goes to the model first, when any of them uses it."""

    def __init__(self, oracles: Iterable[Oracle], setting: Setting) -> None:
        self.setting = setting
        self.model = ClusterModel(setting)
        self.oracles: dict[str, Oracle] = {oracle.name: oracle for oracle in oracles}
        self.listeners: dict[str, list[Callable[[Traced], None]]] = {}
        """Whom to call for an event of a kind, in order."""
        if any(oracle.uses_model for oracle in self.oracles.values()):
            for kind in ClusterModel.kinds:
                self.listeners[kind] = [self.model.on_event]
        for oracle in self.oracles.values():
            oracle.begin(setting, self.model)
            for kind in oracle.kinds:
                self.listeners.setdefault(kind, []).append(oracle.on_event)

    def add(self, oracle: Oracle, past: Iterable[Traced]) -> None:
        """Ask one more, and show it what has happened; its model has to begin where it begins, so it is its own."""
        model = ClusterModel(self.setting)
        oracle.begin(self.setting, model)
        self.oracles[oracle.name] = oracle
        heard: dict[str, list[Callable[[Traced], None]]] = {}
        for kind in ClusterModel.kinds if oracle.uses_model else ():
            heard[kind] = [model.on_event]
        for kind in oracle.kinds:
            heard.setdefault(kind, []).append(oracle.on_event)
        for traced in past:
            for listener in heard.get(traced.event.kind, ()):
                listener(traced)
        for kind, listeners in heard.items():
            self.listeners.setdefault(kind, []).extend(listeners)

    def on_event(self, traced: Traced) -> None:
        """Take one event in."""
        for listener in self.listeners.get(traced.event.kind, ()):
            listener(traced)

    def at_end(self, evidence: Evidence) -> None:
        """Let every oracle judge what can only be judged at the end."""
        for oracle in self.oracles.values():
            if evidence.read_back or not oracle.needs_read_back:
                oracle.at_end(evidence)

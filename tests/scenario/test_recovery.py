"""A healed cluster is whole when every replica is back, whatever the metadata says of them meanwhile."""

from __future__ import annotations

from cluster.base.trace import NodeReady, PhaseBegan
from cluster.scenario import make_plan, read_document, run_in_simulation

KILLED_AT_THE_LAST_MOMENT = """
lab: v1
name: killed-at-the-last-moment
duration: 5s
cluster:
  brokers: 3
  controllers: 1
  profile: fast
  topics: {orders: {partitions: 1, replication-factor: 3}}
clients:
  p1: {produce: orders, rate: 10/s}
steps:
  - {id: crash, at: 4990ms, kill: one(followers(orders-0)), as: victim}
expect:
  - {id: same, finally: replicas-identical-below-high-watermark}
"""


def test_who_comes_back_within_its_old_session_is_waited_for() -> None:
    """It is in sync by the metadata, and may not register before the session of its dead process is over."""
    run = run_in_simulation(make_plan(read_document(KILLED_AT_THE_LAST_MOMENT)), 1, "")
    (began_us,) = [one.time_us for one in run.trace if one.event == PhaseBegan("read-back")]
    ready_us = [one.time_us for one in run.trace if isinstance(one.event, NodeReady)]
    assert len(ready_us) == 4, "three brokers, and the one that came back"
    assert max(ready_us) < began_us
    assert run.result.verdict == "as-expected", run.result

"""Runs for the tests of reports: one real run of each variant of a short scenario, made once."""

from __future__ import annotations

from functools import cache

from cluster.scenario import Plan, Run, make_all_plans, read_document, run_in_simulation

HOSTILE = """<script>document.title="owned"</script>"""
"""Text of a user that must come out as text."""

SCENARIO = f"""
lab: v1
name: short-crash
duration: 12s
lesson:
  teaches: "acks=1 loses what only a dead leader had {HOSTILE.replace('"', "'")}"
  predict: "How many records are lost & why < all?"
cluster:
  controllers: 1
  profile: fast
  topics: {{orders: {{partitions: 1, replication-factor: 3, config: {{min.insync.replicas: 2}}}}}}
clients:
  p1: {{produce: orders, rate: 50/s}}
  slow-reader: {{consume: orders}}
steps:
  - {{id: lag, at: 1s, slow: followers(orders-0) -> leader(orders-0), apis: [Fetch], latency: 300ms, for: 4s}}
  - {{id: crash, at: 3s, kill: leader(orders-0), as: victim, note: "the <b>leader</b> dies"}}
  - {{id: elected, after: crash, when: leader(orders-0) != $victim, timeout: 5s}}
  - {{id: back, after: crash + 4s, start: $victim}}
expect:
  - {{id: durable, finally: no-lost-acks}}
  - {{id: gone, sometimes: leader(orders-0) == none}}
variants:
  acks-1: {{patch: {{clients: {{p1: {{acks: 1}}}}}}, verdicts: {{durable: violated}}}}
"""


@cache
def reported_runs() -> tuple[tuple[Plan, Run], ...]:
    """Run the scenario and its variant once for all tests."""
    plans = make_all_plans(read_document(SCENARIO))
    return tuple((plan, run_in_simulation(plan, 1, f"fencepost run short.yaml {HOSTILE}")) for plan in plans)

"""A run that ended without some of its steps says so: nobody shall believe in a fault that never happened."""

from __future__ import annotations

from cluster.report import terminal_text
from cluster.report.page import boil_down, render_page
from cluster.scenario import make_plan, read_document, run_in

SCENARIO = """
lab: v1
name: in-vain
duration: 4s
cluster: {controllers: 1, profile: fast, topics: {orders: {partitions: 1, replication-factor: 3}}}
steps:
  - {id: seven, when: isr(orders-0).size == 7, timeout: 1s}
  - {id: crash, after: seven, kill: leader(orders-0)}
  - {id: lag, at: 1s, slow: followers(orders-0) -> leader(orders-0), latency: 5ms, for: 1s}
  - {id: wrong-way, at: 1s, kill: elr(orders-0), timeout: 1s}
"""


def test_steps_that_did_not_fire_are_told_with_the_reason() -> None:
    document = read_document(SCENARIO)
    run = run_in("sim", make_plan(document), 1, "replay")
    assert run.result.unfired == (
        "step seven did not fire: not once isr(orders-0).size == 7 in 1.0s",
        "step crash did not fire: its moment did not come",
        "step wrong-way did not fire: nobody was there for it in 1.0s",
    )
    assert "○ step crash did not fire" in terminal_text(run.result)
    page = render_page(document, [boil_down(run.result, {"clients": {}, **document}, run.trace)])
    assert "step crash did not fire" in page
    assert "followers(orders-0) -&gt; leader(orders-0)" in page, "a link's two ends are told apart"


def test_a_run_that_was_not_read_back_does_not_say_that_nothing_was_lost() -> None:
    document = read_document(SCENARIO.replace("steps:", "steps:\n  - {id: gone, at: 2s, remove-broker: b3}"))
    run = run_in("sim", make_plan(document), 1, "replay")
    assert not run.result.is_read_back
    assert "lost acked ? (not read)" in terminal_text(run.result)

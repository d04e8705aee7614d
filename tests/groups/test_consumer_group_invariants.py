"""The invariants of KIP-848's TLA+ specification, over random histories: after every step, and when all has settled.

Members join, send heartbeats whose answers may be lost, revoke late, crash, leave and come back; topics come, grow, go
and are made anew; the coordinator moves to another broker; the log refuses to be written to; time passes.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest
from driven_consumers import Consumer, DrivenConsumers, settle

from cluster.base.errors import ErrorCode
from cluster.groups import ConsumerGroup, ConsumerGroupState, MemberState
from cluster.groups.consumer import reconciliation, turn

SIZES = (0, 1, 3, 5)
TOPICS = ("orders", "payments", "refunds")
SUBSCRIPTIONS = (("orders",), ("orders", "payments"), TOPICS, ("refunds",))


class History:
    """One random history. `step` does one thing and looks whether everything still holds."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.groups = DrivenConsumers({"orders": 3, "payments": 2}, **self._settings())
        self.consumers: list[Consumer] = []
        self.epochs: dict[str, int] = {}
        self.born = 0

    def _settings(self) -> dict[str, Any]:
        names = ("uniform", "range") if self.rng.random() < 0.5 else ("range", "uniform")
        return {"assignors": names}

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.step()
        self.groups.log_is_full = False
        self.finish()

    def step(self) -> None:
        actions = (self.beat, self.beat, self.beat, self.revoke, self.revoke, self.join, self.leave, self.crash)
        more = (self.change_topics, self.move, self.wait, self.fill_log, self.change_subscription)
        self.rng.choice((*actions, *actions, *more))()
        self.check()

    # --- what happens -------------------------------------------------------------------------

    def join(self) -> None:
        if len(self.consumers) < 5:
            self.born += 1
            topics = self.rng.choice(SUBSCRIPTIONS)
            settings: dict[str, Any] = {"assignor": self.rng.choice((None, "uniform", "range"))}
            if self.rng.random() < 0.3:
                settings["regex"] = self.rng.choice(("ord.*", ".*s", "re(f|g)unds"))
            self.consumers.append(Consumer(self.groups, f"m{self.born}", *topics, **settings))
            self.consumers[-1].beat()

    def beat(self) -> None:
        if self.consumers:
            is_lost = self.rng.random() < 0.2
            self.rng.choice(self.consumers).beat(answer_is_lost=is_lost, reports=self.rng.random() < 0.7)

    def revoke(self) -> None:
        if self.consumers:
            self.rng.choice(self.consumers).revoke()

    def leave(self) -> None:
        if self.consumers:
            self.consumers.pop(self.rng.randrange(len(self.consumers))).leave()

    def crash(self) -> None:
        """A client ends without a word; nobody reads from what it owned any more."""
        if self.consumers:
            self.consumers.pop(self.rng.randrange(len(self.consumers)))

    def change_subscription(self) -> None:
        if self.consumers:
            consumer = self.rng.choice(self.consumers)
            consumer.topics, consumer.tells_all = self.rng.choice(SUBSCRIPTIONS), True

    def change_topics(self) -> None:
        sizes = {name: self.rng.choice(SIZES) for name in TOPICS}
        generation = self.rng.randrange(2)
        self.groups.have_topics({name: size for name, size in sizes.items() if size}, generation)

    def move(self) -> None:
        """Another broker coordinates, with what is in the log."""
        self.groups = self.groups.moved()
        for consumer in self.consumers:
            consumer.groups = self.groups

    def wait(self) -> None:
        """Time passes; whoever lives has sent heartbeats meanwhile."""
        for consumer in self.consumers:
            consumer.beat(reports=False)
        self.groups.sleep(self.rng.choice((1_000, 30_000, 44_000)))

    def fill_log(self) -> None:
        self.groups.log_is_full = not self.groups.log_is_full

    # --- what must hold -----------------------------------------------------------------------

    @property
    def group(self) -> ConsumerGroup | None:
        group = self.groups.shard._groups.get("g")
        assert group is None or isinstance(group, ConsumerGroup)
        return group

    def check(self) -> None:
        self.check_believed()
        if self.group is not None:
            check_group(self.group, self.groups)
            for member_id, member in self.group.members.items():
                assert self.epochs.get(member_id, 0) <= member.epoch, f"the epoch of {member_id} goes back"
                self.epochs[member_id] = member.epoch
            gone = [member_id for member_id in self.epochs if member_id not in self.group.members]
            for member_id in gone:
                del self.epochs[member_id]

    def check_believed(self) -> None:
        """No two members that live and are not fenced both believe that they own a partition."""
        owners: dict[Any, str] = {}
        for consumer in self.consumers:
            member = self.group.members.get(consumer.member_id) if self.group is not None else None
            if member is None or consumer.epoch not in (member.epoch, member.previous_epoch):
                continue  # fenced: what it does counts for nothing
            for partition in sorted(consumer.owned):
                assert partition not in owners, f"{consumer.member_id} and {owners[partition]} own {partition}"
                owners[partition] = consumer.member_id

    def finish(self) -> None:
        """With nothing in the way any more, the group converges to its target assignment."""
        self.groups.sleep(0)
        settle(*self.consumers, rounds=60)
        self.groups.sleep(50_000)
        settle(*self.consumers, rounds=60)
        self.check()
        group = self.group
        if group is not None and self.consumers:
            assert group.state is ConsumerGroupState.STABLE, group.state
            assert {consumer.member_id for consumer in self.consumers} == set(group.members)
            for consumer in self.consumers:
                assert consumer.owned == group.targets[consumer.member_id]
                assert consumer.epoch == group.epoch


def check_group(group: ConsumerGroup, groups: DrivenConsumers) -> None:
    """What holds of a group at any time, as its coordinator knows it."""
    owned: list[Any] = []
    targeted: list[Any] = []
    for member_id, member in group.members.items():
        owned += sorted(member.owned)
        targeted += sorted(group.targets.get(member_id, frozenset()))
        assert not member.assigned & member.revoking
        assert member.epoch <= group.target_epoch <= group.epoch
        assert bool(member.revoking) <= (member.state is MemberState.UNREVOKED_PARTITIONS)
        if member.epoch == group.target_epoch:  # whoever is there owns nothing that is another's
            others = frozenset(part for key, target in group.targets.items() if key != member_id for part in target)
            assert not member.assigned & others
    assert len(owned) == len(set(owned)), "a partition has two owners"
    assert len(targeted) == len(set(targeted)), "a partition is assigned twice"
    if group.state is ConsumerGroupState.STABLE:
        assert all(member.epoch == group.epoch and not member.revoking for member in group.members.values())
    if group.members and group.topics_seen == groups.topics.version and group.epoch == group.target_epoch:
        image = groups.topics.image
        wanted = [
            (image.topics[name].topic_id, number)
            for name in group.subscribed_topics()
            if name in image.topics
            for number in range(len(image.topics[name].partitions))
        ]
        assert sorted(targeted) == sorted(wanted), "every subscribed partition is assigned once"


@pytest.mark.parametrize("seed", range(150))
def test_the_invariants_hold_after_every_step_and_the_group_converges(seed: int) -> None:
    History(seed).run(120)


@pytest.mark.parametrize("bug", ["assigns what others own", "forgets to wait for the revocation", "never assigns anew"])
def test_a_planted_bug_is_found(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if bug == "assigns what others own":
        honest = reconciliation.reconcile

        def reconcile(member: Any, epoch: int, target: Any, owned_by_others: Any, reported: Any) -> Any:
            return honest(member, epoch, target, frozenset(), reported)

        monkeypatch.setattr(turn, "reconcile", reconcile)
    elif bug == "forgets to wait for the revocation":
        honest = reconciliation.reconcile

        def reconcile(member: Any, epoch: int, target: Any, owned_by_others: Any, reported: Any) -> Any:
            return honest(member, epoch, target, owned_by_others, frozenset())

        monkeypatch.setattr(turn, "reconcile", reconcile)
    else:
        monkeypatch.setattr(turn, "assign_if_due", lambda turn: None)
        monkeypatch.setattr("cluster.groups.consumer.heartbeat.assign_if_due", lambda turn: None)
    with pytest.raises(AssertionError):
        for seed in range(50):
            History(seed).run(120)


def test_an_answer_that_was_lost_is_given_again() -> None:
    groups = DrivenConsumers()
    first = groups.join_new("m1")
    again = groups.join_new("m1")
    assert again == first and again.error is ErrorCode.NONE
    assert replace(again, assignment=None).member_epoch == 1

"""Reconciliation: one step of a member towards its target assignment (Kafka: `CurrentAssignmentBuilder`).

Here: pure arithmetic on one member. What keeps two members from owning one partition is all here: nothing is given
before the member has revoked what it must, and nothing that somebody else owns or may still own is given at all.
"""

from __future__ import annotations

from dataclasses import replace

from cluster.groups.consumer.group import ConsumerMember
from cluster.groups.consumer.partitions import NO_PARTITIONS, Partitions
from cluster.groups.consumer.states import MemberEvent, MemberState, is_due, next_member_state


def reconcile(
    member: ConsumerMember,
    target_epoch: int,
    target: Partitions,
    owned_by_others: Partitions,
    reported: Partitions | None,
) -> ConsumerMember:
    """Return the member after one step, or as it is when none is due.

    `reported` is what the member says that it owns now; None when it does not say.
    """
    has_revoked = reported is not None and not reported & member.revoking
    if not is_due(member.state, is_behind=member.epoch != target_epoch, has_revoked=has_revoked):
        return member
    # What it had to revoke is revoked: that completes the epoch, though not the way to the latest target.
    epoch = member.epoch + 1 if member.state is MemberState.UNREVOKED_PARTITIONS else member.epoch
    kept = member.assigned & target
    to_revoke = member.assigned - kept
    if to_revoke and (reported is None or reported & to_revoke):
        state = next_member_state(member.state, MemberEvent.MUST_REVOKE)
        return replace(member.in_epoch(epoch), state=state, assigned=kept, revoking=to_revoke)
    to_assign = target - kept
    released = to_assign - owned_by_others
    event = MemberEvent.RECONCILED if released == to_assign else MemberEvent.MUST_WAIT
    state = next_member_state(member.state, event)
    reconciled = replace(member, state=state, assigned=kept | released, revoking=NO_PARTITIONS)
    if reconciled == member and member.epoch == target_epoch:
        return member  # it still waits
    return reconciled.in_epoch(target_epoch)

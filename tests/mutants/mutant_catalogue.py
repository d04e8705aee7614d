"""Every planted mutant: its schedule, and the checker that notices it.

Here: the table. Not here: what each of them does (`raft_mutants`, `replication_mutants`, `controller_mutants`,
`coordinator_mutants`, `compaction_mutants`), or running them (`mutant_hunt`).

`caught_by` names an oracle (`cluster/checks/registry.py`), a check of the schedule, or an assertion of the brokers.
"""

from __future__ import annotations

from compaction_mutants import (
    compact_above_the_high_watermark,
    keep_the_older_of_two_values,
    remove_a_tombstone_at_once,
)
from controller_mutants import (
    answer_before_the_quorum_has_it,
    elect_from_outside_the_isr,
    forget_the_epochs_of_a_proposal,
    keep_a_fenced_broker_in_the_isr,
    keep_the_elr_for_good,
    keep_the_leader_epoch,
    trust_a_lost_log,
)
from coordinator_mutants import (
    commit_offsets_unreplicated,
    forget_producer_epochs,
    give_a_partition_to_two_members,
    lose_a_marker,
    read_to_the_high_watermark,
    serve_aborted_records,
    take_commits_of_a_lost_member,
    write_markers_before_the_decision_is_durable,
)
from mutant_hunt import Mutant
from raft_mutants import (
    acknowledge_before_the_disk_has_it,
    campaign_without_asking,
    commit_an_old_term_by_counting,
    commit_what_one_voter_has,
    skip_the_sync_of_a_vote,
    vote_for_an_incomplete_log,
    vote_twice_in_a_term,
    win_with_a_minority,
)
from replication_mutants import (
    acknowledge_before_the_isr_has_it,
    append_a_response_twice,
    commit_below_min_isr,
    commit_over_a_silent_member,
    commit_what_the_leader_has,
    expand_the_isr_too_early,
    forget_producers_when_following,
    forget_the_flush,
    forget_the_flush_of_a_follower,
    ignore_sequence_numbers,
    read_above_the_high_watermark,
    shrink_the_isr_unconfirmed,
    truncate_nothing_on_divergence,
    truncate_to_the_high_watermark,
)

MUTANTS = (
    # the metadata quorum
    Mutant(vote_twice_in_a_term, "voters", "raft-one-vote-per-term"),
    Mutant(skip_the_sync_of_a_vote, "voters", "raft-terms-monotonic"),
    Mutant(vote_for_an_incomplete_log, "voter-left-behind", "raft-leader-completeness"),
    Mutant(acknowledge_before_the_disk_has_it, "voters", "raft-commits-held-by-majority"),
    Mutant(commit_an_old_term_by_counting, "busy-quorum", "raft-commits-held-by-majority"),
    Mutant(commit_what_one_voter_has, "voters", "raft-commits-held-by-majority"),
    Mutant(win_with_a_minority, "cut-off-controllers", "one-active-controller-per-epoch"),
    Mutant(campaign_without_asking, "returning-voter", "leader-undisturbed"),
    # the controller
    Mutant(forget_the_epochs_of_a_proposal, "stale-proposal", "leader-candidate-completeness"),
    Mutant(keep_a_fenced_broker_in_the_isr, "leader-crash", "valid-isr-and-elr"),
    Mutant(elect_from_outside_the_isr, "nobody-left", "leader-completeness"),
    Mutant(keep_the_leader_epoch, "leader-crash", "one-leader-per-epoch"),
    Mutant(trust_a_lost_log, "last-replica", "no-committed-record-lost-globally"),
    Mutant(keep_the_elr_for_good, "leader-crash", "valid-isr-and-elr"),
    Mutant(answer_before_the_quorum_has_it, "minority-of-two-kinds", "leader-completeness"),
    # leaders
    Mutant(acknowledge_before_the_isr_has_it, "leader-crash", "acks-all-means-committed"),
    Mutant(commit_what_the_leader_has, "leader-crash", "leader-candidate-completeness"),
    Mutant(commit_over_a_silent_member, "silent-member", "weak-isr"),
    Mutant(commit_below_min_isr, "last-replica", "commit-needs-min-isr"),
    Mutant(shrink_the_isr_unconfirmed, "in-and-out-of-the-isr", "weak-isr"),
    Mutant(expand_the_isr_too_early, "late-joiner", "leader-candidate-completeness"),
    Mutant(read_above_the_high_watermark, "leader-crash", "consumers-below-high-watermark"),
    Mutant(forget_the_flush, "power-loss", "no-lost-acks"),
    # followers
    Mutant(truncate_to_the_high_watermark, "two-leader-crashes", "leader-completeness"),
    Mutant(truncate_nothing_on_divergence, "tail-of-a-deposed-leader", "log-matching"),
    Mutant(forget_the_flush_of_a_follower, "power-loss", "no-committed-record-lost-globally"),
    Mutant(append_a_response_twice, "leader-crash", "replicas-identical-below-high-watermark"),
    # producers
    Mutant(ignore_sequence_numbers, "leader-crash", "no-duplicates"),
    Mutant(forget_producers_when_following, "leader-crash", "no-duplicates"),
    # compaction
    Mutant(keep_the_older_of_two_values, "compaction", "compaction-keeps-the-latest"),
    Mutant(remove_a_tombstone_at_once, "compaction", "compaction-keeps-the-latest"),
    Mutant(compact_above_the_high_watermark, "compaction", "compaction-keeps-the-latest"),
    # groups and transactions
    Mutant(commit_offsets_unreplicated, "group-coordinator-crash", "committed-offsets-kept"),
    Mutant(take_commits_of_a_lost_member, "lost-worker", "commits-fenced-by-generation"),
    Mutant(give_a_partition_to_two_members, "group-coordinator-crash", "one-owner-per-generation"),
    Mutant(write_markers_before_the_decision_is_durable, "transaction-coordinator-crash", "copied-exactly-once"),
    Mutant(lose_a_marker, "transaction-coordinator-crash", "no-stuck-lso"),
    Mutant(forget_producer_epochs, "zombie-producer", "transactions-atomic"),
    Mutant(serve_aborted_records, "transaction-coordinator-crash", "aborted-never-read"),
    Mutant(read_to_the_high_watermark, "transaction-coordinator-crash", "read-committed-below-lso"),
)
"""All of them, by what they break."""

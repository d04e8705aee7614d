"""no-stuck-lso: when all is healed and over, no transaction is left open: readers of committed records get to the end.

A transaction that nobody will ever end (KIP-664 calls it hanging) stops them for good. Judged on the last stable
offsets when everything was read back, against the high watermarks.
"""

from __future__ import annotations

from cluster.checks.oracle import Evidence, Oracle, Violation


class NoStuckLso(Oracle):
    """Every partition's last stable offset has reached its high watermark."""

    name = "no-stuck-lso"

    def at_end(self, evidence: Evidence) -> None:
        """Compare the two ends."""
        for partition, stable in evidence.stable_offsets.items():
            end = evidence.high_watermarks.get(partition, stable)
            if stable < end:
                message = f"{partition} is stable up to {stable} of {end}: a transaction there is never ended"
                self.violated(Violation(evidence.time_us, message, partition, stable))

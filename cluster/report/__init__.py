"""What happened: the cluster as the trace tells it, the result of a run, and how both read."""

from cluster.report.cluster_view import ClientView, ClusterView, NodeView, ReplicaView
from cluster.report.junit import junit_xml
from cluster.report.leader_gaps import LeaderGaps
from cluster.report.page import RunPage, boil_down, render_page
from cluster.report.result import EXIT_CODES, Anomaly, CheckResult, Outcome, RunResult, Sighting, Verdict, verdict_of
from cluster.report.story import Story, tell_story
from cluster.report.terminal import terminal_text

__all__ = [
    "EXIT_CODES",
    "Anomaly",
    "CheckResult",
    "ClientView",
    "ClusterView",
    "LeaderGaps",
    "NodeView",
    "Outcome",
    "ReplicaView",
    "RunPage",
    "RunResult",
    "Sighting",
    "Story",
    "Verdict",
    "boil_down",
    "junit_xml",
    "render_page",
    "tell_story",
    "terminal_text",
    "verdict_of",
]

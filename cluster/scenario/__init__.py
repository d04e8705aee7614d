"""The scenario language and its runner: one cluster, some clients, one fault schedule, and what must be seen.

The face: read a document, make plans of it, run a plan in a world. Importing it loads aiokafka.
"""

from cluster.scenario.complaints import line_of
from cluster.scenario.document import Document, read_document, with_override
from cluster.scenario.errors import ScenarioError
from cluster.scenario.experiment import Broken, Lab
from cluster.scenario.exploration import Exploration, ExploredSeeds
from cluster.scenario.explore import explored
from cluster.scenario.found import found_text, recorded_failure
from cluster.scenario.plan import Plan
from cluster.scenario.planner import make_all_plans, make_plan
from cluster.scenario.run_folder import RunFolder
from cluster.scenario.runner import Run, run_plan
from cluster.scenario.schema import Lesson, Scenario, check_schema, json_schema
from cluster.scenario.shrink import Shrunk, shrink
from cluster.scenario.trial import Failure, Trial, fails_alike, try_document
from cluster.scenario.worlds import World, run_in, run_in_simulation, run_on_processes, run_story

__all__ = [
    "Broken",
    "Document",
    "Exploration",
    "ExploredSeeds",
    "Failure",
    "Lab",
    "Lesson",
    "Plan",
    "Run",
    "RunFolder",
    "Scenario",
    "ScenarioError",
    "Shrunk",
    "Trial",
    "World",
    "check_schema",
    "explored",
    "fails_alike",
    "found_text",
    "json_schema",
    "line_of",
    "make_all_plans",
    "make_plan",
    "read_document",
    "recorded_failure",
    "run_in",
    "run_in_simulation",
    "run_on_processes",
    "run_plan",
    "run_story",
    "shrink",
    "try_document",
    "with_override",
]

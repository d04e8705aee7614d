"""Where the rows, dots and arrows of a Lamport diagram go, in pixels: like the graph of a version control log.

Lanes stand on the left, one a node; time runs down; the words of a row stand to the right, so that a narrow screen has
room for them. Pure arithmetic. Not here: which events are shown (`lamport`), or the markup (`templates`).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot

from cluster.report.lamport import Diagram, Row

LANE_PX = 26
ROW_PX = 42
NOTE_PX = 26
LATER_S = 0.75
"""A pause of at least so long is said in words."""

_HEAD_PX = 7.0
_DOT_PX = 5.5


@dataclass(frozen=True, slots=True)
class PlacedRow:
    """A row and its height; a note stands for what is not drawn, and has no event."""

    height: int
    row: Row | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Dot:
    """An event on its lane."""

    x: float
    y: float
    tone: str


@dataclass(frozen=True, slots=True)
class PlacedDiagram:
    """A diagram ready to be written down. `lines` and `heads` are SVG path data."""

    heading: str
    about: str
    lanes: tuple[tuple[str, float], ...]
    rows: tuple[PlacedRow, ...]
    dots: tuple[Dot, ...]
    lines: str
    heads: str
    width: int
    height: int

    @property
    def has_long_names(self) -> bool:
        """Whether a lane's name is wider than the lane."""
        return any(len(name) > 3 for name, _ in self.lanes)

    @property
    def head_height(self) -> int:
        """How high the longest name stands."""
        return min(12 + 8 * max((len(name) for name, _ in self.lanes), default=0), 126)


def place_diagram(diagram: Diagram, heading: str, about: str) -> PlacedDiagram:
    """Return a diagram with everything in its place."""
    x_of = {name: LANE_PX * (index + 0.5) for index, name in enumerate(diagram.lanes)}
    placed: list[PlacedRow] = []
    centres: list[float] = []
    top = 0
    for row in diagram.rows:
        note = _note(row)
        if note:
            placed.append(PlacedRow(NOTE_PX, None, note))
            top += NOTE_PX
        placed.append(PlacedRow(ROW_PX, row))
        centres.append(top + ROW_PX / 2)
        top += ROW_PX
    dots = tuple(
        Dot(x_of[row.lane], centre, row.tone) for row, centre in zip(diagram.rows, centres, strict=True) if row.lane
    )
    lines: list[str] = []
    heads: list[str] = []
    for arrow in diagram.arrows:
        source, target = diagram.rows[arrow.source], diagram.rows[arrow.target]
        if not source.lane or not target.lane:
            continue
        line, head = _arrow(x_of[source.lane], centres[arrow.source], x_of[target.lane], centres[arrow.target])
        lines.append(line)
        heads.append(head)
    return PlacedDiagram(
        heading=heading,
        about=about,
        lanes=tuple(x_of.items()),
        rows=tuple(placed),
        dots=dots,
        lines="".join(lines),
        heads="".join(heads),
        width=LANE_PX * max(len(diagram.lanes), 1),
        height=top,
    )


def _note(row: Row) -> str:
    parts: list[str] = []
    if row.elided:
        parts.append(f"{row.elided} more record{'' if row.elided == 1 else 's'}")
    if row.gap_s >= LATER_S:
        parts.append(f"{row.gap_s:.3f} s later")
    return " · ".join(parts)


def _arrow(x0: float, y0: float, x1: float, y1: float) -> tuple[str, str]:
    """Return the path of a line between two dots, and of the head at its end."""
    length = hypot(x1 - x0, y1 - y0)
    along_x, along_y = (x1 - x0) / length, (y1 - y0) / length
    start_x, start_y = x0 + along_x * _DOT_PX, y0 + along_y * _DOT_PX
    tip_x, tip_y = x1 - along_x * _DOT_PX, y1 - along_y * _DOT_PX
    back_x, back_y = tip_x - along_x * _HEAD_PX, tip_y - along_y * _HEAD_PX
    side_x, side_y = -along_y * _HEAD_PX / 2, along_x * _HEAD_PX / 2
    line = f"M{start_x:.1f} {start_y:.1f}L{back_x:.1f} {back_y:.1f}"
    head = (
        f"M{tip_x:.1f} {tip_y:.1f}L{back_x + side_x:.1f} {back_y + side_y:.1f}"
        f"L{back_x - side_x:.1f} {back_y - side_y:.1f}Z"
    )
    return line, head

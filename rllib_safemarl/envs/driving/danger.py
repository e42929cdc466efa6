"""How far each agent is from danger, along the roads.

The margin of agent i is the least over all others j of

- ``d_ij - V_ij² / (2 b_ij) - κ_s`` where one drives behind the other: d_ij the gap from bumper to bumper
along the
  path of the one behind, V_ij how fast that gap closes, b_ij the braking of the one behind, or of both
  where they drive at each other, κ_s the clearance that must remain. It counts for both.
- where their paths meet, the largest of four: by how much either could still stop κ_s before the place
where they
  meet, and the rule above for either as if it drove behind the other through that place.

Danger is a margin below 0.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from rllib_safemarl.envs.driving.fleet import LENGTH, OBSTACLE, WIDTH, Fleet
from rllib_safemarl.envs.driving.lanes import Array, Index
from rllib_safemarl.envs.driving.network import NONE
from rllib_safemarl.envs.driving.paths import SIDE, Meetings, Paths

HORIZON = 80.0
"""Who is further away does not matter, centre to centre, metres."""


@dataclass(frozen=True)
class Danger:
    """How agents stand to others.

    Attributes:
        margin: ``[N, A]`` signed distance to danger, metres.
        gap: ``[N, A]`` to the next ahead on the path, from bumper to bumper, metres; ``HORIZON`` for nobody.
        closing: ``[N, A]`` how fast that gap closes, metres per second; negative where it grows, 0 for
            nobody.
        most_endangering: ``[N, A]`` who is behind the margin; ``-1`` for nobody.
        met: the M places where agents' ways meet those of others.
    """

    margin: Array
    gap: Array
    closing: Array
    most_endangering: Index
    met: Met


class DangerRule:
    """The rule for one environment.

    Args:
        meetings: where lanes meet.
        braking: of every vehicle, metres per second squared.
        clearance: κ_s, metres.
    """

    def __init__(self, meetings: Meetings, braking: float, clearance: float) -> None:
        self.meetings, self.braking, self.clearance = meetings, braking, clearance

    def __call__(self, fleet: Fleet, paths: Paths) -> Danger:
        """Margins of all agents as they stand."""
        copies, agents = fleet.shape[0], fleet.agents
        margin = np.full((copies, agents), HORIZON - LENGTH - self.clearance)
        gap, closing = np.full((copies, agents), HORIZON), np.zeros((copies, agents))
        worst = np.full((copies, agents), -1, np.intp)
        pairs = near_pairs(fleet)
        _lower(margin, worst, *self._behind(fleet, paths, *pairs, gap, closing))
        met = meetings_of(
            self.meetings, fleet, paths, *(pairs if self.meetings.any else (p[:0] for p in pairs))
        )
        met = replace(met, margin=self._meeting(fleet, met))
        _lower(margin, worst, met.copy, met.first, met.second, met.margin)
        return Danger(margin, gap, closing, worst, met)

    # One behind the other.

    def _behind(
        self,
        fleet: Fleet,
        paths: Paths,
        copy: Index,
        first: Index,
        second: Index,
        gap: Array,
        closing: Array,
    ) -> tuple[Index, Index, Index, Array]:
        """Copy, one, other and margin of all pairs on one path; fills gaps and closing speeds of agents."""
        # Either may be the one behind, but obstacles never are.
        drives = second < fleet.shape[1]
        copies = np.concatenate([copy, copy[drives]])
        rear = np.concatenate([first, second[drives]])
        front = np.concatenate([second, first[drives]])
        distance, speed, oncoming = self._along(fleet, paths, copies, rear, front)
        # Near in the plane may be far along the path: roads out lead back in at their ends.
        found = np.flatnonzero(distance < HORIZON)
        copies, rear, front = copies[found], rear[found], front[found]
        distance, speed = distance[found], speed[found]
        brakes = self.braking * (1.0 + oncoming[found])
        own = np.flatnonzero(rear < fleet.agents)
        far_first = own[np.argsort(-distance[own], kind="stable")]
        gap[copies[far_first], rear[far_first]] = distance[far_first]
        closing[copies[far_first], rear[far_first]] = speed[far_first]
        approach = np.maximum(speed, 0.0)
        margin = distance - approach * approach / (2.0 * brakes) - self.clearance
        return copies, rear, front, margin

    def _along(
        self, fleet: Fleet, paths: Paths, copy: Index, rear: Index, front: Index
    ) -> tuple[Array, Array, Array]:
        """Gap along the path of ``rear``, infinite where nobody is on it; closing speed; if oncoming."""
        lanes, vehicles = fleet.network.lanes, fleet.shape[1]
        lane, offset = paths.lane[copy, rear], paths.offset[copy, rear]
        there = np.maximum(lane, 0)
        s = fleet.s[there, copy[:, None], front[:, None]]
        r = fleet.r[there, copy[:, None], front[:, None]]
        moves = front < vehicles
        slot = np.where(moves, front, 0)
        turned = np.where(moves, fleet.heading[copy, slot], 0.0)[:, None] - lanes.heading_at(there, s)
        cos, sin = np.cos(turned), np.sin(turned)
        long, wide = np.where(moves, LENGTH, OBSTACLE)[:, None], np.where(moves, WIDTH, OBSTACLE)[:, None]
        half_long = 0.5 * (long * np.abs(cos) + wide * np.abs(sin))
        half_wide = 0.5 * (long * np.abs(sin) + wide * np.abs(cos))
        way = offset + s
        # Who aims for a lane takes up room there at once.
        aims = np.where(moves, fleet.target[copy, slot], NONE)[:, None] == there
        in_the_way = aims | (np.abs(r) < 0.5 * WIDTH + half_wide + SIDE)
        on_path = (lane >= 0) & in_the_way & (way >= 0.0)
        on_path &= (s >= -half_long) & (s <= lanes.length[there] + half_long)
        distance = np.where(on_path, way - 0.5 * LENGTH - half_long, np.inf)
        nearest = distance.argmin(1)
        every = np.arange(len(copy))
        other = np.where(moves, fleet.speed[copy, slot], 0.0) * cos[every, nearest]
        return distance[every, nearest], fleet.speed[copy, rear] - other, other < 0.0

    # Where ways meet.

    def _meeting(self, fleet: Fleet, met: Met) -> Array:
        """``[M]`` margins of all pairs whose ways meet."""
        speed, other_speed = fleet.speed[met.copy, met.first], fleet.speed[met.copy, met.second]
        return np.max(
            [
                self._clear(met.enter[0], speed),
                self._clear(met.enter[1], other_speed),
                self._clear(met.enter[0] - met.leave[1], speed - other_speed),
                self._clear(met.enter[1] - met.leave[0], other_speed - speed),
            ],
            axis=0,
            initial=-np.inf,
        )

    def _clear(self, distance: Array, speed: Array) -> Array:
        """``d − V² / (2 b) − κ_s``."""
        approach = np.maximum(speed, 0.0)
        return distance - approach * approach / (2.0 * self.braking) - self.clearance


@dataclass(frozen=True)
class Met:
    """M places where the ways of two vehicles meet.

    Attributes:
        copy, first, second: ``[M]`` who.
        lane: ``[2, M]`` on which lane of either's path.
        enter: ``[2, M]`` from the front of either to the place where it could touch the other, metres.
        leave: ``[2, M]`` until the rear of either has left it, metres.
        margin: ``[M]`` signed distance to danger there, metres; infinite before a rule has measured it.
    """

    copy: Index
    first: Index
    second: Index
    lane: Index
    enter: Array
    leave: Array
    margin: Array

    def both_ways(self, agents: int) -> Met:
        """Every meeting as each agent in it sees it: first whoever decides, then the other."""
        pairs = {name: getattr(self, name)[::-1] for name in ("lane", "enter", "leave")}
        turned = replace(self, first=self.second, second=self.first, **pairs)
        sides = [(side, side.first < agents) for side in (self, turned)]
        columns = {
            field.name: np.concatenate([getattr(side, field.name)[..., rows] for side, rows in sides], -1)
            for field in fields(Met)
        }
        return Met(**columns)


def meetings_of(
    meetings: Meetings, fleet: Fleet, paths: Paths, copy: Index, first: Index, second: Index
) -> Met:
    """The meeting places of pairs that neither has left behind; obstacles have none."""
    drives = second < fleet.shape[1]
    copy, first, second = copy[drives], first[drives], second[drives]
    lane, offset = paths.ahead
    lanes = lane[copy, first][:, :, None], lane[copy, second][:, None]
    offsets = offset[copy, first][:, :, None], offset[copy, second][:, None]
    both = (lanes[0] >= 0) & (lanes[1] >= 0)
    enter, leave = [], []
    for own, other in ((0, 1), (1, 0)):
        enter.append(offsets[own] + meetings.begin[lanes[own], lanes[other]] - 0.5 * LENGTH)
        leave.append(offsets[own] + meetings.end[lanes[own], lanes[other]] + 0.5 * LENGTH)
    ahead = both & (leave[0] > 0.0) & (leave[1] > 0.0) & (enter[0] < HORIZON) & (enter[1] < HORIZON)
    row, mine, theirs = np.nonzero(ahead)
    enter, leave = ([column[row, mine, theirs] for column in columns] for columns in (enter, leave))
    on = np.stack([lanes[0][row, mine, 0], lanes[1][row, 0, theirs]])
    return Met(
        copy[row], first[row], second[row], on, np.stack(enter), np.stack(leave), np.full(len(row), np.inf)
    )


def near_pairs(fleet: Fleet) -> tuple[Index, Index, Index]:
    """Copy, first and second of pairs with an agent in them; obstacles are numbered after vehicles."""
    copies, agents = fleet.shape[0], fleet.agents
    x, y = fleet.x, fleet.y
    obstacles = fleet.network.obstacles
    if len(obstacles):
        ox, oy = np.broadcast_to(obstacles.T[:, None], (2, copies, len(obstacles)))
        x, y = np.concatenate([x, ox], 1), np.concatenate([y, oy], 1)
    dx = x[:, None] - fleet.x[:, :agents, None]
    dy = y[:, None] - fleet.y[:, :agents, None]
    near = dx * dx + dy * dy < HORIZON**2
    near &= np.arange(fleet.everything) > np.arange(agents)[:, None]
    near &= fleet.present[:, :agents, None]
    copy, first, second = np.nonzero(near)
    return copy, first, second


def _lower(margin: Array, worst: Index, copy: Index, one: Index, other: Index, found: Array) -> None:
    """Take margins of pairs into account, for those of both that are agents."""
    agents = margin.shape[1]
    order = np.argsort(-found, kind="stable")
    copy, one, other, found = copy[order], one[order], other[order], found[order]
    for mine, theirs in ((one, other), (other, one)):
        lower = np.flatnonzero(mine < agents)
        lower = lower[found[lower] < margin[copy[lower], mine[lower]]]
        # Of several for one agent the last, which is the least, stays.
        margin[copy[lower], mine[lower]] = found[lower]
        worst[copy[lower], mine[lower]] = theirs[lower]

"""The 38 tasks of DSRL: files, ranges, scores.

Liu et al. 2024, "Datasets and Benchmarks for Offline Safe Reinforcement Learning".

The data is published under CC BY 4.0. Returns and costs are undiscounted sums of an episode. The ranges are
those of the published files, to seven digits; the cost limits are the benchmark's protocol: a policy is
judged at three limits, over 20 episodes and three seeds each.
"""

from __future__ import annotations

from dataclasses import dataclass

from rllib_safemarl.errors import SafeMARLError, nearest_name
from rllib_safemarl.functional.safety_metrics import normalised_return

SOURCE = "https://huggingface.co/datasets/YYY-45/DSRL/resolve/main/"
COST_LIMITS = {
    "Bullet": (10.0, 20.0, 40.0),
    "MetaDrive": (10.0, 20.0, 40.0),
    "SafetyGym": (20.0, 40.0, 80.0),
    "Velocity": (20.0, 40.0, 80.0),
}
"""Suite → limits on the undiscounted cost per episode."""

# Name, file, steps per episode, least and greatest return, least and greatest cost.
_TABLE = """
AntCircle           SafetyAntCircle-v0-200-5728 500 0.0177031 460.7092 0 200
AntRun              SafetyAntRun-v0-150-1816 200 0.001767392 955.4819 0 150
BallCircle          SafetyBallCircle-v0-80-886 200 0.3831224 881.4634 0 80
BallRun             SafetyBallRun-v0-80-940 100 26.33975 1327.446 0 80
CarCircle           SafetyCarCircle-v0-100-1450 300 3.48442 534.3061 0 100
CarRun              SafetyCarRun-v0-40-651 200 204.2873 574.6533 0 40
DroneCircle         SafetyDroneCircle-v0-100-1923 300 207.7942 996.3892 0 100
DroneRun            SafetyDroneRun-v0-140-1990 200 10.55703 682.833 0 140
CarButton1          SafetyCarButton1Gymnasium-v0-250-2656 1000 0.002892621 44.42 0 250
CarButton2          SafetyCarButton2Gymnasium-v0-300-3755 1000 0.001767392 41.99514 0 300
CarCircle1          SafetyCarCircle1Gymnasium-v0-250-1271 500 8.037073 24.94156 0 250
CarCircle2          SafetyCarCircle2Gymnasium-v0-400-940 500 5.113386 25.9501 0 398
CarGoal1            SafetyCarGoal1Gymnasium-v0-120-1671 1000 0.01223282 39.90781 0 120
CarGoal2            SafetyCarGoal2Gymnasium-v0-200-4105 1000 0.001032875 28.9029 0 200
CarPush1            SafetyCarPush1Gymnasium-v0-200-2871 1000 0.01370017 16.30447 0 200
CarPush2            SafetyCarPush2Gymnasium-v0-250-4407 1000 0.0002939113 15.14165 0 250
PointButton1        SafetyPointButton1Gymnasium-v0-200-2268 1000 0.008822109 41.19302 0 200
PointButton2        SafetyPointButton2Gymnasium-v0-250-3288 1000 0.01411417 42.8986 0 250
PointCircle1        SafetyPointCircle1Gymnasium-v0-200-1098 500 20.06763 61.7282 0 200
PointCircle2        SafetyPointCircle2Gymnasium-v0-300-895 500 20.47835 54.02184 0 299
PointGoal1          SafetyPointGoal1Gymnasium-v0-100-2022 1000 0.01196013 30.07111 0 100
PointGoal2          SafetyPointGoal2Gymnasium-v0-200-3442 1000 0.00261696 27.71771 0 200
PointPush1          SafetyPointPush1Gymnasium-v0-150-2379 1000 0.001400155 16.51865 0 150
PointPush2          SafetyPointPush2Gymnasium-v0-200-3242 1000 0.001243818 14.69104 0 200
AntVelocity         SafetyAntVelocityGymnasium-v1-250-2249 1000 6.151901 2976.277 0 250
HalfCheetahVelocity SafetyHalfCheetahVelocityGymnasium-v1-250-2495 1000 5.750977 2806.933 0 250
HopperVelocity      SafetyHopperVelocityGymnasium-v1-250-2240 1000 37.05155 1911.397 0 250
SwimmerVelocity     SafetySwimmerVelocityGymnasium-v1-200-1686 1000 0.07114458 238.9583 0 200
Walker2dVelocity    SafetyWalker2dVelocityGymnasium-v1-300-2729 1000 18.6685 3418.224 0 300
easysparse          SafeMetaDrive-easysparse-v0-85-1000 1000 20.09431 425.8006 0.0002535651 82.42419
easymean            SafeMetaDrive-easymean-v0-85-1000 1000 22.14255 425.8244 0 82.38602
easydense           SafeMetaDrive-easydense-v0-85-1000 1000 19.71139 425.8173 0 80.36359
mediumsparse        SafeMetaDrive-mediumsparse-v0-50-1000 1000 17.44658 269.8008 0 46.46459
mediummean          SafeMetaDrive-mediummean-v0-50-1000 1000 17.03253 269.8221 0 46.46154
mediumdense         SafeMetaDrive-mediumdense-v0-50-1000 1000 15.10235 269.7813 0 46.45858
hardsparse          SafeMetaDrive-hardsparse-v0-85-1000 1000 17.24797 486.8052 0 85.01001
hardmean            SafeMetaDrive-hardmean-v0-85-1000 1000 19.38798 486.9968 0.0003314997 84.33995
harddense           SafeMetaDrive-harddense-v0-85-1000 1000 15.38689 486.6362 0 84.76679
"""


@dataclass(frozen=True)
class DSRLTask:
    """One task.

    Attributes:
        name: as users know it, such as ``CarCircle``.
        suite: ``Bullet``, ``SafetyGym``, ``Velocity`` or ``MetaDrive``.
        file: name of its HDF5 file.
        time_limit: steps of an episode at most.
        return_range: least and greatest undiscounted return of its episodes.
        cost_range: least and greatest undiscounted cost of its episodes.
    """

    name: str
    suite: str
    file: str
    time_limit: int
    return_range: tuple[float, float]
    cost_range: tuple[float, float]

    @property
    def url(self) -> str:
        """Where its file is published."""
        return SOURCE + self.file

    @property
    def cost_limits(self) -> tuple[float, ...]:
        """Limits on the undiscounted cost per episode at which the benchmark judges."""
        return COST_LIMITS[self.suite]

    @property
    def trajectories(self) -> int:
        """Episodes in its file."""
        return int(self.file.removesuffix(".hdf5").rsplit("-", 1)[1])

    def normalised_return(self, episode_return: float) -> float:
        """``(R - r_min) / (r_max - r_min)``; papers print a hundred times that."""
        return normalised_return(episode_return, *self.return_range)


def _task(line: str) -> DSRLTask:
    name, file, steps, *ranges = line.split()
    low, high, cost_low, cost_high = map(float, ranges)
    return DSRLTask(name, _suite(file), f"{file}.hdf5", int(steps), (low, high), (cost_low, cost_high))


def _suite(file: str) -> str:
    if file.startswith("SafeMetaDrive"):
        return "MetaDrive"
    if "Velocity" in file:
        return "Velocity"
    return "SafetyGym" if "Gymnasium" in file else "Bullet"


TASKS = {task.name: task for task in map(_task, _TABLE.strip().splitlines())}
"""Name → task."""


def find_task(name: str) -> DSRLTask:
    """A task by name.

    Raises:
        SafeMARLError: there is none.
    """
    if name not in TASKS:
        raise SafeMARLError(f"DSRL has no task {name!r}.{nearest_name(name, TASKS)}")
    return TASKS[name]


def task_of_file(file_name: str) -> DSRLTask | None:
    """The task whose published file has this name."""
    return next((task for task in TASKS.values() if task.file == file_name), None)

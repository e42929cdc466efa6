"""A team's policies on disk: one JSON file and one NumPy archive, no pickle.

``policy.json`` describes team, views, actions and networks; ``arrays.npz`` holds every array it refers to,
and its SHA-256 stands in the description, so that a truncated copy is noticed. On wish each policy is there a
second time, as ``policy_<i>.onnx`` in the order of the description's networks.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.team import Team
from rllib_safemarl.envs.vector import AgentGraph, Kind
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.policies.acting_team import ActingTeam, PolicySettings
from rllib_safemarl.policies.onnx_team import OnnxTeam
from rllib_safemarl.policies.space_files import space_from_json, space_to_json

if TYPE_CHECKING:
    from rllib_safemarl.policies.team_policy import TeamPolicy

FORMAT = "rllib_safemarl policy"
VERSION = 1
DESCRIPTION, ARRAYS = "policy.json", "arrays.npz"
FOLDER = "policy"
"""Name of the folder beside a checkpoint."""


RUNTIMES = ("torch", "onnx")
Arrays = dict[str, NDArray]


def save_policy(policy: TeamPolicy, path: str | Path, onnx: bool = False) -> Path:
    """Write a policy's folder; it appears whole or not at all.

    Args:
        policy: what to write.
        path: the folder; one that exists is replaced.
        onnx: write ONNX graphs as well.

    Raises:
        SafeMARLError: a policy cannot become ONNX, or onnx is not installed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: Arrays = {}
    description = _describe(policy, arrays)
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    files = {ARRAYS: stream.getvalue(), **(_graphs(policy) if onnx else {})}
    description["arrays_sha256"] = _sha256(files[ARRAYS])
    if onnx:
        description["onnx_sha256"] = {name: _sha256(files[name]) for name in files if name != ARRAYS}
    files[DESCRIPTION] = json.dumps(description, indent=1).encode()
    draft = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        for name, content in files.items():
            (draft / name).write_bytes(content)
        os.chmod(draft, 0o755)
        if path.exists():
            shutil.rmtree(path)
        os.replace(draft, path)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return path


@overload
def load_policy(
    path: str | Path,
    seed: int = ...,
    settings: Mapping[str, Any] | None = ...,
    runtime: Literal["torch"] = ...,
) -> TeamPolicy: ...


@overload
def load_policy(
    path: str | Path,
    seed: int = ...,
    settings: Mapping[str, Any] | None = ...,
    *,
    runtime: Literal["onnx"],
) -> OnnxTeam: ...


def load_policy(
    path: str | Path, seed: int = 0, settings: Mapping[str, Any] | None = None, runtime: str = "torch"
) -> ActingTeam:
    """Read a policy's folder, or the one beside a checkpoint.

    Args:
        path: the folder, or a checkpoint that has one.
        seed: of sampled actions.
        settings: how planners are to act where it differs from their training, such as ``{"beta": 0.95}``.
        runtime: what runs the networks: ``torch``, or ``onnx``, which loads no torch and needs a folder
            that ``safemarl export --onnx`` wrote.

    Raises:
        SafeMARLError: there is none, it is of another version, or it is damaged; a setting does not fit.
    """
    if runtime not in RUNTIMES:
        raise SafeMARLError(f"runtime={runtime!r} is none of {', '.join(RUNTIMES)}.")
    folder, description = _read_description(Path(path))
    arrays = _read_arrays(folder / ARRAYS, description)
    if runtime == "onnx":
        if settings:
            raise SafeMARLError(f"{next(iter(settings))} cannot be changed: no policy that plans is ONNX.")
        graphs = _read_graphs(folder, description)
        return _restored(lambda team, given: OnnxTeam(team, graphs, given), description, arrays)

    def make(team: Team, given: PolicySettings) -> TeamPolicy:
        return _torch_policy(team, given, description, arrays, seed)

    policy = _restored(make, description, arrays)
    policy.change(settings or {})
    return policy


def _torch_policy(
    team: Team, settings: PolicySettings, description: dict[str, Any], arrays: Arrays, seed: int
) -> TeamPolicy:
    # What runs the networks is imported with them.
    from rllib_safemarl.policies.kinds import check_outputs
    from rllib_safemarl.policies.network_files import policy_from_json
    from rllib_safemarl.policies.team_policy import TeamPolicy

    networks = description["networks"].items()
    policies = {name: policy_from_json(name, described, arrays) for name, described in networks}
    policy = TeamPolicy(team, policies, settings, seed)
    for group in policy.groups:
        check_outputs(group, policies[group.policy])
    return policy


def _read_description(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The folder that has the description, and the description."""
    path = folder
    if not (folder / DESCRIPTION).is_file():
        folder = folder / FOLDER
    try:
        description = json.loads((folder / DESCRIPTION).read_text())
    except FileNotFoundError:
        raise SafeMARLError(
            f"{path} holds no policy: neither {DESCRIPTION} nor a folder {FOLDER}/ with one. Policies of "
            "users' own RLModules are not written; use rllib evaluate for them."
        ) from None
    except ValueError as error:
        raise SafeMARLError(f"{folder / DESCRIPTION} is damaged: {error}.") from error
    if not isinstance(description, dict):
        raise SafeMARLError(f"{folder / DESCRIPTION} is damaged: it describes nothing.")
    if description.get("format") != FORMAT or description.get("version") != VERSION:
        raise SafeMARLError(
            f"{folder / DESCRIPTION} is {description.get('format')!r} of version "
            f"{description.get('version')!r}; this package reads {FORMAT!r} of version {VERSION}."
        )
    return folder, description


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _read_checked(path: Path, sha256: Any) -> bytes:
    """A file's content, which must have a checksum."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SafeMARLError(f"{path} cannot be read: {error}.") from error
    if _sha256(content) != sha256:
        raise SafeMARLError(f"{path} is damaged or of another policy: its checksum does not fit.")
    return content


def _graph_name(index: int) -> str:
    return f"policy_{index}.onnx"


def _graphs(policy: TeamPolicy) -> dict[str, bytes]:
    """File → ONNX graph of every policy, in the order of the description's networks."""
    from rllib_safemarl.functional.actions import ActionTransform
    from rllib_safemarl.policies.onnx_files import policy_to_onnx

    settings, spaces = policy.settings, {group.policy: group.action_space for group in policy.groups}
    graphs = {}
    for i, (name, each) in enumerate(policy.policies.items()):
        space = spaces[name]
        transform = ActionTransform(space, settings.normalize_actions, settings.clip_actions)
        graphs[_graph_name(i)] = policy_to_onnx(name, each, space, transform)
    return graphs


def _read_graphs(folder: Path, description: dict[str, Any]) -> dict[str, bytes]:
    """Policy → its ONNX graph."""
    sums, networks = description.get("onnx_sha256"), description.get("networks")
    if sums is None:
        raise SafeMARLError(
            f"{folder} has no ONNX graphs: safemarl export CHECKPOINT --out FOLDER --onnx writes them."
        )
    if not isinstance(sums, dict) or not isinstance(networks, dict):
        raise SafeMARLError(f"{folder / DESCRIPTION} is damaged: it names no networks.")
    names = {name: _graph_name(i) for i, name in enumerate(networks)}
    return {name: _read_checked(folder / file, sums.get(file)) for name, file in names.items()}


def _read_arrays(path: Path, description: dict[str, Any]) -> Arrays:
    content = _read_checked(path, description.get("arrays_sha256"))
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:
        # A damaged archive can be wrong in any way, too.
        said = " ".join(str(error).split())
        raise SafeMARLError(f"{path} is damaged: {type(error).__name__} {said}.") from error


def _describe(policy: TeamPolicy, arrays: Arrays) -> dict[str, Any]:
    from rllib_safemarl import __version__
    from rllib_safemarl.policies.network_files import policy_to_json

    team, settings, graph = policy.team, policy.settings, policy.team.graph
    if graph is not None and graph.hops is not None:
        arrays["hops"] = graph.hops
    return {
        "format": FORMAT,
        "version": VERSION,
        "package": __version__,
        "agents": list(team.agents),
        "kinds": [
            {
                "name": kind.name,
                "agents": list(kind.agents),
                "observation_space": space_to_json(
                    kind.observation_space, f"{kind.name}/observation", arrays
                ),
                "action_space": space_to_json(kind.action_space, f"{kind.name}/action", arrays),
            }
            for kind in team.kinds
        ],
        "cost_names": list(team.cost_names),
        "time_limit": team.time_limit,
        "graph": None if graph is None else {"moving": graph.moving, "degree": graph.degree},
        "position_size": team.position_size,
        "policy_ids": list(team.policy_ids),
        "settings": {**vars(settings), "kappa": str(settings.kappa)},
        "networks": {name: policy_to_json(name, each, arrays) for name, each in policy.policies.items()},
    }


Made = TypeVar("Made", bound=ActingTeam)


def _restored(
    make: Callable[[Team, PolicySettings], Made], description: dict[str, Any], arrays: Arrays
) -> Made:
    """What ``make`` makes of the described team, tried out."""
    try:
        settings = description["settings"]
        given = PolicySettings(**{**settings, "kappa": float(settings["kappa"])})
        policy = make(_team(description, arrays), given)
        policy.try_out()
        return policy
    except SafeMARLError:
        raise
    except Exception as error:
        # A damaged description can be wrong in any way.
        said = " ".join(str(error).split())
        raise SafeMARLError(f"the policy's description is damaged: {type(error).__name__} {said}.") from error


def _team(description: dict[str, Any], arrays: Arrays) -> Team:
    graph = description["graph"]
    return Team(
        agents=tuple(description["agents"]),
        kinds=tuple(
            Kind(
                kind["name"],
                tuple(kind["agents"]),
                space_from_json(kind["observation_space"], arrays),
                space_from_json(kind["action_space"], arrays),
            )
            for kind in description["kinds"]
        ),
        cost_names=tuple(description["cost_names"]),
        time_limit=description["time_limit"],
        graph=None if graph is None else AgentGraph(arrays.get("hops"), graph["degree"]),
        position_size=description["position_size"],
        policy_ids=tuple(description["policy_ids"]),
    )

"""A team's policies on disk: one JSON file and one NumPy archive, no pickle.

``policy.json`` describes team, views, actions and networks; ``arrays.npz`` holds every array it refers to,
and its SHA-256 stands in the description, so that a truncated copy is noticed.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.team import Team
from rllib_safemarl.envs.vector import AgentGraph, Kind
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.policies.network_files import policy_from_json, policy_to_json
from rllib_safemarl.policies.space_files import space_from_json, space_to_json
from rllib_safemarl.policies.team_policy import PolicySettings, TeamPolicy

FORMAT = "rllib_safemarl policy"
VERSION = 1
DESCRIPTION, ARRAYS = "policy.json", "arrays.npz"
FOLDER = "policy"
"""Name of the folder beside a checkpoint."""


def save_policy(policy: TeamPolicy, path: str | Path) -> Path:
    """Write a policy's folder; it appears whole or not at all.

    Args:
        policy: what to write.
        path: the folder; one that exists is replaced.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, NDArray] = {}
    description = _describe(policy, arrays)
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    description["arrays_sha256"] = hashlib.sha256(stream.getvalue()).hexdigest()
    draft = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        (draft / ARRAYS).write_bytes(stream.getvalue())
        (draft / DESCRIPTION).write_text(json.dumps(description, indent=1))
        os.chmod(draft, 0o755)
        if path.exists():
            shutil.rmtree(path)
        os.replace(draft, path)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return path


def load_policy(path: str | Path, seed: int = 0, settings: Mapping[str, Any] | None = None) -> TeamPolicy:
    """Read a policy's folder, or the one beside a checkpoint.

    Args:
        path: the folder, or a checkpoint that has one.
        seed: of sampled actions.
        settings: how planners are to act where it differs from their training, such as ``{"beta": 0.95}``.

    Raises:
        SafeMARLError: there is none, it is of another version, or it is damaged; a setting does not fit.
    """
    policy = _load(path, seed)
    policy.change(settings or {})
    return policy


def _load(path: str | Path, seed: int) -> TeamPolicy:
    folder = Path(path)
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
    return _restore(description, _read_arrays(folder / ARRAYS, description), seed)


def _read_arrays(path: Path, description: dict[str, Any]) -> dict[str, NDArray]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SafeMARLError(f"{path} cannot be read: {error}.") from error
    if hashlib.sha256(content).hexdigest() != description.get("arrays_sha256"):
        raise SafeMARLError(f"{path} is damaged or of another policy: its checksum does not fit.")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, zipfile.BadZipFile) as error:
        raise SafeMARLError(f"{path} is damaged: {error}.") from error


def _describe(policy: TeamPolicy, arrays: dict[str, NDArray]) -> dict[str, Any]:
    from rllib_safemarl import __version__

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


def _restore(description: dict[str, Any], arrays: dict[str, NDArray], seed: int) -> TeamPolicy:
    try:
        graph = description["graph"]
        team = Team(
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
        settings = description["settings"]
        policies = {name: policy_from_json(name, n, arrays) for name, n in description["networks"].items()}
        settings = PolicySettings(**{**settings, "kappa": float(settings["kappa"])})
        policy = TeamPolicy(team, policies, settings, seed)
        policy.try_out()
        return policy
    except SafeMARLError:
        raise
    except Exception as error:
        # A damaged description can be wrong in any way.
        said = " ".join(str(error).split())
        raise SafeMARLError(f"the policy's description is damaged: {type(error).__name__} {said}.") from error

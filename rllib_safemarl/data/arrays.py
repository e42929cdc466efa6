"""Folders of ``.npy`` files: OMAR's per-agent arrays of MPE and HalfCheetah, MADiff's joint arrays.

OMAR: ``obs_{i}.npy``, ``acs_{i}.npy``, ``rews_{i}.npy``, ``dones_{i}.npy`` (and perhaps
``next_obs_{i}.npy``) per agent i, rows of all episodes one after another; in one folder, or in folders
``seed_{k}_data`` below it. MADiff: ``obs.npy [rows, agents, size]``, ``actions.npy``, ``rewards.npy``,
``path_lengths.npy [episodes]`` (and perhaps ``legals.npy``, ``states.npy``). Neither has costs: relabel them.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.data.assemble import Episodes, cut_at, ends_by_count, with_next, without_next
from rllib_safemarl.data.checks import check_values
from rllib_safemarl.data.dataset import Dataset, concatenate, make_dataset
from rllib_safemarl.data.schema import ActionSchema, KindSchema, Provenance, Schema
from rllib_safemarl.errors import SafeMARLError

_OMAR_NAMES = {"obs": "observations", "acs": "actions", "rews": "rewards", "dones": "dones"}


def read_arrays(
    folder: str | Path,
    time_limit: int | None = None,
    num_choices: int | None = None,
    split_breaks: bool = False,
) -> Dataset:
    """Read OMAR's or MADiff's arrays as a dataset without costs.

    Args:
        folder: with the files, or with OMAR's ``seed_{k}_data`` folders.
        time_limit: steps after which episodes are cut; an end at that step is a timeout, an earlier one a
            terminal. Without it ``dones`` count as terminals, and paths as cut.
        num_choices: number of choices of integer actions, by default the largest one seen plus one.
        split_breaks: see :func:`rllib_safemarl.data.dsrl.read_dsrl`.

    Raises:
        SafeMARLError: files are missing or do not fit.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise SafeMARLError(f"there is no folder {folder}.")
    if (folder / "obs.npy").is_file():
        return _read_joint(folder, time_limit, num_choices)
    parts = sorted(part for part in folder.glob("seed_*_data") if part.is_dir()) or [folder]
    return concatenate([_read_per_agent(part, time_limit, split_breaks) for part in parts])


def _load(path: Path) -> NDArray:
    if not path.is_file():
        raise SafeMARLError(f"{path} is missing.")
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise SafeMARLError(f"{path} cannot be read: {error}; copy it again.") from error


def _load_per_agent(folder: Path) -> dict[str, list[NDArray]]:
    """Column → one array per agent, all of one length."""
    numbers = sorted(
        int(match[1])
        for file in folder.glob("obs_*.npy")
        if (match := re.fullmatch(r"obs_(\d+)\.npy", file.name))
    )
    if not numbers or numbers != list(range(len(numbers))):
        raise SafeMARLError(
            f"{folder} holds neither obs.npy nor obs_0.npy, obs_1.npy, …; is it one of OMAR's or "
            "MADiff's folders?"
        )
    arrays = {
        name: [_load(folder / f"{file}_{i}.npy") for i in numbers] for file, name in _OMAR_NAMES.items()
    }
    if (folder / "next_obs_0.npy").is_file():
        arrays["next_observations"] = [_load(folder / f"next_obs_{i}.npy") for i in numbers]
    total = len(arrays["observations"][0])
    for name, columns in arrays.items():
        for i, column in enumerate(columns):
            if len(column) != total:
                raise SafeMARLError(f"{folder}: {name} of agent {i} has {len(column)} rows, not {total}.")
    return arrays


def _read_per_agent(folder: Path, time_limit: int | None, split_breaks: bool) -> Dataset:
    arrays = _load_per_agent(folder)
    total = len(arrays["observations"][0])
    dones = np.stack([column.reshape(total) for column in arrays["dones"]], 1).astype(bool)
    ends: NDArray[np.bool_] = np.asarray(dones.all(1))
    by_limit = ends_by_count(ends, time_limit) if time_limit else np.zeros(total, bool)
    offsets = cut_at(ends | by_limit)
    if len(offsets) < 2:
        raise SafeMARLError(f"{folder}: no row of dones marks an end; give the time limit (--time-limit).")
    schema = _schema(arrays["observations"], arrays["actions"], time_limit)
    kept = int(offsets[-1])
    rows = {
        "rewards": np.stack([column.reshape(total) for column in arrays["rewards"]], 1)[:kept],
        "terminals": (dones & ends[:, None] & ~by_limit[:, None])[:kept],
        "timeouts": by_limit[:kept],
    }
    after: dict[str, NDArray] = {}
    for kind in schema.kinds:
        for name in ("observations", "actions"):
            rows[f"{name}/{kind.name}"] = np.stack([arrays[name][i] for i in kind.agents], 1)[:kept]
        if "next_observations" in arrays:
            following = np.stack([arrays["next_observations"][i] for i in kind.agents], 1)
            after[f"observations/{kind.name}"] = following[:kept]
    made = (
        with_next(rows, offsets, after, str(folder), split_breaks) if after else without_next(rows, offsets)
    )
    return _made(schema, made, folder)


def _schema(observations: list[NDArray], actions: list[NDArray], time_limit: int | None) -> Schema:
    """Kinds by equal sizes, in the order of their first agents."""
    members: dict[tuple[int, int], list[int]] = {}
    for i, (seen, done) in enumerate(zip(observations, actions, strict=True)):
        if seen.ndim != 2 or done.ndim != 2:
            raise SafeMARLError(
                f"observations and actions of agent {i} have shapes {seen.shape} and {done.shape}, "
                "not (rows, size)."
            )
        members.setdefault((seen.shape[1], done.shape[1]), []).append(i)
    kinds = tuple(
        KindSchema(f"kind_{k}", tuple(agents), size, _box(np.concatenate([actions[i] for i in agents])))
        for k, ((size, _), agents) in enumerate(members.items())
    )
    return Schema(tuple(f"agent_{i}" for i in range(len(actions))), kinds, time_limit=time_limit)


def _box(actions: NDArray) -> ActionSchema:
    size = actions.shape[-1]
    bound = 1.0 if np.abs(actions).max(initial=0.0) <= 1.0 + 1e-6 else np.inf
    return ActionSchema.box([-bound] * size, [bound] * size)


def _read_joint(folder: Path, time_limit: int | None, num_choices: int | None) -> Dataset:
    observations, actions, rewards, lengths = (
        _load(folder / f"{name}.npy") for name in ("obs", "actions", "rewards", "path_lengths")
    )
    offsets = np.concatenate([[0], np.cumsum(lengths.ravel().astype(np.int64))])
    if observations.ndim != 3 or len(observations) < offsets[-1]:
        raise SafeMARLError(
            f"{folder}: obs.npy has shape {observations.shape}; with path_lengths.npy it must be "
            f"({offsets[-1]}, agents, size)."
        )
    total, agents = int(offsets[-1]), observations.shape[1]
    if actions.ndim == 3 and actions.shape[2] == 1 and actions.dtype.kind in "iu":
        actions = actions[..., 0]
    choices = actions.dtype.kind in "iu"
    action = ActionSchema.discrete(num_choices or int(actions.max()) + 1) if choices else _box(actions)
    names = tuple(f"agent_{i}" for i in range(agents))
    kind = KindSchema("kind_0", tuple(range(agents)), observations.shape[2], action)
    schema = Schema(names, (kind,), time_limit=time_limit)
    if rewards.ndim == 1:
        rewards = np.repeat(rewards[:, None], agents, 1)
    # Paths do not say why they end: a shorter one than the time limit reached a terminal.
    terminals = np.zeros((total, agents), bool)
    if time_limit:
        terminals[offsets[1:][np.diff(offsets) < time_limit] - 1] = True
    rows = {
        f"observations/{kind.name}": observations[:total],
        f"actions/{kind.name}": actions[:total],
        "rewards": rewards.reshape(len(rewards), agents)[:total],
        "terminals": terminals,
    }
    states = folder / "states.npy"
    if states.is_file():
        state = _load(states)[:total]
        rows["team_state"] = state.reshape(len(state), -1)
    return _made(schema, without_next(rows, offsets), folder)


def _made(schema: Schema, made: Episodes, folder: Path) -> Dataset:
    provenance = Provenance(source=folder.name, notes=made.notes)
    dataset = make_dataset(schema, made.rows, made.offsets, made.final, provenance, str(folder))
    return check_values(dataset, str(folder))

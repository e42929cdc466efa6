"""RLlib's own single-agent recordings: Parquet files of transitions, or of packed episodes.

``config.offline_data(output=…)`` writes a row per transition (``eps_id``, ``obs``, ``actions``, ``rewards``,
``new_obs``, ``terminateds``, ``truncateds``) or, with ``output_write_episodes=True`` (RLlib's default), a row
per episode fragment packed by msgpack in the column ``item``. Compressed columns
(observations, by default) are read too. RLlib records no costs: relabel them.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rllib_safemarl.data.assemble import breaks, cut_at, with_next
from rllib_safemarl.data.checks import check_values
from rllib_safemarl.data.dataset import Dataset, make_dataset
from rllib_safemarl.data.parquet import read_table
from rllib_safemarl.data.rllib_compression import decompress
from rllib_safemarl.data.schema import ActionSchema, Provenance, single_kind
from rllib_safemarl.errors import SafeMARLError

_NEEDED = ("obs", "actions", "rewards", "new_obs", "terminateds", "truncateds")
_PACKED = "item"


def read_rllib(source: str | Path, num_choices: int | None = None, cost_column: str | None = None) -> Dataset:
    """Read a recording as a dataset of one agent.

    Fragments of one episode are joined; one that never ends counts as cut.

    Args:
        source: a Parquet file, or a folder with Parquet files at any depth.
        num_choices: number of choices of integer actions, by default the largest one seen plus one.
        cost_column: a column of transitions that holds costs.

    Raises:
        SafeMARLError: no file, damaged columns, several agents, or anything missing.
    """
    source = Path(source).expanduser()
    files = sorted(source.rglob("*.parquet")) if source.is_dir() else [source]
    if not files:
        raise SafeMARLError(f"{source} holds no Parquet file.")
    pieces: list[dict[str, NDArray]] = []
    for file in files:
        table = read_table(file)
        if _PACKED in table.column_names:
            pieces += [_unpack(item, str(file)) for item in table[_PACKED].to_pylist()]
        else:
            pieces.append(_transitions(table, cost_column, str(file)))
    columns = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    return _dataset(columns, num_choices, source)


def _transitions(table: pa.Table, cost_column: str | None, where: str) -> dict[str, NDArray]:
    names = [*_NEEDED, *([cost_column] if cost_column else [])]
    for name in names:
        if name not in table.column_names:
            raise SafeMARLError(f"{where} is no recording of RLlib: it has no column {name!r}.")
    if "agent_id" in table.column_names and len(set(table["agent_id"].to_pylist())) > 1:
        raise SafeMARLError(f"{where} holds several agents; read it as a table (--from table).")
    columns = {name: _numbers(table[name], name, where) for name in names}
    if cost_column:
        columns["costs"] = columns.pop(cost_column)
    ids = table["eps_id"].to_pylist() if "eps_id" in table.column_names else _by_flags(columns)
    columns["eps_id"] = np.array([str(each) for each in ids])
    return columns


def _by_flags(columns: dict[str, NDArray]) -> list[int]:
    ends = columns["terminateds"].astype(bool) | columns["truncateds"].astype(bool)
    return [0, *np.cumsum(ends)[:-1].tolist()]


def _numbers(column: pa.ChunkedArray, name: str, where: str) -> NDArray:
    values = column.to_pylist()
    if values and isinstance(values[0], (str, bytes)):
        values = [decompress(value, f"{where}: {name}") for value in values]
    if values and isinstance(values[0], dict):
        raise SafeMARLError(f"{where}: {name} holds dicts; flatten observations before recording.")
    try:
        return np.array(values)
    except ValueError as error:
        raise SafeMARLError(f"{where}: {name} holds vectors of different lengths.") from error


def _unpack(item: bytes, where: str) -> dict[str, NDArray]:
    """The transitions of one packed episode fragment."""
    try:
        import msgpack
    except ImportError as error:
        raise SafeMARLError(f"{where} holds packed episodes; reading them needs msgpack.") from error
    try:
        state = msgpack.unpackb(item, object_hook=_array, strict_map_key=False)
        data = {}
        for name in ("observations", "actions", "rewards"):
            buffer = state[name]
            data[name] = np.array(buffer["data"])[int(buffer["lookback"]) :]
        steps = len(data["rewards"])
        if len(data["observations"]) != steps + 1 or len(data["actions"]) != steps:
            raise ValueError(f"{steps} rewards do not fit {len(data['observations'])} observations")
        flags = {name: np.zeros(steps, bool) for name in ("terminateds", "truncateds")}
        if steps:
            flags["terminateds"][-1], flags["truncateds"][-1] = state["is_terminated"], state["is_truncated"]
    except (KeyError, TypeError, ValueError, msgpack.exceptions.UnpackException) as error:
        raise SafeMARLError(f"{where}: an episode cannot be unpacked ({error}).") from error
    return {
        "obs": data["observations"][:-1],
        "new_obs": data["observations"][1:],
        "actions": data["actions"],
        "rewards": data["rewards"],
        **flags,
        "eps_id": np.array([str(state["id_"])] * steps),
    }


def _array(packed: dict[Any, Any]) -> Any:
    """Arrays as msgpack-numpy packs them: type, shape and bytes; never objects."""
    if b"nd" not in packed and "nd" not in packed:
        return packed
    get = {(k.decode() if isinstance(k, bytes) else k): v for k, v in packed.items()}
    if get.get("kind") in (b"O", "O"):
        raise ValueError("it holds pickled objects")
    kind = get["type"].decode() if isinstance(get["type"], bytes) else get["type"]
    values = np.frombuffer(get["data"], np.dtype(kind))
    return values.reshape(get["shape"]) if get["nd"] else values[0]


def _dataset(columns: dict[str, NDArray], num_choices: int | None, source: Path) -> Dataset:
    where = str(source)
    if not len(columns["eps_id"]):
        raise SafeMARLError(f"{where} holds no transition.")
    columns, ends, notes = _ordered(columns)
    total = len(ends)
    terminals = columns["terminateds"].astype(bool)
    actions = columns["actions"]
    if actions.ndim == 1 and actions.dtype.kind in "iu":
        action = ActionSchema.discrete(num_choices or int(actions.max()) + 1)
    else:
        actions = actions.reshape(total, -1)
        size = actions.shape[1]
        action = ActionSchema.box([-np.inf] * size, [np.inf] * size)
    seen, after = (columns[name].reshape(total, -1) for name in ("obs", "new_obs"))
    has_costs = "costs" in columns
    schema = single_kind(("agent",), seen.shape[1], action, cost_names=("cost",) if has_costs else ())
    rows = {
        "observations": seen[:, None],
        "actions": actions[:, None],
        "rewards": columns["rewards"].reshape(total, 1),
        "terminals": terminals[:, None],
        "timeouts": ends & ~terminals,
    }
    if has_costs:
        rows["costs"] = columns["costs"].reshape(total, 1, 1)
    made = with_next(rows, cut_at(ends), {"observations": after[:, None]}, where, split=True)
    provenance = Provenance(source=source.name, notes=notes + made.notes)
    return check_values(make_dataset(schema, made.rows, made.offsets, made.final, provenance, where), where)


def _ordered(columns: dict[str, NDArray]) -> tuple[dict[str, NDArray], NDArray[np.bool_], tuple[str, ...]]:
    """Rows by episode, each once; ``[R]`` where episodes end; a note.

    RLlib's recorder writes rows of earlier calls again with each call, unless it was told how many rows go
    into a file.
    """
    # Fragments of one episode may lie apart: order by first appearance, keeping the order within.
    _, first, inverse = np.unique(columns["eps_id"], return_index=True, return_inverse=True)
    order = np.argsort(first[inverse], kind="stable")
    ordered = {name: column[order] for name, column in columns.items()}
    ids = ordered.pop("eps_id")
    over = ordered["terminateds"].astype(bool) | ordered["truncateds"].astype(bool)
    stops = over | breaks(ordered["obs"], ordered["new_obs"]) | np.append(ids[1:] != ids[:-1], True)
    offsets = cut_at(stops)
    names = ("obs", "new_obs", "actions", "rewards")
    rows = np.concatenate([ordered[name].reshape(len(ids), -1).astype(np.float64) for name in names], 1)
    again = _repeated(rows, ids, offsets)
    keep = np.repeat(~again, np.diff(offsets))
    kept = {name: column[keep] for name, column in ordered.items()}
    ids = ids[keep]
    ends = over[keep] | np.append(ids[1:] != ids[:-1], True)
    note = (f"{int(again.sum())} fragments that RLlib recorded twice were left out.",) if again.any() else ()
    return kept, ends, note


def _repeated(rows: NDArray, ids: NDArray, offsets: NDArray) -> NDArray[np.bool_]:
    """``[S]`` segments that begin another one of their episode; of equal ones the first stays."""
    again = np.zeros(len(offsets) - 1, bool)
    of_episode: dict[str, list[int]] = {}
    for segment, start in enumerate(offsets[:-1]):
        of_episode.setdefault(ids[start], []).append(segment)
    pieces = [rows[start:end] for start, end in pairwise(offsets)]
    for segments in of_episode.values():
        # The longest first, so that each is compared only with those that stay.
        stay: list[int] = []
        for segment in sorted(segments, key=lambda s: (-len(pieces[s]), s)):
            piece = pieces[segment]
            again[segment] = any(np.array_equal(pieces[other][: len(piece)], piece) for other in stay)
            if not again[segment]:
                stay.append(segment)
    return again

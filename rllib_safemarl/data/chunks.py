"""Episodes cut into chunks of a bounded length, and put together again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.data.columns import FINAL, has_final
from rllib_safemarl.data.dataset import Dataset
from rllib_safemarl.errors import SafeMARLError

EPISODE, START, OWN_STEPS = "episode", "start", "own_steps"
"""Episode columns of chunks: number of the episode, first step in it, and how many steps are the chunk's own.

The steps beyond ``own_steps`` are repeated by the next chunk: windows that start in a chunk's own steps and
are no longer than the overlap lie wholly inside the chunk.
"""


def cut(dataset: Dataset, episode: NDArray, start: NDArray, length: NDArray) -> Dataset:
    """Pieces of episodes as a dataset whose episodes they are.

    Args:
        dataset: where to cut from.
        episode: ``[M]`` episode of each piece.
        start: ``[M]`` its first step within the episode.
        length: ``[M]`` its steps, at least one.
    """
    offsets = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
    first = dataset.offsets[episode] + start
    taken = np.arange(offsets[-1]) + np.repeat(first - offsets[:-1], length)
    rows = {name: column[taken] for name, column in dataset.rows.items()}
    episodes = {name: column[episode] for name, column in dataset.episodes.items()}
    # What is seen after a piece: the next row's, or the episode's last.
    at_end = start + length == dataset.lengths[episode]
    following = np.minimum(first + length, dataset.num_rows - 1)
    for name in rows:
        if has_final(name):
            ends = dataset.rows[name][following]
            ends[at_end] = dataset.episodes[FINAL + name][episode][at_end]
            episodes[FINAL + name] = ends
    return replace(dataset, rows=rows, episodes=episodes, offsets=offsets)


def cut_chunks(
    dataset: Dataset, chunk_steps: int = 256, overlap: int = 32, first_episode: int = 0
) -> Dataset:
    """All episodes in chunks of at most ``chunk_steps + overlap`` steps.

    Args:
        dataset: whole episodes.
        chunk_steps: a chunk's own steps at most.
        overlap: further steps of the next chunk that it repeats.
        first_episode: number of the dataset's first episode.

    Raises:
        SafeMARLError: an episode column has the name of one of the chunks' own.
    """
    for name in (EPISODE, START, OWN_STEPS):
        if name in dataset.episodes:
            raise SafeMARLError(f"chunks need the episode column {name!r} for themselves; rename yours.")
    lengths = dataset.lengths
    counts = -(-lengths // chunk_steps)
    episode = np.repeat(np.arange(len(lengths)), counts)
    start = (np.arange(len(episode)) - np.repeat(np.cumsum(counts) - counts, counts)) * chunk_steps
    left = lengths[episode] - start
    chunks = cut(dataset, episode, start, np.minimum(left, chunk_steps + overlap))
    places = {EPISODE: episode + first_episode, START: start, OWN_STEPS: np.minimum(left, chunk_steps)}
    return replace(chunks, episodes={**chunks.episodes, **places})


def join_chunks(chunks: Dataset, where: str) -> Dataset:
    """Whole episodes from chunks in the order of episodes and steps; the inverse of :func:`cut_chunks`.

    Raises:
        SafeMARLError: a chunk is missing or stands twice.
    """
    episode, start, own = (chunks.episodes[name] for name in (EPISODE, START, OWN_STEPS))
    begins = np.concatenate([[True], episode[1:] != episode[:-1]])
    expected = np.concatenate([[0], start[:-1] + own[:-1]])
    wrong = np.where(begins, start != 0, start != expected)
    wrong[1:] |= begins[1:] & (episode[1:] != episode[:-1] + 1)
    # A chunk with a successor ends where that begins; the last one owns all of its steps.
    last = np.concatenate([begins[1:], [True]])
    wrong |= last & (own != chunks.lengths)
    wrong |= (own < 1) | (own > chunks.lengths)
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise SafeMARLError(
            f"{where}: chunk {at} (episode {episode[at]}, step {start[at]}) does not follow the chunk "
            "before it, or its successor is missing; write the dataset again."
        )
    step = np.arange(chunks.num_rows) - np.repeat(chunks.offsets[:-1], chunks.lengths)
    mine = step < np.repeat(own, chunks.lengths)
    ends = np.cumsum(own)[last]
    episodes = {
        name: column[last]
        for name, column in chunks.episodes.items()
        if name not in (EPISODE, START, OWN_STEPS)
    }
    rows = {name: column[mine] for name, column in chunks.rows.items()}
    return replace(chunks, rows=rows, episodes=episodes, offsets=np.concatenate([[0], ends]))

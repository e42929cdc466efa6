"""Costs for sources that have none, or other costs: by a rule or by a function."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.data.checks import check_values
from rllib_safemarl.data.dataset import Dataset, make_dataset
from rllib_safemarl.errors import SafeMARLError

CostFunction = Callable[[Dataset], NDArray]
"""Dataset → ``[R, A]``, or ``[R, A, C]``: the cost of each row, at least 0."""
_RULE = re.compile(
    r"\s*(?:(?P<name>\w+)\s*=)?\s*(?P<norm>abs|norm)?\(?\s*(?P<next>next_)?(?P<column>[A-Za-z_][\w/]*)"
    r"\s*(?:\[(?P<first>\d+)(?::(?P<end>\d+))?\])?\s*\)?\s*(?P<sign>[<>])\s*(?P<limit>[-+.\deE]+)\s*"
)


@dataclass(frozen=True)
class Threshold:
    """A cost of 1 wherever a column passes a limit; for a vector, its Euclidean norm.

    Attributes:
        column: a row column ``[R, A, ...]``, such as ``observations`` (of the only kind) or ``margins``.
        limit: the limit.
        above: cost above the limit, else below it.
        first: first index into the last axis, ``None`` for a column of plain numbers.
        end: one past the last index, ``None`` for a single one.
        absolute: compare the size and not the signed number.
        after: what was seen after the row instead of before it.
        name: of the cost.
    """

    column: str
    limit: float
    above: bool = True
    first: int | None = None
    end: int | None = None
    absolute: bool = False
    after: bool = False
    name: str = "cost"

    @classmethod
    def parse(cls, rule: str) -> Threshold:
        """Read a rule.

        Examples are ``observations[8] > 3.2``, ``speed = abs(next_observations[8]) > 3.2``,
        ``norm(observations[2:4]) > 1`` and ``margins < 0``.

        Raises:
            SafeMARLError: the rule cannot be read.
        """
        match = _RULE.fullmatch(rule)
        try:
            if match is None or (match["norm"] == "norm") != (match["end"] is not None):
                raise ValueError
            limit = float(match["limit"])
        except ValueError:
            raise SafeMARLError(
                f"the cost rule {rule!r} cannot be read; write such as 'observations[8] > 3.2', 'speed = "
                "abs(next_observations[8]) > 3.2', 'norm(observations[2:4]) > 1' or 'margins < 0'."
            ) from None
        return cls(
            match["column"],
            limit,
            match["sign"] == ">",
            None if match["first"] is None else int(match["first"]),
            None if match["end"] is None else int(match["end"]),
            match["norm"] is not None,
            match["next"] is not None,
            match["name"] or "cost",
        )

    def __call__(self, dataset: Dataset) -> NDArray:
        """``[R, A]`` costs of 0 and 1.

        Raises:
            SafeMARLError: the column or the index does not exist.
        """
        column = dataset.next(self.column) if self.after else dataset[self.column]
        if self.first is not None:
            end = self.end or self.first + 1
            if column.ndim < 3 or end > column.shape[-1]:
                raise SafeMARLError(
                    f"the cost rule needs {self.column}[{end - 1}]; it has shape {column.shape}."
                )
            column = column[..., self.first : end]
            column = np.linalg.norm(column, axis=-1) if self.end else column[..., 0]
        if column.shape != dataset["rewards"].shape:
            raise SafeMARLError(
                f"the cost rule needs one number of {self.column} per row and agent; it has shape "
                f"{column.shape}."
            )
        size = np.abs(column) if self.absolute else column
        return (size > self.limit if self.above else size < self.limit).astype(np.float32)


def relabel_costs(
    dataset: Dataset, costs: CostFunction | Sequence[Threshold], names: Sequence[str] | None = None
) -> Dataset:
    """The dataset with other costs; agents that did not act have none.

    Args:
        dataset: to be relabelled.
        costs: thresholds, one per cost, or a function of the dataset.
        names: of the costs of a function; by default ``cost``.

    Raises:
        SafeMARLError: shapes do not fit, or a cost is negative or not finite.
    """
    if callable(costs):
        given, labels = np.asarray(costs(dataset)), tuple(names or ("cost",))
        given = given[..., None] if given.ndim == 2 else given
    else:
        labels = tuple(rule.name for rule in costs)
        given = np.stack([rule(dataset) for rule in costs], -1)
    expected = (*dataset["rewards"].shape, len(labels))
    if given.shape != expected:
        raise SafeMARLError(f"relabelled costs {list(labels)} have shape {given.shape}, not {expected}.")
    given = np.where(dataset["active"][..., None], given, 0.0).astype(np.float32)
    limits = {name: limit for name, limit in dataset.provenance.cost_limits.items() if name in labels}
    provenance = replace(
        dataset.provenance,
        cost_limits=limits if labels == dataset.schema.cost_names else {},
        notes=(*dataset.provenance.notes, f"Costs were relabelled: {', '.join(labels)}."),
    )
    schema = replace(dataset.schema, cost_names=labels)
    rows = {**dataset.rows, "costs": given}
    made = make_dataset(schema, rows, dataset.offsets, dataset.episodes, provenance, "relabelled dataset")
    return check_values(made, "relabelled dataset")

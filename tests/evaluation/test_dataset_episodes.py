"""Episodes of the shipped dataset, against the table that the data package makes of it."""

from pathlib import Path

import numpy as np
import pytest

from rllib_safemarl.data import read_dataset
from rllib_safemarl.data.statistics import episode_table
from rllib_safemarl.evaluation.comparison_records import make_record
from rllib_safemarl.evaluation.dataset_episodes import dataset_episodes

CROSSING = Path(__file__).parents[2] / "tuned_configs" / "offline" / "data" / "crossing.h5"


def test_figures_are_those_of_the_dataset():
    dataset = read_dataset(CROSSING)
    table = episode_table(dataset)
    figures = make_record(dataset_episodes(str(CROSSING), "all", 0.05), 1.0, {}).figures()
    assert figures["episodes"] == 628
    assert figures["return"] == pytest.approx(table["return"].mean())
    assert figures["cost"] == pytest.approx(table["cost"].mean())
    assert figures["dangerous_episodes"] == pytest.approx(table["unsafe"].mean())
    assert figures["safe_share"] == pytest.approx(1.0 - table["danger_share"].mean())
    margins, e = dataset["margins"], int(np.argmax(table["unsafe"]))
    own = margins[dataset.offsets[e] : dataset.offsets[e + 1]]
    severity = dataset_episodes(str(CROSSING), "all", 0.05).safety[e].severity
    assert severity == pytest.approx(-own[own < 0].mean() / 0.05, rel=1e-5)


def test_a_split_is_taken_alone():
    table = episode_table(read_dataset(CROSSING))
    trained = dataset_episodes(str(CROSSING), "train", 0.05)
    assert len(trained.returns) == (table["split"] == "train").sum()

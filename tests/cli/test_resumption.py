"""Checkpoints that a killed driver had not noted."""

from pathlib import Path
from types import SimpleNamespace

from rllib_safemarl.cli.resumption import WrittenCheckpoints
from rllib_safemarl.data.file_lists import list_files


def trial(folder: Path, known: int, finished: bool = False) -> SimpleNamespace:
    """What there is of a Tune trial that knows of checkpoints up to a number."""
    told: list[tuple[str, dict]] = []
    noted = SimpleNamespace(metrics={"time_total_s": 7.0, "training_iteration": known})
    return SimpleNamespace(
        path=str(folder),
        is_finished=lambda: finished,
        latest_checkpoint_result=noted if known >= 0 else None,
        storage=SimpleNamespace(current_checkpoint_index=known),
        on_checkpoint=lambda result: told.append((Path(result.checkpoint.path).name, result.metrics)),
        told=told,
    )


def checkpoint(folder: Path, number: int, whole: bool = True) -> None:
    (folder / f"checkpoint_{number:06d}").mkdir(parents=True)
    (folder / f"checkpoint_{number:06d}" / "state.pkl").write_text("state")
    if whole:
        list_files(folder / f"checkpoint_{number:06d}")


def test_a_resumed_trial_is_told_of_checkpoints_that_were_written_but_not_noted(tmp_path):
    for number in (8, 9, 10, 11):
        checkpoint(tmp_path, number, whole=number != 11)
    behind, fresh, done = trial(tmp_path, 9), trial(tmp_path, -1), trial(tmp_path, 9, finished=True)
    callback = WrittenCheckpoints()
    for _ in range(2):
        callback.on_step_begin(0, [behind, fresh, done])
    assert behind.told == [("checkpoint_000010", {"time_total_s": 7.0})], "11 was cut off"
    assert behind.storage.current_checkpoint_index == 10, "the next one is 11 again"
    assert [name for name, _ in fresh.told] == [f"checkpoint_{number:06d}" for number in (8, 9, 10)]
    assert all(metrics == {} for _, metrics in fresh.told)
    assert done.told == []


def test_nothing_is_told_where_all_is_known_or_storage_is_elsewhere(tmp_path):
    checkpoint(tmp_path, 3)
    known, elsewhere = trial(tmp_path, 3), trial(Path("bucket/experiment/trial"), -1)
    WrittenCheckpoints().on_step_begin(0, [known, elsewhere])
    assert known.told == elsewhere.told == []

"""Memory of training on a dataset larger than memory is meant to be: streamed, all processes together.

Generates a folder of Parquet shards, one shard at a time, and clones behaviour from one whole epoch of it
while the resident memory of this process and of all of Ray's is sampled: proportional set sizes, in which
shared pages count once, and the pages that the object store has ever touched. Linux only.
Usage: python tests/benchmarks/offline_streaming_memory.py [--gigabytes 10] [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from harness import finish, start_ray
from offline_columns import random_dataset

OBSERVATIONS, BATCH, BATCHES = 128, 1024, 200
EPISODES_A_SHARD, LIMIT_GIB, SECONDS = 80, 4.0, 0.5


def generate(folder: Path, gigabytes: float) -> None:
    """Write shards of so many bytes of columns in all; go on where an earlier call stopped."""
    from rllib_safemarl.data import ShardWriter

    first = random_dataset(EPISODES_A_SHARD, 0, observations=OBSERVATIONS)
    with ShardWriter(folder, first.schema) as writer:
        for seed in range(writer.num_episodes // EPISODES_A_SHARD, -int(-gigabytes * 1e9 // first.nbytes)):
            writer.append(random_dataset(EPISODES_A_SHARD, seed, observations=OBSERVATIONS))


class MemoryWatch(threading.Thread):
    """Samples the memory of this process and its children.

    Attributes:
        peak: bytes by process name, and of the object store, when their sum was largest.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak: Counter[str] = Counter()
        self._stopped = threading.Event()

    def run(self) -> None:
        """Sample until stopped."""
        while not self._stopped.wait(SECONDS):
            now = memory()
            if now.total() > self.peak.total():
                self.peak = now

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self.join()


def memory() -> Counter[str]:
    """Bytes by process name, and of the object store; once Ray is imported, which brings psutil."""
    import psutil

    this = psutil.Process()
    found: Counter[str] = Counter()
    stores: dict[int, int] = {}
    for process in (this, *this.children(recursive=True)):
        try:
            name = process.name() if process != this else "driver and learner"
            found[name] += _private_and_files(process.pid)
            stores.update(_object_store(process.pid))
        except (OSError, psutil.Error):
            continue
    found["object store"] = sum(stores.values())
    return found


def _private_and_files(pid: int) -> int:
    """Proportional set size without shared memory, which the object store stands for."""
    fields = dict(line.split(":") for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return sum(int(fields[name].split()[0]) << 10 for name in ("Pss_Anon", "Pss_File"))


def _object_store(pid: int) -> dict[int, int]:
    """Inode → bytes in memory of the files that the raylet holds open in /dev/shm."""
    stores = {}
    for entry in os.scandir(f"/proc/{pid}/fd"):
        if os.readlink(entry.path).startswith("/dev/shm/"):
            stat = os.stat(entry.path)
            stores[stat.st_ino] = stat.st_blocks * 512
    return stores


def train(folder: Path) -> tuple[float, float]:
    """One epoch of behaviour cloning; windows, and seconds that it took."""
    from rllib_safemarl.algorithms import MABCConfig

    algo: Any = (
        MABCConfig()
        .offline_data(input_=str(folder), dataset_num_iters_per_learner=BATCHES, in_memory_bytes=0)
        .training(train_batch_size_per_learner=BATCH, kappa=0)
        .rl_module(model_config={"fcnet_hiddens": [64, 64]})
        .build_algo()
    )
    started, windows, last = time.perf_counter(), 0, time.perf_counter()
    while algo.offline_data.position.epoch == 0:
        algo.train()
        windows += BATCHES * BATCH
        if time.perf_counter() - last > 20.0:
            last = time.perf_counter()
            print(f"{windows:,} windows, {memory().total() / 2**30:.2f} GiB now", flush=True)
    seconds = time.perf_counter() - started
    algo.stop()
    return windows, seconds


def main() -> None:
    """Generate, train, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=10.0, help="10^9 bytes of columns")
    parser.add_argument("--folder", type=Path, help="where to write, or go on; kept. Else a temporary one")
    arguments = parser.parse_args()
    temporary = None if arguments.folder else tempfile.mkdtemp()
    folder = arguments.folder or Path(str(temporary)) / "shards"
    try:
        _run(folder, arguments.gigabytes)
    finally:
        if temporary:
            shutil.rmtree(temporary)


def _run(folder: Path, gigabytes: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    there = sum(file.stat().st_size for file in folder.iterdir())
    if free < 1.1e9 * gigabytes + 1e9 - there:
        raise SystemExit(f"{folder}: {free / 1e9:.0f} GB are free, too few for {gigabytes:g} GB of columns.")
    started = time.perf_counter()
    # In a process of its own, so that none of its memory is left in the one that is measured.
    writing = multiprocessing.get_context("spawn").Process(target=generate, args=(folder, gigabytes))
    writing.start()
    writing.join()
    if writing.exitcode:
        raise SystemExit("the dataset could not be generated.")
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{size / 1e9:.1f} GB of files after {time.perf_counter() - started:.0f} s", flush=True)
    start_ray()
    watch = MemoryWatch()
    watch.start()
    windows, seconds = train(folder)
    watch.stop()
    print(f"\n{windows:,.0f} windows in {seconds:.0f} s; memory at its peak\n\n| what | GiB |\n|---|---|")
    for name, used in watch.peak.most_common():
        print(f"| {name} | {used / 2**30:.2f} |")
    finish(
        peak_gib=watch.peak.total() / 2**30,
        limit_gib=LIMIT_GIB,
        gigabytes=gigabytes,
        windows_per_s=windows / seconds,
    )


if __name__ == "__main__":
    main()

"""What `safemarl doctor` looks at: each check gives findings, and none starts anything."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from rllib_safemarl.errors import SafeMARLError

PACKAGE = "rllib_safemarl"
EXTRAS = {
    "plot": "pictures of results",
    "mujoco": "safemarl/mujoco",
    "driving": "safemarl/driving",
    "data": "HDF5 datasets",
    "export": "ONNX graphs",
}
"""Extra → what needs it."""
NAMED = ("ray", "torch", "gymnasium", "numpy")
"""Packages whose versions are worth a word."""
OK, NOTE, WRONG = "ok", "note", "wrong"
STORE_SHARE = 0.3
"""Of a machine's memory, which Ray takes for its object store where shared memory allows."""
LEAST_DISK = 2**30
"""Bytes that checkpoints and Ray's own files should have."""


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's.

    Attributes:
        level: ``ok``, ``note`` for what is missed only by those who need it, or ``wrong``.
        said: what was found.
        mend: what to do about it; empty where all is well.
    """

    level: str
    said: str
    mend: str = ""

    def __str__(self) -> str:
        mend = f": {self.mend}" if self.mend else ""
        return f"{self.level.ljust(5)}  {self.said}{mend}"


def requirements() -> list[Requirement]:
    """What the installed package says that it needs; those of extras have a marker.

    Raises:
        SafeMARLError: it is not installed.
    """
    try:
        return [Requirement(text) for text in importlib.metadata.requires(PACKAGE) or ()]
    except importlib.metadata.PackageNotFoundError:
        raise SafeMARLError(f"{PACKAGE} is found, but not installed: pip install -e . there.") from None


def installed_version(name: str) -> str | None:
    """Version of an installed distribution, or ``None``."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def python() -> Iterator[Finding]:
    """The interpreter."""
    version = platform.python_version()
    if sys.prefix == sys.base_prefix and "CONDA_PREFIX" not in os.environ:
        yield Finding(
            NOTE, f"Python {version}, the system's own", "python3 -m venv .venv keeps versions apart"
        )
    else:
        yield Finding(OK, f"Python {version} in {sys.prefix}")


def packages() -> Iterator[Finding]:
    """What the core needs, in versions it takes."""
    core = [each for each in requirements() if each.marker is None]
    wrong = [finding for each in core if (finding := _misfit(each, "-c constraints.txt -e ."))]
    yield from wrong
    if not wrong:
        named = ", ".join(f"{name} {installed_version(name)}" for name in NAMED)
        yield Finding(OK, f"{named}, and {len(core) - len(NAMED)} others")


def extras() -> Iterator[Finding]:
    """What commands beyond the core need; missing is no fault."""
    for extra, purpose in EXTRAS.items():
        of_extra = [e for e in requirements() if e.marker and e.marker.evaluate({"extra": extra})]
        install = f"'{PACKAGE}[{extra}]'"
        missing = [each.name for each in of_extra if installed_version(each.name) is None]
        wrong = [f for e in of_extra if e.name not in missing and (f := _misfit(e, install))]
        yield from wrong
        if missing:
            mend = f"pip install {install}, if you want {purpose}"
            yield Finding(NOTE, f"extra [{extra}] lacks {', '.join(missing)}", mend)
        elif not wrong:
            yield Finding(OK, f"extra [{extra}]")


def _misfit(needed: Requirement, install: str) -> Finding | None:
    found = installed_version(needed.name)
    mend = f"pip install {install}"
    if found is None:
        return Finding(WRONG, f"{needed.name} is not installed", mend)
    if not needed.specifier.contains(found, prereleases=True):
        return Finding(WRONG, f"{needed.name} {found} is not {needed.specifier}", mend)
    return None


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> Iterator[Finding]:
    """Cores, shared memory and disk."""
    found = cores()
    if found == 1:
        yield Finding(NOTE, "1 CPU core", "train with num_env_runners=0, as shipped configs do")
    else:
        yield Finding(OK, f"{found} CPU cores")
    yield from _object_store()
    home = next(folder for folder in (Path.home() / "ray_results", Path.home()) if folder.exists())
    free = shutil.disk_usage(home).free
    if not os.access(home, os.W_OK):
        yield Finding(WRONG, f"{home} cannot be written to", "give --storage-path a folder that can")
    elif free < LEAST_DISK:
        yield Finding(WRONG, f"{_gib(free)} of disk are free for {home}", "make room, or give --storage-path")
    else:
        yield Finding(OK, f"{_gib(free)} of disk are free for {home}")


def _object_store() -> Iterator[Finding]:
    shared = Path("/dev/shm")
    if not shared.exists():
        return
    wanted = STORE_SHARE * memory()
    free = shutil.disk_usage(shared).free
    if free < wanted:
        mend = f"in Docker, --shm-size={wanted / 2**30:.1f}gb; else objects go to slow disk"
        yield Finding(NOTE, f"{_gib(free)} of shared memory in {shared}, and Ray wants {_gib(wanted)}", mend)
    else:
        yield Finding(OK, f"{_gib(free)} of shared memory for Ray's object store")


def memory() -> float:
    """Bytes of memory of this machine."""
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def _gib(size: float) -> str:
    return f"{size / 2**30:.1f} GiB"


def gpu() -> Iterator[Finding]:
    """GPUs as torch sees them; imports torch."""
    import torch

    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        yield Finding(OK, f"GPU: {names} (used with num_gpus_per_learner=1)")
    elif shutil.which("nvidia-smi"):
        build = "torch's CPU build" if torch.version.cuda is None else f"torch for CUDA {torch.version.cuda}"
        mend = "install the build of torch that fits the driver; PyTorch's Get Started page shows the command"
        yield Finding(NOTE, f"there is an NVIDIA driver, and {build} sees no GPU", mend)
    else:
        yield Finding(OK, "no GPU; none is needed")


def ray_address() -> Iterator[Finding]:
    """The cluster that commands would join; imports Ray."""
    from rllib_safemarl.cli.ray_session import check_address, find_running_cluster

    named, found = os.environ.get("RAY_ADDRESS"), find_running_cluster()
    address = named or found
    if not address:
        yield Finding(OK, "no Ray cluster runs here; commands start one of their own")
        return
    try:
        check_address(address)
        yield Finding(OK, f"a Ray cluster answers at {address}; commands join it")
    except SafeMARLError as error:
        if named:
            mend = "unset RAY_ADDRESS, or start the cluster"
            yield Finding(WRONG, f"RAY_ADDRESS: {str(error).rstrip('.')}", mend)
        else:
            mend = "`ray stop` forgets it; our commands start one of their own"
            yield Finding(NOTE, f"a killed Ray cluster left the address {address} behind", mend)

"""`safemarl doctor`: what it says of a whole installation, and of one with faults."""

from __future__ import annotations

import importlib.metadata
import shutil
from collections import namedtuple

import pytest

from rllib_safemarl.cli import doctor_checks
from rllib_safemarl.cli.doctor import said
from tests.cli.runs import leave_behind_a_cluster, run, run_here

Disk = namedtuple("Disk", "total used free")
installed = importlib.metadata.version


@pytest.fixture
def quick(monkeypatch):
    """The doctor without what imports Ray and torch, and other versions than those installed."""
    for name in ("gpu", "ray_address"):
        monkeypatch.setattr(doctor_checks, name, lambda: iter(()))

    def examine(**versions):
        def version(name):
            found = versions.get(name.replace("-", "_"), "")
            if found is None:
                raise importlib.metadata.PackageNotFoundError(name)
            return found or installed(name)

        monkeypatch.setattr(importlib.metadata, "version", version)
        done = run_here("doctor", "--no-train", name="safemarl")
        return done.exit_code, done.output.splitlines()

    return examine


def _line(lines, text):
    (found,) = [line for line in lines if text in line]
    return found


def test_packages_that_are_missing_or_of_another_version_are_wrong(quick):
    status, lines = quick(ray="2.61.0", pettingzoo=None, torch="2.13.0+cpu")
    assert status == 1 and lines[-1] == "2 things are wrong"
    assert _line(lines, "ray 2.61.0") == (
        "wrong  ray 2.61.0 is not <2.61,>=2.53: pip install -c constraints.txt -e ."
    )
    assert _line(lines, "pettingzoo") == (
        "wrong  pettingzoo is not installed: pip install -c constraints.txt -e ."
    )
    assert "note   Ray, torch and training were not tried: mend the packages first" in lines


def test_missing_extras_are_notes_and_wrong_ones_are_wrong(quick):
    status, lines = quick(h5py=None, matplotlib="3.1", highway_env="1.10")
    assert status == 1 and lines[-1] == "1 thing is wrong"
    assert _line(lines, "[data]") == (
        "note   extra [data] lacks h5py: pip install 'rllib_safemarl[data]', if you want HDF5 datasets"
    )
    assert _line(lines, "matplotlib") == (
        "wrong  matplotlib 3.1 is not >=3.8: pip install 'rllib_safemarl[plot]'"
    )
    assert "ok     extra [driving]" in lines
    status, lines = quick(h5py=None)
    assert status == 0 and lines[-1] == "nothing is wrong"


def test_a_package_that_is_not_installed_is_said(quick, monkeypatch):
    def requires(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", requires)
    status, lines = quick()
    assert status == 1
    assert "wrong  rllib_safemarl is found, but not installed: pip install -e . there" in lines


def test_small_machines_are_told_how_to_live(quick, monkeypatch):
    monkeypatch.setattr(doctor_checks, "cores", lambda: 1)
    monkeypatch.setattr(doctor_checks, "memory", lambda: 10 * 2.0**30)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Disk(2**31, 2**30, 2**29))
    status, lines = quick()
    assert status == 1
    assert "note   1 CPU core: train with num_env_runners=0, as shipped configs do" in lines
    assert _line(lines, "shared memory") == (
        "note   0.5 GiB of shared memory in /dev/shm, and Ray wants 3.0 GiB: in Docker, --shm-size=3.0gb; "
        "else objects go to slow disk"
    )
    assert _line(lines, "of disk").startswith("wrong  0.5 GiB of disk are free for ")


@pytest.mark.parametrize(
    ("named", "found", "expected"),
    [
        (None, None, "ok     no Ray cluster runs here; commands start one of their own"),
        (None, "127.0.0.1:1", "note   a killed Ray cluster left the address 127.0.0.1:1 behind: `ray stop`"),
        ("127.0.0.1:1", None, "wrong  RAY_ADDRESS: no Ray cluster answers at 127.0.0.1:1: "),
    ],
)
def test_addresses_of_clusters(named, found, expected, monkeypatch):
    from rllib_safemarl.cli import ray_session

    monkeypatch.setattr(ray_session, "find_running_cluster", lambda: found)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if named:
        monkeypatch.setenv("RAY_ADDRESS", named)
    (finding,) = doctor_checks.ray_address()
    assert str(finding).startswith(expected)


@pytest.mark.parametrize(
    ("device", "driver", "expected"),
    [
        (False, None, "ok     no GPU; none is needed"),
        (False, "/bin/nvidia-smi", "note   there is an NVIDIA driver, and torch"),
        (True, "/bin/nvidia-smi", "ok     GPU: Ours (used with num_gpus_per_learner=1)"),
    ],
)
def test_gpus(device, driver, expected, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: device)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda i: "Ours")
    monkeypatch.setattr(shutil, "which", lambda name: driver)
    (finding,) = doctor_checks.gpu()
    assert str(finding).startswith(expected)


def test_a_check_that_fails_is_a_finding():
    def gpu():
        yield doctor_checks.Finding("ok", "so far")
        raise OSError("libcuda.so is\nbroken")

    assert [str(finding) for finding in said(gpu)] == [
        "ok     so far",
        "wrong  gpu failed, OSError: libcuda.so is broken: pip install -c constraints.txt -e . in a new "
        "virtual environment",
    ]


def test_the_whole_visit_trains():
    leave_behind_a_cluster()
    done = run("doctor", name="safemarl")
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout + done.stderr
    assert lines[0].endswith("looking at this installation") and lines[-1] == "nothing is wrong"
    assert "left the address 127.0.0.1:1 behind: `ray stop` forgets it" in done.stdout
    assert "Ray started: " in done.stdout
    assert _line(lines, "iterations of SCAL_MAPPO_L").startswith("ok     training: ")

"""Ray's start, quietly unless asked otherwise."""

from __future__ import annotations

import logging
import os
import socket
import sys
import warnings
from typing import Any

from rllib_safemarl.cli.console import say
from rllib_safemarl.cli.documents import parse_mapping
from rllib_safemarl.cli.flags import TrainFlags
from rllib_safemarl.errors import SafeMARLError

_LOGGERS = ("ray", "ray.rllib", "ray.tune", "ray.train", "ray.data", "ray._private", "ray.air")
_SECONDS_TO_ANSWER = 5.0


def keep_quiet() -> None:
    """Keep Ray's and its libraries' messages down in this process; to be called before Ray is imported."""
    warnings.filterwarnings("ignore")
    # Tune's newer reporter prints even at verbosity 0.
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    os.environ.setdefault("TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S", "0")
    _set_levels(logging.CRITICAL)


def import_ray(quiet: bool) -> None:
    """Import RLlib and register our names with it, which takes seconds and so is said."""
    if "rllib_safemarl.algorithms" in sys.modules:
        return
    if quiet:
        keep_quiet()
    say("importing Ray, RLlib and torch")
    import rllib_safemarl.algorithms  # noqa: F401  (registers every name)

    if quiet:
        # Importing Ray has set up its loggers.
        _set_levels(logging.CRITICAL)


def _set_levels(level: int) -> None:
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(level)


def start_ray(flags: TrainFlags) -> bool:
    """Start Ray here, or join a cluster: the one of the flag, of RAY_ADDRESS, or one that runs here.

    Returns:
        Whether it is our own, which has the nodes it has.

    Raises:
        SafeMARLError: there is no cluster at the address, or a flag does not fit it.
    """
    import ray

    level = logging.DEBUG if flags.log_debug else logging.INFO if flags.log_info else logging.CRITICAL
    settings: dict[str, Any] = {"log_to_driver": not flags.quiet, "logging_level": level}
    if flags.ray_runtime_env:
        settings["runtime_env"] = parse_mapping(flags.ray_runtime_env, "--ray-runtime-env", "py_modules")
    address = flags.ray_address or os.environ.get("RAY_ADDRESS")
    own = {
        "num_cpus": flags.ray_num_cpus,
        "num_gpus": flags.ray_num_gpus,
        "object_store_memory": flags.ray_object_store_memory,
    }
    own = {key: value for key, value in own.items() if value is not None}
    if flags.ray_num_nodes:
        address, own = _emulate_nodes(flags.ray_num_nodes, own), {}
    elif address and own:
        given = ", ".join(f"--ray-{key.replace('_', '-')}" for key in own)
        raise SafeMARLError(f"{given} cannot be given for a cluster that is joined ({address}).")
    elif own or (not address and _is_left_behind(find_running_cluster())):
        address = "local"
    if address:
        check_address(address)
    try:
        ray.init(address=address, include_dashboard=flags.ray_ui, **own, **settings)
    except Exception as error:  # of many classes; a node that starts too slowly raises Exception itself
        where = f"at {address}" if address else "here"
        raise SafeMARLError(f"Ray cannot be started {where}: {error}") from error
    resources = ray.cluster_resources()
    is_own = bool(flags.ray_num_nodes) or ray._private.worker._global_node.is_head()
    where = "Ray started" if is_own else "joined the cluster of this machine"
    if flags.ray_address:
        where = f"joined the cluster at {flags.ray_address}"
    say(f"{where}: {resources.get('CPU', 0):g} CPUs, {resources.get('GPU', 0):g} GPUs")
    return is_own


def find_running_cluster() -> str | None:
    """Address of the cluster last started on this machine, as Ray noted it; it may have been killed since."""
    from ray._private.services import find_bootstrap_address

    return find_bootstrap_address(None)


def _is_left_behind(address: str | None) -> bool:
    """Whether Ray would try for minutes to join a cluster of this machine that was killed."""
    try:
        check_address(address or "")
    except SafeMARLError:
        return True
    return False


def check_address(address: str) -> None:
    """Refuse an address at which nothing listens; Ray would try for many minutes.

    Raises:
        SafeMARLError: nobody answers within a few seconds.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not (colon and port.isdigit()):
        return
    try:
        socket.create_connection((host, int(port)), timeout=_SECONDS_TO_ANSWER).close()
    except OSError as error:
        raise SafeMARLError(f"no Ray cluster answers at {address}: {error}.") from error


def _emulate_nodes(nodes: int, settings: dict[str, Any]) -> str:
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    for _ in range(nodes):
        cluster.add_node(**{"num_cpus": 1, **settings})
    return cluster.address


def node_resources() -> list[dict[str, float]]:
    """Resources of every living node."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]

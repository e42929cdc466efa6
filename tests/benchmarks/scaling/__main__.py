"""Measures, checks and foretells, and writes examples/results/scaling.md.

What was measured before stays on the page until it is measured again; ten minutes for all of it.
Usage: python -m tests.benchmarks.scaling [costs] [here] [sleeping]     (none writes the page anew)
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
# Ray gives its processes a lower priority than the driver's, which skews what is measured on a busy machine.
os.environ.setdefault("RAY_worker_niceness", "0")

import rllib_safemarl
from rllib_safemarl.cli.suite_folder import about_now, write_text
from tests.benchmarks.harness import start_ray
from tests.benchmarks.page import processor
from tests.benchmarks.scaling.jobs import register_sleeping
from tests.benchmarks.scaling.page import page

RESULTS = Path(__file__).parents[3] / "examples" / "results"
PARTS = ("costs", "here", "sleeping")


def main() -> None:
    """Run what was asked for, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], default=[])
    asked = parser.parse_args().parts
    store = RESULTS / "scaling.json"
    kept = json.loads(store.read_text(encoding="utf-8")) if store.exists() else {}
    if asked:
        start_ray()
        register_sleeping()
    for part in asked:
        before = os.getloadavg()[0]
        measured = run(part)
        about = about_now(Path(rllib_safemarl.__file__).parent)
        kept[part] = {**about, "load": [before, os.getloadavg()[0]], "rows": measured}
        write_text(json.dumps(kept, indent=1) + "\n", store)
    write_text(page(kept, processor()), RESULTS / "scaling.md")


def run(part: str) -> Any:
    """What one part measures."""
    from tests.benchmarks.scaling import costs, trials

    started = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - started:5.0f} s  {part}: {what}", flush=True)

    if part == "costs":
        return costs.measure(say)
    if part == "here":
        return trials.as_rows(trials.as_it_is(say))
    return trials.as_rows(trials.sleeping(say))


if __name__ == "__main__":
    main()

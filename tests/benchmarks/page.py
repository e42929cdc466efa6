"""Runs benchmarks one after another and keeps what they print on one page of results.

Each of them has the machine to itself. What ran before stays on the page until it is run again.
Usage: python tests/benchmarks/page.py [NAME …]     (all that take minutes; long ones, and gpu, by name)
"""

from __future__ import annotations

import argparse
import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import rllib_safemarl
from rllib_safemarl.cli.suite_folder import about_now, write_text

HERE = Path(__file__).parent
RESULTS = HERE.parents[1] / "examples" / "results" / "speed"
NO_BENCHMARKS = {"harness", "offline_columns", "page"}
LONG = {"offline_streaming_memory", "interval_coverage", "gpu"}
HEAD = """# Speed

Written by `python tests/benchmarks/page.py`. Every benchmark measures its sides in turn in one run; rates are
per CPU-second unless it says otherwise, and only their ratios travel to other machines.
"""


def main() -> None:
    """Run what was asked for, then write the page."""
    names = sorted({file.stem for file in HERE.glob("*.py")} - NO_BENCHMARKS)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *names], default=[])
    asked = parser.parse_args().names or [name for name in names if name not in LONG]
    store = RESULTS / "speed.json"
    kept = json.loads(store.read_text(encoding="utf-8")) if store.exists() else {}
    for name in asked:
        print(f"{name} …", flush=True)
        kept[name] = run(name)
        RESULTS.mkdir(parents=True, exist_ok=True)
        write_text(json.dumps(dict(sorted(kept.items())), indent=1) + "\n", store)
        write_text(page(kept), RESULTS / "speed.md")


def run(name: str) -> dict[str, Any]:
    """One benchmark: what it printed, its ratios, when, of which commit, and on what."""
    done = subprocess.run(
        [sys.executable, HERE / f"{name}.py"], stdout=subprocess.PIPE, text=True, check=True
    )
    *printed, ratios = done.stdout.rstrip().splitlines()
    return {
        **about_now(Path(rllib_safemarl.__file__).parent),
        "processor": processor(),
        "ratios": json.loads(ratios),
        "printed": "\n".join(printed).strip(),
    }


def page(kept: dict[str, Any]) -> str:
    """Markdown: a section for each benchmark."""
    sections = []
    for name, entry in sorted(kept.items()):
        about = ast.get_docstring(ast.parse((HERE / f"{name}.py").read_text(encoding="utf-8"))) or ""
        ratios = ", ".join(f"`{key}` {value}" for key, value in entry["ratios"].items())
        sections.append(
            f"\n## {name}\n\n{about.splitlines()[0]}\n"
            f"{entry['date']}, commit {entry['commit']}, {entry['processor']}.\n"
            f"\n{entry['printed']}\n\nRatios: {ratios}.\n"
        )
    return HEAD + "".join(sections)


def processor() -> str:
    """The processor's name, where the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, "unknown processor")


if __name__ == "__main__":
    main()

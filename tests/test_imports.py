"""Imports point one way, and what needs no Ray loads none."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import rllib_safemarl

ROOT = Path(rllib_safemarl.__file__).parent
EVERYWHERE = {"errors", "settings"}
"""Modules on top of the package that any part may import; the root itself holds the version only."""

MAY_IMPORT = {
    "functional": set(),
    "nn": {"functional"},
    "envs": {"functional"},
    "data": {"functional"},
    "policies": {"functional", "nn", "envs"},
    "rollout": {"functional", "nn", "envs", "policies", "data", "_compat"},
    "offline": {"functional", "nn", "envs", "policies", "data", "_compat"},
    "algorithms": {"functional", "nn", "envs", "policies", "data", "rollout", "offline", "_compat"},
    "evaluation": {
        "functional",
        "nn",
        "envs",
        "policies",
        "data",
        "rollout",
        "offline",
        "algorithms",
    },
    "cli": {
        "functional",
        "nn",
        "envs",
        "policies",
        "data",
        "rollout",
        "offline",
        "algorithms",
        "evaluation",
        "_compat",
    },
}
"""Part → parts below it, as DESIGN's "Shape" has them; of a policy's environment its views must know."""

WITHOUT_RAY = ("functional", "nn", "envs", "data", "policies")


def _imports(source: str, package: str) -> set[str]:
    """Every module that a file names in an import, at any depth; ``package`` is the file's own."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


def _files() -> list[tuple[str, Path, set[str]]]:
    """Part, file and imports of every module in a part."""
    rows = []
    for file in sorted(ROOT.rglob("*.py")):
        parts = file.relative_to(ROOT).parts
        if len(parts) > 1:
            package = ".".join(["rllib_safemarl", *parts[:-1]])
            rows.append((parts[0], file, _imports(file.read_text(encoding="utf-8"), package)))
    return rows


def _wrong(part: str, imports: set[str]) -> set[str]:
    """Imports of our own parts that point the other way."""
    ours = {name.split(".")[1] for name in imports if name.startswith("rllib_safemarl.")}
    parts = {name for name in ours if name in MAY_IMPORT or (ROOT / f"{name}.py").exists()}
    return parts - MAY_IMPORT[part] - EVERYWHERE - {part}


def test_every_part_has_its_place():
    parts = {part for part, _, imports in _files()}
    assert parts <= set(MAY_IMPORT)
    assert {"functional", "envs", "rollout", "algorithms", "evaluation", "cli"} <= parts


def test_imports_point_one_way():
    wrong = {
        str(file.relative_to(ROOT)): found
        for part, file, imports in _files()
        if (found := _wrong(part, imports))
    }
    assert wrong == {}


def test_what_stands_above_ray_never_names_it():
    named = {
        str(file.relative_to(ROOT))
        for part, file, imports in _files()
        if part in WITHOUT_RAY and any(name.split(".")[0] == "ray" for name in imports)
    }
    assert named == set()


def test_only_evaluation_loads_scipys_statistics():
    """It takes a second and a half to import: too much for every process that samples."""
    named = {
        (part, file.name)
        for part, file, imports in _files()
        if part != "evaluation" and any(name.startswith("scipy.stats") for name in imports)
    }
    assert named == set()


@pytest.mark.parametrize(
    ("part", "source", "expected"),
    [
        ("envs", "from rllib_safemarl.rollout.runner import X", {"rollout"}),
        ("envs", "def f():\n    import rllib_safemarl.cli.rllib", {"cli"}),
        ("nn", "from rllib_safemarl import algorithms", {"algorithms"}),
        ("functional", "from ..policies import files", {"policies"}),
        (
            "policies",
            "from rllib_safemarl.envs.team import Team\nfrom rllib_safemarl import __version__",
            set(),
        ),
        ("cli", "from rllib_safemarl.errors import SafeMARLError\nimport ray", set()),
    ],
)
def test_the_walk_sees_imports_of_every_form(part, source, expected):
    assert _wrong(part, _imports(source, f"rllib_safemarl.{part}")) == expected


def _loaded(code: str) -> set[str]:
    """Top-level modules loaded after ``code``, in a process of its own."""
    script = f"{code}\nimport sys\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def _load_all(part: str) -> str:
    """Code that imports every module of a part."""
    files = [f.relative_to(ROOT.parent).with_suffix("") for f in sorted((ROOT / part).rglob("*.py"))]
    names = [".".join(f.parts).removesuffix(".__init__") for f in files]
    return "\n".join(f"import {name}" for name in names if not name.endswith("__main__"))


def test_the_root_loads_neither_ray_nor_torch():
    loaded = _loaded("import rllib_safemarl; rllib_safemarl.__version__; dir(rllib_safemarl)")
    assert loaded.isdisjoint({"ray", "torch", "numpy", "gymnasium"})


def test_no_module_without_ray_loads_it_through_another():
    parts = [part for part in WITHOUT_RAY if (ROOT / part).is_dir()]
    assert "ray" not in _loaded("\n".join(_load_all(part) for part in parts))


@pytest.mark.parametrize("part", ["envs", "data"])
def test_environments_and_data_load_no_torch_either_where_only_named(part):
    if not (ROOT / part / "__init__.py").exists():
        pytest.skip(f"there is no {part} yet")
    assert "torch" not in _loaded(f"import rllib_safemarl.{part}")


EXTRAS = ("h5py", "matplotlib", "PIL", "mujoco", "highway_env", "onnx", "onnxruntime")


def test_algorithms_and_commands_need_no_extra():
    """What is installed without extras trains and says what is missing; it never fails to import."""
    modules = [
        ".".join(file.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")
        for file in sorted(ROOT.rglob("*.py"))
        if not file.stem.startswith("figures")
    ]
    code = (
        "import importlib, sys\n"
        f"sys.modules.update(dict.fromkeys({EXTRAS!r}))\n"
        f"for name in {modules!r}: importlib.import_module(name)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr

"""What the package never does: run what it reads, call a shell, or fetch what nobody asked for."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import rllib_safemarl

ROOT = Path(rllib_safemarl.__file__).parent
REFUSED = {
    "eval",
    "exec",
    "os.system",
    "os.popen",
    "pickle.load",
    "pickle.loads",
    "torch.load",
    "yaml.unsafe_load",
    "yaml.full_load",
    "urllib.request.urlopen",
    "subprocess.run",
    "subprocess.Popen",
}
EXCEPTIONS = {
    # RLlib's checkpoints are pickles: README, "Whom to trust".
    ("evaluation/trained.py", "pickle.load"),
    # The commit that results come from; arguments are a list, so that no shell reads them.
    ("cli/suite_folder.py", "subprocess.run"),
}


@pytest.fixture(scope="module")
def trees():
    """Every file's syntax tree, by its place."""
    files = {str(file.relative_to(ROOT)): file.read_text("utf-8") for file in sorted(ROOT.rglob("*.py"))}
    return {name: list(ast.walk(ast.parse(source))) for name, source in files.items()}


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _found(nodes: list[ast.AST]) -> set[str]:
    """Refused calls, by their names; keywords that open a door count too."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.Call):
            names |= {_dotted(node.func)} & REFUSED
            doors = {key.arg for key in node.keywords if getattr(key.value, "value", None) is True}
            names |= {"shell", "allow_pickle"} & doors
    return names


def test_nothing_that_is_read_is_run(trees):
    assert {(file, name) for file, nodes in trees.items() for name in _found(nodes)} == EXCEPTIONS


def test_only_downloads_that_are_asked_for_reach_the_network(trees):
    networked = {
        file
        for file, nodes in trees.items()
        for node in nodes
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in [*(alias.name for alias in node.names), getattr(node, "module", None) or ""]
        if name.split(".")[0] in {"urllib", "requests", "http", "socket", "httpx", "aiohttp"}
    }
    # The session asks whether a Ray cluster answers.
    assert networked == {"data/download.py", "cli/ray_session.py"}


@pytest.mark.parametrize(
    "source", ["eval(x)", "f(pickle.loads(x))", "run(a, shell=True)", "np.load(p, allow_pickle=True)"]
)
def test_the_walk_sees_calls(source):
    assert _found(list(ast.walk(ast.parse(source))))

"""`safemarl plot` on folders made up here; it needs no Ray."""

import subprocess
import sys

import pytest

pytest.importorskip("matplotlib")

from tests.cli.runs import run_here
from tests.evaluation.tuned_runs import write_sweep


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    choices = [{"kappa": kappa, "cost_limit": limit} for kappa in (0, 1) for limit in (1.0, 2.0)]
    return write_sweep(tmp_path_factory.mktemp("runs") / "sweep", choices, seeds=2, iterations=6)


def plot(*arguments):
    return run_here("plot", *arguments, name="safemarl")


@pytest.mark.parametrize(
    ("options", "name"), [([], "curves"), (["--against", "kappa"], "kappa"), (["--parallel"], "parallel")]
)
def test_figures_are_written_where_the_command_is_given(sweep, tmp_path, monkeypatch, options, name):
    monkeypatch.chdir(tmp_path)
    done = plot(sweep, *options)
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[1:] == ["8 runs", f"picture: {name}.png"]
    assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_png_and_pdf(sweep, tmp_path):
    done = plot(sweep, "-o", tmp_path / "a.png", "-o", tmp_path / "b.pdf", "--title", "A title")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "b.pdf").read_bytes().startswith(b"%PDF") and (tmp_path / "a.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none"], "error: there is no folder none."),
        (
            ["SWEEP", "--against", "gama"],
            "error: the runs do not differ in 'gama'. They do in: cost_limit, kappa.",
        ),
        (["SWEEP", "--against", "kappa", "--parallel"], "are two figures: draw one after the other."),
        (["SWEEP", "-o", "a.svg"], "error: pictures are written as .png or .pdf, not as a.svg."),
        (["SWEEP", "-o", "no/a.png"], "error: there is no folder no to write a.png into."),
    ],
)
def test_misuse_is_said(sweep, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    done = plot(*(sweep if text == "SWEEP" else text for text in arguments))
    assert done.exit_code == 1 and message in done.output
    assert list(tmp_path.iterdir()) == []


def test_runs_that_reported_once_have_no_curves(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_sweep(tmp_path / "runs", [{"beta": 0.5}, {"beta": 0.9}], seeds=1, iterations=1)
    done = plot("runs")
    assert "these runs reported once each, and so have no curves; --against SETTING" in done.output


def test_without_matplotlib_it_says_what_to_install(sweep):
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from click.testing import CliRunner; from rllib_safemarl.cli.safemarl import main\n"
        f"print(CliRunner().invoke(main, ['plot', {str(sweep)!r}]).output)\n"
        "assert not {'ray', 'torch'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 'pictures need matplotlib: pip install "rllib_safemarl[plot]".' in done.stdout

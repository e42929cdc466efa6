"""A signal that ends Ray as well ends the command at once; one that does not leaves it to go on."""

import os
import signal
import socket

import pytest

from rllib_safemarl.cli import interruption
from rllib_safemarl.cli.interruption import Interruption


class Ended(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def watched(monkeypatch):
    """Watches whether Ray answers at an address, without pauses; the process does not end but raises."""

    def end(status):
        raise Ended(status)

    def watch(address):
        monkeypatch.setattr(os, "_exit", end)
        made = Interruption(every_minute=False)
        made._receive(signal.SIGTERM, None)
        checks = iter([False] * 5 + [True] * 5)
        monkeypatch.setattr(made._over, "wait", lambda seconds: next(checks))
        made._watch_ray(address)

    return watch


def test_a_signal_that_ended_ray_ends_the_command_and_says_how_to_go_on(watched, capsys):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(Ended, match="143"):
            watched(f"127.0.0.1:{closed.getsockname()[1]}")
    assert "error: Ray was ended by the same signal" in capsys.readouterr().err


def test_as_long_as_ray_answers_nothing_is_said(watched, capsys):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        watched(f"127.0.0.1:{listening.getsockname()[1]}")
    assert capsys.readouterr().err == ""


def test_ray_is_gone_only_after_several_answers_were_missed(watched, monkeypatch):
    answers = iter([False, False, True, False, False])

    def check(address):
        if not next(answers):
            raise interruption.SafeMARLError("no answer")

    monkeypatch.setattr(interruption, "check_address", check)
    watched("127.0.0.1:1")

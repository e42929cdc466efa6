"""Why a trial failed: our message is found wherever Ray hides it."""

import pytest
from ray.exceptions import ActorDiedError, RayActorError, RayTaskError, WorkerCrashedError

from rllib_safemarl.cli.failures import one_line
from rllib_safemarl.errors import SafeMARLError

OURS = "agent 'a' reported no cost at step 3."


def task_error(cause, traceback="Traceback ...\n"):
    return RayTaskError("train", traceback, cause).as_instanceof_cause()


def test_a_plain_error_is_its_message():
    assert one_line(SafeMARLError(OURS)) == OURS


def test_rays_error_gives_way_to_its_cause():
    assert one_line(task_error(SafeMARLError(OURS))) == OURS
    assert one_line(task_error(ValueError("two\nlines"))) == "ValueError: two lines"


def test_an_error_in_an_error_is_found():
    outer = RuntimeError("no batch")
    outer.__cause__ = task_error(task_error(SafeMARLError(OURS)))
    assert one_line(outer) == OURS


def test_of_an_actor_that_died_in_its_constructor_only_text_is_left():
    text = f"The actor died because of an error\n  File x\nrllib_safemarl.errors.SafeMARLError: {OURS}\n"
    assert one_line(RayActorError(error_msg=text)) == OURS
    assert one_line(None, text) == OURS


def test_of_a_process_that_was_killed_it_is_said_how_to_go_on():
    for error in (RayActorError(), ActorDiedError(), WorkerCrashedError()):
        assert one_line(error) == (
            "a process of the run died, killed or out of memory; --resume goes on from the last checkpoint"
        )
    text = "Traceback\n  File x\nray.exceptions.ActorDiedError: The actor died unexpectedly"
    assert one_line(None, text).startswith("a process of the run died")
    text = "The actor died because of an error\n  File x\nKeyError: 'a'"
    assert one_line(RayActorError(error_msg=text)) == "KeyError: 'a'"


def test_other_errors_give_their_last_line():
    text = "Traceback\n  File x\nKeyError: 'a'\nDuring handling\n  File y\nimportlib.ImportError: no z\n"
    assert one_line(None, text) == "importlib.ImportError: no z"


def test_env_runners_that_cannot_start_are_named():
    text = "ray/rllib/env/env_runner_group.py, line 3, in get_spaces\nIndexError: list index out of range"
    assert "no env runner could be started" in one_line(None, text)


@pytest.mark.parametrize("text", ["", "all is\nlost"])
def test_there_is_always_one_line(text):
    assert one_line(None, text) in ("unknown reason", "all is lost")

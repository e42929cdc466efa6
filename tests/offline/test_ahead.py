"""Items made ahead by a thread: in order, so many at most, and never a caller left waiting."""

import threading
import time

import pytest

from rllib_safemarl.offline.ahead import ReadAhead


def counting(made, ended):
    try:
        for number in range(1_000_000):
            made.append(number)
            yield number
    finally:
        ended.set()


def settle(made):
    """Wait until nothing more is made."""
    before = -1
    while before != len(made):
        before = len(made)
        time.sleep(0.05)


@pytest.mark.parametrize("depth", [1, 3])
def test_items_come_in_order_and_no_more_than_depth_are_made_ahead(depth):
    made, ended = [], threading.Event()
    ahead = ReadAhead(counting(made, ended), depth, "test")
    for taken in range(5):
        settle(made)
        assert len(made) == taken + depth
        assert ahead.get() == taken
    ahead.stop()
    ahead.join()
    assert ended.wait(5.0), "the generator is closed, not left to the collector"


def test_an_error_comes_after_the_items_before_it_and_stays():
    def failing():
        yield 1
        raise ValueError("broken")

    ahead = ReadAhead(failing(), 2, "test")
    assert ahead.get() == 1
    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            ahead.get()


def test_stopping_wakes_up_who_waits_for_an_item():
    hold, woken = threading.Event(), threading.Event()

    def slow():
        hold.wait(30.0)
        yield 1

    ahead = ReadAhead(slow(), 1, "test")

    def wait():
        try:
            ahead.get()
        except Exception:
            woken.set()

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    time.sleep(0.05)
    ahead.stop()
    assert woken.wait(5.0)
    hold.set()
    ahead.join()

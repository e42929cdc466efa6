"""Items made by a thread of their own, a few ahead of who takes them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class _Closed(Exception):
    """Nothing more will come."""


class ReadAhead(Generic[Item]):
    """Takes items from a generator without end.

    Args:
        items: the generator; it runs, and is closed, in the thread.
        depth: items that are ready or being made at most, besides the one taken last.
        name: of the thread.
    """

    def __init__(self, items: Generator[Item, None, None], depth: int, name: str) -> None:
        self._items = items
        self._ready: queue.SimpleQueue[Item | BaseException] = queue.SimpleQueue()
        # Counted before an item is made, not when it is done: no item waits in the thread's hands.
        self._free = threading.Semaphore(depth)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._fill, daemon=True, name=name)
        self._thread.start()

    def _fill(self) -> None:
        try:
            while self._free.acquire() and not self._closed.is_set():
                self._ready.put(next(self._items))
        except BaseException as error:
            self._ready.put(error)
        finally:
            # Ray Data's executor of a stream that is not read to its end stops with its generators.
            self._items.close()

    def get(self) -> Item:
        """The next item; raises what the generator raised."""
        item = self._ready.get()
        if isinstance(item, BaseException):
            self._ready.put(item)
            raise item
        self._free.release()
        return item

    def stop(self) -> None:
        """Ask the thread to end, and wake up who waits for an item."""
        self._closed.set()
        self._free.release()
        self._ready.put(_Closed())

    def join(self, seconds: float = 10.0) -> None:
        """Wait for the thread to end."""
        self._thread.join(seconds)

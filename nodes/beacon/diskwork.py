"""
A thread that does what waits for a disk, so that the loop does not.

Owns: one thread, a queue, and the way back to the loop. Refuses: work after `close`. A disk that
never answers keeps its thread for ever, and nothing else: not the loop, not the process's end.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Result = TypeVar("Result")


class DiskWork:
    """Does one thing after the other; the thread begins with the first."""

    def __init__(self, name: str) -> None:
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        # An executor's threads are waited for when the interpreter ends, however long; a disk that
        # hangs would hold the process that its operator wants to end.
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._closed = False

    @property
    def waiting(self) -> int:
        """How much there is to do after what is being done."""
        return self._queue.qsize()

    async def do(
        self, work: Callable[Given, Result], *args: Given.args, **kwargs: Given.kwargs
    ) -> Result:
        """Do it on the thread; raises what it raises. Who gives up waiting does not undo it."""
        if self._closed:
            raise RuntimeError(f"{self._thread.name} is closed")
        if not self._thread.is_alive():
            self._thread.start()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Result] = loop.create_future()

        def carry_out() -> None:
            try:
                result = work(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - raised again where it was asked for
                _tell(loop, done, error=error)
            else:
                _tell(loop, done, result=result)

        self._queue.put(carry_out)
        return await done

    async def close(self, *, timeout_s: float) -> bool:
        """Take no more work and wait for what there is; whether it ended within this time."""
        self._closed = True
        if not self._thread.is_alive():
            return True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join, timeout_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (carry_out := self._queue.get()) is not None:
            carry_out()


def _tell(
    loop: asyncio.AbstractEventLoop,
    done: asyncio.Future[Result],
    *,
    result: Result | None = None,
    error: BaseException | None = None,
) -> None:
    def tell() -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    try:
        loop.call_soon_threadsafe(tell)
    except RuntimeError:
        # The loop has ended: nobody waits any more.
        return

"""Runs a function over tasks in several processes, which end when they should.

They are spawned, not forked, so that it does not matter which libraries have started threads; they
import the function's module and nothing else of the program. They end at once when the program is
killed, however it is killed, and in between two steps of their task when it is interrupted.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from slim.errors import SuiteError

Task = TypeVar('Task')
Result = TypeVar('Result')

_POLL_SECS = 0.2
# Enough that no process waits, few enough that no more than these are copied at a time.
_TASKS_PER_WORKER = 2


def available_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run(
    function: Callable[[Task, Callable[[int], object]], Result],
    tasks: Sequence[Task],
    num_workers: int,
    advance: Callable[[int], object] = lambda count: None,
) -> Generator[tuple[int, Result], None, None]:
    """Yields (number of the task, result) in the order in which tasks are finished.

    Wrap it in `contextlib.closing`, so that the processes end when the caller fails.

    Args:
      function: `function(task, advance)`, of a module; it calls its `advance(count)` as it goes on,
        which is also where it is stopped when another task has failed.
      tasks: picklable.
      num_workers: processes; 1 means this one.
      advance: is called here with the sum of the counts, a few times a second.

    Raises:
      SuiteError: a process was killed.
      whatever `function` raises; the other tasks have been stopped by then.
    """
    num_workers = min(num_workers, len(tasks))
    if num_workers <= 1:
        for number, task in enumerate(tasks):
            yield number, function(task, advance)
        return
    context = multiprocessing.get_context('spawn')
    # Before the processes: what looks after these values sets the mask of signals when it starts.
    done, stop = context.Value('q', 0), context.Value('b', 0)
    executor = futures.ProcessPoolExecutor(num_workers, context, _start_worker, (done, stop))
    waiting = enumerate(tasks)
    running: dict[futures.Future[Result], int] = {}

    def submit(count: int) -> None:
        for _, (number, task) in zip(range(count), waiting, strict=False):
            running[executor.submit(_call, function, task)] = number

    shown = 0
    try:
        with _interrupts_are_not_inherited():
            submit(num_workers * _TASKS_PER_WORKER)
        while running:
            finished, _ = futures.wait(
                running, timeout=_POLL_SECS, return_when=futures.FIRST_COMPLETED
            )
            # Without the lock: a process that was killed may hold it.
            now = done.get_obj().value
            advance(now - shown)
            shown = now
            for future in finished:
                number = running.pop(future)
                result = future.result()
                submit(1)
                yield number, result
        advance(done.get_obj().value - shown)
    except BrokenProcessPool as error:
        raise SuiteError(
            'A worker process was killed, perhaps because memory ran out. Start the same command '
            'again, with a smaller --num_workers where memory is short.'
        ) from error
    finally:
        stop.get_obj().value = 1
        executor.shutdown(wait=True, cancel_futures=True)


class _Stopped(Exception):
    """Ends a task whose result nobody waits for."""


@contextlib.contextmanager
def _interrupts_are_not_inherited() -> Iterator[None]:
    """Ctrl-C reaches every process of the terminal; those started here leave it to their parent.

    A blocked signal stays blocked in a new program, from its first instruction on; here it is
    delivered at the end of the block. The thread of a library takes it all the same, for which
    Python would raise in the middle of a start, so its handler waits as well.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT) if is_main else None
    seen: list[int] = []
    if handler is not None:
        signal.signal(signal.SIGINT, lambda number, _: seen.append(number))
    try:
        yield
    finally:
        if handler is not None:
            signal.signal(signal.SIGINT, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if seen:
            signal.raise_signal(signal.SIGINT)


# In the worker processes: the counters that are shared with the parent.
_shared: list[Any] = []


def _start_worker(done: Any, stop: Any) -> None:
    _shared[:] = [done, stop]
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)


def _call(function: Callable[[Any, Callable[[int], object]], Any], task: Any) -> Any:
    return function(task, _advance)


def _advance(count: int) -> None:
    done, stop = _shared
    if stop.get_obj().value:
        raise _Stopped
    with done.get_lock():
        done.value += count

"""Where tasks run: here, or in worker processes; any `concurrent.futures.Executor` will do.

A task is data and the name of a function, never a function object: what is loaded by path (a
strategy) does not travel, and each worker loads it for itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

from delever.errors import InputError

Task = TypeVar("Task")
Result = TypeVar("Result")


def default_workers() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def open_executor(workers: int) -> Iterator[Executor | None]:
    """Open worker processes; none for one worker, whose tasks run here.

    Raises InputError if `workers` is below 1.
    """
    if workers < 1:
        raise InputError(f"workers must be at least 1; got {workers}")
    if workers == 1:
        yield None
        return
    import multiprocessing

    # Forking a process that has threads can deadlock; a server of this kind never has any.
    context = multiprocessing.get_context("forkserver" if os.name == "posix" else "spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def run_tasks(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    executor: Executor | None,
    *,
    ahead: int = 4,
) -> Iterator[tuple[Task, Result]]:
    """Run a function on tasks and give results as they come."""
    if executor is None:
        for task in tasks:
            yield task, function(task)
        return
    waiting: dict[Future[Result], Task] = {}
    left = iter(tasks)
    done = False
    while waiting or not done:
        while not done and len(waiting) < ahead:
            try:
                task = next(left)
            except StopIteration:
                done = True
            else:
                waiting[executor.submit(function, task)] = task
        finished, _ = wait(waiting, return_when=FIRST_COMPLETED)
        for future in finished:
            yield waiting.pop(future), future.result()

"""Where tasks run: here, or in worker processes; any `concurrent.futures.Executor` will do.

A task is data and the name of a function, never a function object: what is loaded by path (a
strategy) does not travel, and each worker loads it for itself.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from contextlib import contextmanager
from types import ModuleType
from typing import Any, TypeVar

from delever.arguments import Mapper
from delever.errors import InputError, SimulationError

_PARTS = 4

Task = TypeVar("Task")
Result = TypeVar("Result")


def default_workers() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def open_executor(workers: int, where: str | Executor | None = None) -> Iterator[Executor | None]:
    """Open what tasks run on: worker processes, a cluster by its address, or what is given.

    None for one worker, whose tasks run here. Raises InputError if `workers` is below 1;
    SimulationError if a worker ends before its work is done; what
    `delever.study.machines.cluster.open_cluster` raises.

    Workers do not run the script that started them, so it needs no ``if __name__ == "__main__"``:
    a task names a function of the package and holds data, nothing of ``__main__``.
    """
    if workers < 1:
        raise InputError(f"workers must be at least 1; got {workers}")
    if isinstance(where, str):
        from delever.study.machines.cluster import open_cluster

        with open_cluster(where) as there:
            yield there
        return
    if where is not None:
        if not isinstance(where, Executor):
            raise InputError(
                f"a cluster must be an address, such as 'local:4', or an Executor; got {where!r}"
            )
        yield where
        return
    if workers == 1:
        yield None
        return
    # Forking a process that has threads can deadlock; a server of this kind never has any.
    context = multiprocessing.get_context("forkserver" if os.name == "posix" else "spawn")
    pool = _Pool(workers, mp_context=context)
    try:
        with _broken_is_said():
            yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class _Pool(ProcessPoolExecutor):
    """A pool whose processes, which begin as tasks are handed in, are not told of the script."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        with without_script():
            return super().submit(fn, *args, **kwargs)


@contextmanager
def without_script() -> Iterator[None]:
    """Hide the script from what `multiprocessing` tells a new process to run again."""
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


@contextmanager
def _broken_is_said() -> Iterator[None]:
    try:
        yield
    except BrokenExecutor:
        raise SimulationError(
            "a worker process ended before its work was done: it was killed, ran out of memory, or "
            "could not be started; run again with fewer workers or, in a sweep, with less memory "
            "(what was finished is kept); an executor of your own needs to be opened below "
            'if __name__ == "__main__": in a script'
        ) from None


def mapping(
    pool: Executor | None,
    workers: int = 1,
    *,
    parts: int = _PARTS,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Mapper:
    """Map a function over numbers, in order, on what was opened; a cluster divides them singly.

    Of `workers` processes each is given the function so many times. `progress` is told how many are
    done, and of how many.
    """

    def over(function: Callable[[int], Result], numbers: Iterable[int], /) -> Iterator[Result]:
        asked = list(numbers)
        size = max(1, -(-len(asked) // (parts * workers)))
        found = map(function, asked) if pool is None else pool.map(function, asked, chunksize=size)
        for done, one in enumerate(found, 1):
            yield one
            progress(done, len(asked))

    return over


def run_tasks(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    executor: Executor | None,
    *,
    ahead: int = 4,
) -> Iterator[tuple[Task, Result]]:
    """Run a function on tasks and give results as they come, `ahead` of them under way at least.

    Raises SimulationError if a worker ends before its work is done.
    """
    if executor is None:
        for task in tasks:
            yield task, function(task)
        return
    waiting: dict[Future[Result], Task] = {}
    left = iter(tasks)
    done = False
    while waiting or not done:
        # A cluster grows and shrinks as it works.
        while not done and len(waiting) < max(ahead, getattr(executor, "ahead", 0)):
            try:
                task = next(left)
            except StopIteration:
                done = True
            else:
                with _broken_is_said():
                    waiting[executor.submit(function, task)] = task
        finished, _ = wait(waiting, return_when=FIRST_COMPLETED)
        for future in finished:
            with _broken_is_said():
                result = future.result()
            yield waiting.pop(future), result

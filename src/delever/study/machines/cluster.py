"""Workers of a Dask cluster as an executor: what a task needs travels by its content, once.

What is lost on the way (a worker, the connection to the scheduler) is sent again. What no worker
could finish, and a cluster that stays away, is said in one sentence.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import logging
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from delever.arguments import counted
from delever.errors import ConfigError, DeleverError, SimulationError
from delever.study.machines.errand import Lacking, errand, keep, stamp
from delever.study.machines.parcel import Content
from delever.study.workspaces.strategy import MODULES

PATIENCE = 60.0
"""Seconds that a cluster without a scheduler or a worker is waited for."""
_CONNECT = 10.0
_ADDRESS = re.compile(r"(tcp|tls|ucx|wss?)://[^/\s]+:[1-9][0-9]{0,4}")
_PER_CORE = 4  # processes started here, of one thread each
_DEATHS = 3  # times that Dask gives a task up, each after several workers died of it
_UPLOADS = 20
_WATCH = 0.5


@dataclass(slots=True, kw_only=True, eq=False)
class _Job:
    """A task under way."""

    answer: Future[Any]  # what its asker waits for
    function: str
    args: tuple[Any, ...]
    files: Mapping[str, str]
    deaths: int = 0
    uploads: int = 0
    sent: Any = None  # Dask's future


class Cluster(Executor):
    """Workers of a Dask cluster, as an executor."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._client = connect()
        self._blobs: dict[str, Content] = {}
        self._files: dict[str, str] = {}
        self._function: tuple[Any, str] | None = None
        self._jobs: set[_Job] = set()
        self._lost: list[_Job] = []
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._workers = 0
        self._watcher = threading.Thread(target=self._watch, name="delever-cluster", daemon=True)
        self._watcher.start()

    @property
    def workers(self) -> int:
        """Processes that take tasks, at least 1."""
        return max(self._workers, 1)

    @property
    def ahead(self) -> int:
        """Tasks to keep under way, so that no worker waits for the next one."""
        return 3 * self.workers

    @property
    def headline(self) -> str:
        """Where it is, how many workers it has, and where Dask shows what they do."""
        return (
            f"cluster {self._client.scheduler.address}: {counted(self.workers, 'worker')}; "
            f"dashboard {self._client.dashboard_link}"
        )

    def wait(self) -> None:
        """Wait for a first worker. Raises TimeoutError if none comes."""
        self._client.wait_for_workers(1, timeout=_CONNECT)
        self._count()

    def _count(self) -> None:
        """Ask how many workers there are. Raises TimeoutError if the scheduler stays silent."""
        there = self._client.sync(self._client.scheduler.ncores, callback_timeout=_CONNECT)
        self._workers = len(there)

    @contextmanager
    def carrying(self, files: Mapping[str, Content]) -> Iterator[None]:
        """Move functions to a workspace of these files; a worker is given those it lacks."""
        told = {}
        for name, content in files.items():
            sha = hashlib.sha256(_bytes(content)).hexdigest()
            self._blobs[sha] = content
            told[name] = sha
        self._files = told
        try:
            yield
        finally:
            self._files = {}

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a function on a worker; what it is made of travels by the hash of its pickle."""
        if kwargs:
            raise TypeError("a task for a cluster takes no keywords")
        job = _Job(answer=Future(), function=self._pickled(fn), args=args, files=self._files)
        with self._lock:
            self._jobs.add(job)
        self._send(job)
        return job.answer

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Forget what is under way, and leave the cluster."""
        del wait, cancel_futures
        self._closed.set()
        with self._lock:
            jobs, self._jobs, self._lost = list(self._jobs), set(), []
        for job in jobs:
            job.answer.cancel()
        self._client.close()
        self._watcher.join(timeout=_CONNECT)

    def _pickled(self, fn: Callable[..., Any]) -> str:
        import cloudpickle

        if self._function is None or self._function[0] is not fn:
            # A worker cannot import what was loaded from files of a workspace.
            for name in [name for name in sys.modules if name.startswith(MODULES)]:
                cloudpickle.register_pickle_by_value(sys.modules[name])
            content = cloudpickle.dumps(fn)
            sha = hashlib.sha256(content).hexdigest()
            self._blobs[sha] = content
            self._function = (fn, sha)
        return self._function[1]

    def _send(self, job: _Job) -> None:
        told = stamp(), dict(job.files), job.function, job.args
        try:
            job.sent = self._client.submit(errand, *told, pure=False)
        except Exception as error:  # noqa: BLE001 - raised in a thread, it would leave the asker waiting
            if self._client.status == "running":
                self._answer(job, error)
            else:  # the connection was lost just now; Dask has no one class for it
                with self._lock:
                    self._lost.append(job)
            return
        job.sent.add_done_callback(lambda sent: self._came(job, sent))

    def _came(self, job: _Job, sent: Any) -> None:
        """What became of a task that was sent; runs in a thread of Dask's."""
        from distributed import KilledWorker

        if self._closed.is_set() or job.answer.done() or sent is not job.sent:
            return
        if sent.status in ("cancelled", "lost"):  # with the connection to the scheduler
            with self._lock:
                self._lost.append(job)
            return
        error = sent.exception() if sent.status == "error" else None
        if isinstance(error, KilledWorker) and job.deaths < _DEATHS:
            job.deaths += 1
            self._send(job)
        elif error is not None:
            ran = any(one.name == errand.__name__ for one in traceback.extract_tb(sent.traceback()))
            self._answer(job, error if ran else _said(error))
        elif isinstance(result := sent.result(), Lacking) and job.uploads < _UPLOADS:
            job.uploads += 1
            self._give(result)
            self._send(job)
        elif isinstance(result, Lacking):
            self._answer(job, SimulationError(
                f"worker {result.worker} must keep the files it is given; it lacks them again and "
                "again; see whether its disk is full"
            ))  # fmt: skip
        else:
            self._answer(job, None, result)

    def _give(self, lacking: Lacking) -> None:
        contents = {sha: _bytes(self._blobs[sha]) for sha in lacking.hashes}
        try:
            self._client.run(keep, contents, workers=[lacking.worker])
        except (OSError, KeyError, ValueError, TimeoutError) as error:
            # It died meanwhile; whoever takes the task next asks for the same.
            logging.getLogger(__name__).debug("%s took no files: %r", lacking.worker, error)

    def _answer(self, job: _Job, error: BaseException | None, result: Any = None) -> None:
        with self._lock:
            if job not in self._jobs:
                return  # `shutdown` gave it up meanwhile, and cancels it
            self._jobs.remove(job)
        job.sent = None
        if error is not None:
            job.answer.set_exception(error)
        else:
            job.answer.set_result(result)

    def _watch(self) -> None:
        """Send again what was lost with the scheduler; give up a cluster that stays away."""
        seen = time.monotonic()
        while not self._closed.wait(_WATCH):
            if self._alive():
                seen = time.monotonic()
                with self._lock:
                    again, self._lost = self._lost, []
                for job in again:
                    self._send(job)
            elif self._jobs and time.monotonic() - seen > PATIENCE:
                for job in list(self._jobs):
                    self._answer(job, SimulationError(
                        f"a cluster needs a scheduler and a worker; for {PATIENCE:.0f} s there was "
                        "none; what was finished is kept: start them and run the same again"
                    ))  # fmt: skip

    def _alive(self) -> bool:
        """Whether there is a scheduler with a worker; a lost scheduler is looked for."""
        if self._client.status == "closed":
            try:
                self._client = self._connect()
            except SimulationError:
                return False
        try:
            if self._client.status != "running":
                return False
            self._count()
        except (OSError, TimeoutError, RuntimeError):  # lost as it was asked
            return False
        return self._workers > 0


@contextmanager
def open_cluster(address: str) -> Iterator[Cluster]:
    """Connect to a cluster, or start one of worker processes on this machine.

    Raises ConfigError if the address is not of its form, or the extra is not installed;
    SimulationError if no scheduler answers, or it has no worker.

    Parameters
    ----------
    address : str
        ``"tcp://HOST:8786"``, or ``"local:4"`` for four processes here.
    """
    try:
        dask: Any = importlib.import_module("distributed")
    except ImportError:
        raise ConfigError(
            "a cluster needs Dask, which is not installed; run: pip install 'delever[cluster]'"
        ) from None
    kind, _, count = address.partition(":")
    if kind == "local" and count.isdecimal() and int(count) > 0:
        from delever.study.machines.executor import default_workers, without_script

        most = _PER_CORE * default_workers()
        if int(count) > most:
            raise ConfigError(
                f"a cluster on this machine may have {_PER_CORE} processes per core, so {most:,} "
                f"at most; got {address!r}; ask for fewer"
            )
        with (
            without_script(),
            dask.LocalCluster(
                n_workers=int(count), threads_per_worker=1, dashboard_address=":0", silence_logs=50
            ) as local,
            _connected(dask, local.scheduler_address) as cluster,
        ):
            yield cluster
    elif _ADDRESS.fullmatch(address):
        with _connected(dask, address) as cluster:
            yield cluster
    else:
        raise ConfigError(
            "a cluster is the address of a Dask scheduler (tcp://HOST:8786) or local:N for N "
            f"processes on this machine; got {address!r}"
        )


@contextmanager
def _connected(dask: Any, address: str) -> Iterator[Cluster]:
    def connect() -> Any:
        try:
            # Dask waits without end for a greeting from what takes the connection and stays silent.
            with ThreadPoolExecutor(1) as apart:  # a notebook runs a loop in this thread
                apart.submit(asyncio.run, _greeted(dask, address)).result()
            return dask.Client(address, timeout=_CONNECT, set_as_default=False)
        except (OSError, ValueError, TypeError, MemoryError) as error:  # anything may answer there
            raise SimulationError(
                f"a Dask scheduler must answer at {address}; none does ({type(error).__name__}); "
                "start it with: dask scheduler"
            ) from None

    cluster = Cluster(connect)
    try:
        try:
            cluster.wait()
        except TimeoutError:
            raise SimulationError(
                f"a cluster needs workers; {address} has none; start some with: dask worker "
                f"{address} --nthreads 1"
            ) from None
        yield cluster
    finally:
        cluster.shutdown()


async def _greeted(dask: Any, address: str) -> None:
    secured = dask.Security().get_connection_args("client")
    comm = await asyncio.wait_for(dask.comm.connect(address, **secured), _CONNECT)
    await comm.close()


def _bytes(content: Content) -> bytes:
    return content.read_bytes() if isinstance(content, Path) else content


def _said(error: BaseException) -> BaseException:
    """What a worker met, in a sentence of ours where it is one of a cluster."""
    from distributed import KilledWorker

    if isinstance(error, DeleverError):
        return error
    if isinstance(error, KilledWorker):
        return SimulationError(
            "a task must end; the workers that took it died again and again: it runs out of "
            "memory, or the strategy ends its process; what was finished is kept; run again with "
            "less memory (sweep.memory)"
        )
    if isinstance(error, ImportError | AttributeError | TypeError):
        return SimulationError(
            "workers must have delever installed, of the same version as here, with the extra "
            f"cluster; one of them says: {type(error).__name__}: {error}"
        )
    return error

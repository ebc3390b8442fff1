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
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
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
_LOSSES = 10  # times that an answer is lost on its way
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
    losses: int = 0
    uploads: int = 0
    client: Any = None  # that it was sent by; None while it has to be sent
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
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._workers = 0
        # One thread asks Dask for what came. Dask's own for callbacks, one for all clients of a
        # process, must not wait for an answer that a closed connection never brings.
        self._back: SimpleQueue[tuple[_Job, Any] | None] = SimpleQueue()
        self._keeper = threading.Thread(target=self._keep, name="delever-cluster", daemon=True)
        self._keeper.start()

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
        # It has a client from the first, else the thread that looks would send it as well.
        job = _Job(
            answer=Future(), function=self._pickled(fn), args=args, files=self._files,
            client=self._client,
        )  # fmt: skip
        with self._lock:
            if self._closed.is_set():
                raise SimulationError("a task needs an open cluster; this one was left")
            self._jobs.add(job)
        self._send(job)
        return job.answer

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Forget what is under way, and leave the cluster."""
        del wait, cancel_futures
        self._give_up(CancelledError())
        self._back.put(None)
        self._client.close()
        self._keeper.join(timeout=_CONNECT)

    def _give_up(self, error: BaseException) -> None:
        with self._lock:
            self._closed.set()
        for job in self._under_way():
            self._answer(job, error)

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
        job.client = client = self._client
        try:
            sent = client.submit(errand, *told, pure=False)
        except Exception as error:  # noqa: BLE001 - Dask has no one class for a connection lost just now
            if client.status == "running":
                self._answer(job, error)
            elif job.client is client:  # nobody has sent it over a new connection meanwhile
                job.client = None
            return
        job.sent = sent
        sent.add_done_callback(lambda sent: self._back.put((job, sent)))

    def _take(self, job: _Job, sent: Any) -> None:
        """Take what became of a task that was sent."""
        if sent is not job.sent or job not in self._jobs:
            return
        try:
            self._settle(job, sent)
        except Exception as error:  # noqa: BLE001 - whatever a connection lost meanwhile raises
            job.losses += 1
            job.client = None
            if job.losses > _LOSSES:
                self._answer(job, error)

    def _settle(self, job: _Job, sent: Any) -> None:
        from distributed import KilledWorker

        if sent.status in ("cancelled", "lost"):  # with the connection to the scheduler
            job.client = None
            return
        error = sent.exception(timeout=PATIENCE) if sent.status == "error" else None
        if isinstance(error, KilledWorker) and job.deaths < _DEATHS:
            job.deaths += 1
            self._send(job)
        elif error is not None:
            frames = traceback.extract_tb(sent.traceback(timeout=PATIENCE))
            ran = any(frame.name == errand.__name__ for frame in frames)
            self._answer(job, error if ran else _said(error))
        elif (
            isinstance(result := sent.result(timeout=PATIENCE), Lacking) and job.uploads < _UPLOADS
        ):
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
            # What `Client.run` does, which would wait without end for a connection that closes.
            self._client.sync(
                self._client._run, keep, contents, workers=[lacking.worker],
                callback_timeout=PATIENCE,
            )  # fmt: skip
        except (OSError, KeyError, ValueError, TimeoutError) as error:
            # It died meanwhile; whoever takes the task next asks for the same.
            logging.getLogger(__name__).debug("%s took no files: %r", lacking.worker, error)

    def _answer(self, job: _Job, error: BaseException | None, result: Any = None) -> None:
        with self._lock:
            if job not in self._jobs:
                return
            self._jobs.remove(job)
        job.sent = None
        if not job.answer.set_running_or_notify_cancel():
            return
        if error is not None:
            job.answer.set_exception(error)
        else:
            job.answer.set_result(result)

    def _under_way(self) -> list[_Job]:
        with self._lock:
            return list(self._jobs)

    def _keep(self) -> None:
        """Take what comes back until the cluster is left; what ends this thread ends every task."""
        try:
            seen = looked = time.monotonic()
            while not self._closed.is_set():
                with suppress(Empty):
                    self._take(*(self._back.get(timeout=_WATCH) or (None, None)))
                if time.monotonic() - looked > _WATCH:
                    seen = self._look(seen)
                    looked = time.monotonic()
        except Exception as error:  # noqa: BLE001 - raised in this thread, it would leave askers waiting
            self._give_up(error)

    def _look(self, seen: float) -> float:
        """Send again what was lost, give up a cluster that stays away; gives when it was seen."""
        alive = self._alive()
        if alive:
            seen = time.monotonic()
        for job in self._under_way():
            if job.answer.cancelled():
                self._answer(job, None)
            elif alive and job.client is not self._client:
                self._send(job)
            elif alive and (sent := job.sent) is not None and sent.status != "pending":
                self._take(job, sent)  # no callback told of it
            elif time.monotonic() - seen > PATIENCE:
                self._answer(job, SimulationError(
                    f"a cluster needs a scheduler and a worker; for {PATIENCE:.0f} s there was "
                    "none; what was finished is kept: start them and run the same again"
                ))  # fmt: skip
        return seen

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
    """Connect to ``"tcp://HOST:8786"``, or start ``"local:4"``: four worker processes here.

    Raises ConfigError if the address is not of its form, or the extra is not installed;
    SimulationError if no scheduler answers, or it has no worker.
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

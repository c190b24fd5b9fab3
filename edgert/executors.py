"""Where work runs: in this process, in processes of this machine, or where a Dask scheduler has workers.

with open_executor(jobs=4) as executor:
    evaluate(package, dataset, metric, executor)
"""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from edgert.errors import InputError, MissingExtraError, WorkerError

T = TypeVar("T")

_CONNECT_SECONDS = 10  # to reach a scheduler
_WORKER_SECONDS = 10  # for its first worker to be there
_ABSENT_SECONDS = 30.0  # without any worker before work is given up


@contextmanager
def open_executor(jobs: int = 1, scheduler: str | None = None) -> Iterator[Executor | None]:
    """jobs: processes of this machine; 1 stands for this process itself, and gives None, as edgert.evaluation takes it.
    scheduler: the address of Dask's, such as tcp://10.0.0.5:8786, in place of jobs.

    Raises InputError for fewer than one job, or both, MissingExtraError without dask.distributed, WorkerError when the
    scheduler is not there or has no workers. Processes are spawned, not forked: a script needs
    `if __name__ == "__main__":`.
    """
    if jobs < 1:
        raise InputError(f"{jobs} jobs, needed one or more")
    if scheduler is not None and jobs > 1:
        raise InputError(f"{jobs} jobs here and a scheduler at {scheduler}: work runs in one of these places")
    if scheduler is not None:
        with _dask(scheduler) as executor:
            yield executor
        return
    if jobs == 1:
        yield None
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin_worker)
    try:
        yield pool
    except BaseException:  # Ctrl-C among them: what has begun is of no use any more
        workers = list((getattr(pool, "_processes", None) or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin_worker() -> None:
    """Ctrl-C reaches the whole group of processes; the main one ends the others, and they end when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


class DaskExecutor(Executor):
    """Client.get_executor() of dask.distributed, and a look at whether the scheduler and its workers are still there:
    without any, futures would wait for ever."""

    def __init__(self, client: Any, address: str) -> None:
        self._client, self._address = client, address
        self._executor = client.get_executor(pure=False)
        self._workers_seen = time.monotonic()

    @property
    def workers(self) -> int:
        """Threads of all workers."""
        return sum(self._client.nthreads().values())

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sending large graph", category=UserWarning)
            future: Future[T] = self._executor.submit(fn, *args, **kwargs)
            return future

    def check(self) -> None:
        """Raises WorkerError when the scheduler is gone, or has had no worker for a while."""
        try:
            if self._client.status != "running":
                raise OSError(f"the connection is {self._client.status}")
            there = bool(self._client.sync(self._client.scheduler.ncores, callback_timeout=_CONNECT_SECONDS))
        except (OSError, TimeoutError) as error:
            raise WorkerError(f"the Dask scheduler at {self._address} is gone: {error}") from error
        now = time.monotonic()
        if there:
            self._workers_seen = now
        elif now - self._workers_seen > _ABSENT_SECONDS:
            raise WorkerError(f"the Dask scheduler at {self._address} has no workers any more")

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._executor.shutdown(wait=wait)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without distributed's log of lost connections, which are told as one error."""
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "distributed"]
    before = {logger: logger.level for logger in map(logging.getLogger, names)}
    try:
        for logger in before:
            logger.setLevel(logging.CRITICAL + 1)
        yield
    finally:
        for logger, level in before.items():
            logger.setLevel(level)


@contextmanager
def _dask(address: str) -> Iterator[DaskExecutor]:
    try:
        from distributed import Client
    except ImportError as error:
        raise MissingExtraError("distributed", f"working for the Dask scheduler at {address}", "dask") from error
    with _quiet():
        yield from _connected(Client, address)


def _connected(client_type: Any, address: str) -> Iterator[DaskExecutor]:
    reason = ""
    try:
        client = client_type(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
    if reason:
        # A client that never connected closes when it is collected: now, and not while another one begins, where it
        # would wait for a lock that its own thread holds. An error that is kept as a cause would keep it, too.
        gc.collect()
        raise WorkerError(
            f"there is no Dask scheduler at {address}: {reason}; start one with `dask scheduler` and workers with "
            "`dask worker`"
        )
    try:
        try:
            client.wait_for_workers(1, timeout=_WORKER_SECONDS)
        except (OSError, TimeoutError) as error:
            raise WorkerError(
                f"the Dask scheduler at {address} has no workers; start some with `dask worker {address}`"
            ) from error
        executor = DaskExecutor(client, address)
        try:
            yield executor
        finally:
            executor.shutdown(wait=False)
    finally:
        try:
            client.close(timeout=_CONNECT_SECONDS)
        finally:
            client.status = "closed"  # or it would try again when it is collected

"""Stages in processes of this machine: each thread of a pool looks after one process and restarts it when it dies."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

PATIENCE = 60.0  # seconds for all processes together to save what they are at
THREAD_SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")


def cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def devices() -> list[str]:
    """The GPUs that are visible, as ``CUDA_VISIBLE_DEVICES`` would name each."""
    import torch

    chosen = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    count = torch.cuda.device_count()
    return chosen[:count] if chosen else [str(number) for number in range(count)]


def default_jobs() -> int:
    """One for each GPU; without one, one for every two processors."""
    return len(devices()) or max(1, cores() // 2)


def threads_of(jobs: int) -> int:
    """Threads for each of ``jobs`` processes, so that together they do not ask for more than there are processors."""
    return max(1, cores() // jobs)


class LocalPool:
    """Up to ``slots`` stages at a time, each in a process that lives on for the next one."""

    def __init__(self, jobs: int, logs: Path) -> None:
        self.slots = self.queue = jobs
        self._logs = logs
        self._devices = devices()
        self._lock = threading.Lock()
        self._idle = list(range(jobs))
        self._processes: dict[int, subprocess.Popen[str]] = {}
        self._closed = False
        self._threads = ThreadPoolExecutor(jobs, thread_name_prefix="sweep")

    def submit(self, request: str) -> Future[str]:
        """The answer to a request, to come; see `xrealign.sweep.worker.work`."""
        return self._threads.submit(self._ask, request)

    def close(self) -> None:
        """Ends every process once the step it is at is saved; stages under way go on from there another time."""
        with self._lock:
            self._closed = True
            processes = list(self._processes.values())
        for process in processes:
            process.terminate()
        end = time.monotonic() + PATIENCE
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, end - time.monotonic()))
            process.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for process in processes:
            process.wait()
            _close_pipes(process)

    def _ask(self, request: str) -> str:
        with self._lock:
            number = self._idle.pop(0)
        log = self._logs / f"worker-{number + 1}.log"
        try:
            process = self._process(number, log)
            if process is None or process.stdin is None or process.stdout is None:
                return json.dumps({"error": "the sweep was stopped"})
            start = log.stat().st_size
            try:
                process.stdin.write(request + "\n")
                process.stdin.flush()
                answer = process.stdout.readline()
            except BrokenPipeError:
                answer = ""
            return answer or json.dumps(_epitaph(process, log, start))
        finally:
            with self._lock:
                self._idle.append(number)
                self._idle.sort()

    def _process(self, number: int, log: Path) -> subprocess.Popen[str] | None:
        """The living process of this number, a new one if there is none; None once the pool is closed."""
        with self._lock:
            if self._closed:
                return None
            known = self._processes.get(number)
            if known is not None and known.poll() is None:
                return known
            if known is not None:
                _close_pipes(known)
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("ab") as errors:
                self._processes[number] = subprocess.Popen(
                    # -P: modules that lie in the working folder, beside downloaded data, are not imported.
                    [sys.executable, "-P", "-m", "xrealign.sweep.worker"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env=self._environment(number),
                    text=True,
                    encoding="utf-8",
                )
            return self._processes[number]

    def _environment(self, number: int) -> dict[str, str]:
        chosen = dict(os.environ)
        for name in THREAD_SETTINGS:
            given = chosen.get(name, "")
            most = threads_of(self.slots)
            chosen[name] = str(min(most, int(given)) if given.isdecimal() and int(given) else most)
        if self._devices:
            chosen["CUDA_VISIBLE_DEVICES"] = self._devices[number % len(self._devices)]
        return chosen


def _close_pipes(process: subprocess.Popen[str]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None and not pipe.closed:
            with contextlib.suppress(BrokenPipeError):  # a request that a dead process never read
                pipe.close()


def _epitaph(process: subprocess.Popen[str], log: Path, start: int) -> dict[str, str]:
    """What killed a worker: the end of what it wrote to its log since ``start``, and its exit code."""
    code = process.wait()
    with log.open("rb") as file:
        file.seek(start)
        details = file.read().decode("utf-8", "replace").strip()
    last = details.splitlines()[-1] if "Traceback" in details else ""
    if code == -9:
        last = "the process was killed (signal 9); most often there was not enough memory: try fewer --jobs"
    elif code < 0 or not last:
        last = f"the process ended with exit code {code}"
    return {"error": last, "details": details[-10_000:]}

"""Stages on a Ray cluster, which places and runs them; lines of text travel, results lie in a folder that all share."""

from __future__ import annotations

import json
import logging
from concurrent.futures import Future
from typing import Any

from xrealign.requirements import optional


class RayCluster:
    """A Ray cluster as an executor: the one that ``RAY_ADDRESS`` or a running node names, else a local one.

    Every node needs xrealign and sees the folder of runs and the encoder under the same paths.
    """

    queue = 1_000_000  # whatever is ready: placing it is Ray's business

    def __init__(self, threads: int, gpus: float) -> None:
        """Connects. ``threads`` processors and ``gpus`` (a part is fine) are asked for each stage.

        Raises:
            MissingExtra: Ray is not installed.
        """
        with optional("ray", "--executor ray"):
            import ray
        self._ray: Any = ray
        self._ours = not ray.is_initialized()
        if self._ours:
            ray.init(log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
        settings = {"num_cpus": threads, "num_gpus": gpus, "max_retries": 0}
        self._work = ray.remote(**settings)(_work)
        self._threads = threads
        self._answers: dict[Future[str], Any] = {}
        here = ray.cluster_resources()
        self.slots = max(1, int(here.get("CPU", 1) // threads))
        if gpus:
            self.slots = max(1, min(self.slots, int(here.get("GPU", 0) // gpus)))

    def submit(self, request: str) -> Future[str]:
        """The answer to a request, to come; a fault on a node becomes an answer too."""
        answer: Future[str] = Future()
        answer.set_running_or_notify_cancel()
        reference = self._work.remote(request, self._threads)
        reference.future().add_done_callback(lambda done: self._settle(done, answer))
        self._answers[answer] = reference
        return answer

    def _settle(self, done: Future[str], answer: Future[str]) -> None:
        self._answers.pop(answer, None)
        fault = done.exception()
        if fault is None:
            answer.set_result(done.result())
        elif isinstance(fault, self._ray.exceptions.RayError):
            lines = str(fault).strip().splitlines()
            answer.set_result(json.dumps({"error": lines[-1], "details": "\n".join(lines)[-10_000:]}))
        else:
            answer.set_exception(fault)

    def close(self) -> None:
        """Cancels what is under way, and leaves the cluster."""
        for reference in list(self._answers.values()):
            self._ray.cancel(reference, force=True)
        if self._ours:
            self._ray.shutdown()


def _work(request: str, threads: int) -> str:
    import torch

    from xrealign.sweep.worker import work

    torch.set_num_threads(threads)
    return work(request)

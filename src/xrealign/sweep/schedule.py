"""Makes the missing stages of a sweep, each after its inputs; a failure stops only the cells that need the result."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Protocol

from xrealign.progress import say
from xrealign.report.format import duration
from xrealign.store import is_done
from xrealign.sweep.stages import Graph, Node, remaining_seconds

HEARTBEAT = 60.0  # seconds without news before a line says what is under way


class Executor(Protocol):
    """Where stages are made: processes here, or a cluster.

    ``slots`` stages are made at a time; ``queue`` may be handed over at a time.
    """

    slots: int
    queue: int

    def submit(self, request: str) -> Future[str]:
        """The answer to a request of `xrealign.sweep.worker.work`, to come."""

    def close(self) -> None:
        """Ends whatever is under way."""


@dataclass(frozen=True)
class Failure:
    """Why a cell cannot be finished: the stage, a line for people, what else is known (a traceback)."""

    stage: str
    error: str
    details: str = ""


def make_missing(
    graph: Graph, executor: Executor, config_of: Callable[[str], str], failed: Callable[[str, Failure], None]
) -> dict[str, Failure]:
    """Makes every result that is not there; returns the cells that failed, each with its first failure.

    A stage that several cells need is made once, and those that most cells wait for come first. ``config_of`` gives
    a cell's file; ``failed`` is called for each cell as soon as it fails.
    """
    todo = graph.missing()
    total, failures = len(todo), dict[str, Failure]()
    running: dict[Future[str], tuple[str, float]] = {}
    clock = _Clock(graph, executor.slots)
    made = 0
    while True:
        todo = [name for name in todo if any(cell not in failures for cell in graph.nodes[name].cells)]
        ready = [name for name in todo if _is_ready(graph, graph.nodes[name])]
        ready.sort(key=lambda name: -len(graph.nodes[name].cells))  # stable: else in the order of the cells
        for name in ready[: executor.queue - len(running)]:
            todo.remove(name)
            running[executor.submit(_request(graph, graph.nodes[name], failures, config_of))] = (name, time.monotonic())
        if not running:
            return failures
        finished, _ = wait(running, timeout=HEARTBEAT, return_when=FIRST_COMPLETED)
        if not finished:
            started = [(graph.nodes[name], time.monotonic() - since) for name, since in running.values()]
            under_way = ", ".join(f"{node.key} of {node.cells[0]} ({duration(taken)})" for node, taken in started)
            say(f"  under way: {under_way}{clock.left(todo, running)}")
        for future in finished:
            name, _ = running.pop(future)
            node, answer = graph.nodes[name], json.loads(future.result())
            made += 1
            head = f"[{made}/{total}] {node.key} of {_cells_text(node)}"
            if "error" in answer:
                say(f"{head}: FAILED: {answer['error']}")
                for cell in node.cells:
                    if cell not in failures:
                        failures[cell] = Failure(node.key, answer["error"], answer.get("details", ""))
                        failed(cell, failures[cell])
                continue
            clock.note(node, answer["seconds"])
            say(f"{head}: {duration(answer['seconds'])}{clock.left(todo, running)}")


def _is_ready(graph: Graph, node: Node) -> bool:
    return all(is_done(graph.nodes[need].stage, graph.runs) for need in node.needs)


def _request(graph: Graph, node: Node, failures: dict[str, Failure], config_of: Callable[[str], str]) -> str:
    """Any cell that needs a stage can make it."""
    cell = next(cell for cell in node.cells if cell not in failures)
    wanted = node.stage.fingerprint
    key = next(key for key, stage in graph.plans[cell].stages.items() if stage.fingerprint == wanted)
    return json.dumps({"config": config_of(cell), "stage": key, "fingerprint": wanted})


def _cells_text(node: Node) -> str:
    more = len(node.cells) - 1
    return node.cells[0] + (f" and {more} more" if more else "")


class _Clock:
    """Estimates of what remains, corrected by how long finished stages took against their own estimates."""

    def __init__(self, graph: Graph, slots: int) -> None:
        self._graph, self._slots = graph, slots
        self._expected = self._taken = 5.0  # so that one short stage does not turn the estimate over

    def note(self, node: Node, seconds: float) -> None:
        self._expected += node.seconds
        self._taken += seconds

    def left(self, todo: list[str], running: dict[Future[str], tuple[str, float]]) -> str:
        """`` ; about 12 min left``, or nothing when nothing is left."""
        if not todo and not running:
            return ""
        factor = self._taken / self._expected
        names = [name for name, _ in running.values()]
        now = time.monotonic()
        first = list(running.values())[: self._slots]  # a cluster may have taken more than it works on
        begun = sum(min(now - since, factor * self._graph.nodes[name].seconds) for name, since in first)
        slots = max(1, min(self._slots, len(todo) + len(names)))
        seconds = factor * remaining_seconds(self._graph, [*todo, *names], slots) - begun / slots
        return f"; about {duration(max(seconds, 1.0))} left"

"""The order of stages, on random plans: each made once, after its inputs; a failure reaches exactly its own cells."""

from __future__ import annotations

import json
import math
import os
import signal
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xrealign.store import Stage, build, is_done
from xrealign.sweep import local
from xrealign.sweep.local import THREAD_SETTINGS, LocalPool, cores, threads_of
from xrealign.sweep.schedule import make_missing
from xrealign.sweep.stages import Graph, Node, remaining_seconds, stage_id


class Threads:
    """An executor that builds stages in this process and writes down in which order."""

    def __init__(self, graph: Graph, broken: set[str], slots: int) -> None:
        self.slots = self.queue = slots
        self.graph, self.broken, self.made = graph, broken, []
        self._pool = ThreadPoolExecutor(slots)
        self._lock = threading.Lock()

    def submit(self, request: str) -> Future[str]:
        return self._pool.submit(self._work, json.loads(request))

    def _work(self, request: dict[str, str]) -> str:
        stage = self.graph.plans[request["config"]].stages[request["stage"]]
        assert stage.fingerprint == request["fingerprint"]
        with self._lock:
            self.made.append(stage_id(stage))
            needs = self.graph.nodes[stage_id(stage)].needs
            assert all(is_done(self.graph.nodes[need].stage, self.graph.runs) for need in needs)
        if stage_id(stage) in self.broken:
            return json.dumps({"error": "broken"})
        build(stage, self.graph.runs)
        return json.dumps({"seconds": 0.0})

    def close(self) -> None:
        self._pool.shutdown()


def graph_of(cells: list[list[tuple[int, list[int]]]], runs: Path) -> Graph:
    """Each cell a list of stages (a number, the numbers of earlier ones it reads): equal ones are shared."""
    plans, nodes = {}, {}
    for number, rows in enumerate(cells):
        stages: list[Stage] = []
        plan = SimpleNamespace(stages={})
        for place, (what, reads) in enumerate(rows):
            inputs = {str(n): stages[read % place].fingerprint for n, read in enumerate(reads)} if place else {}
            stages.append(Stage("corpus", str(place), {"what": what}, inputs, lambda out, work: {}))
            plan.stages[str(place)] = stages[-1]
        plans[f"cell{number}"] = plan
        for key, stage in plan.stages.items():
            ids = {one.fingerprint: stage_id(one) for one in stages}
            needs = {ids[given] for given in stage.inputs.values()}
            node = nodes.setdefault(stage_id(stage), Node(stage, key, [], needs, 1.0))
            if f"cell{number}" not in node.cells:
                node.cells.append(f"cell{number}")
    return Graph(plans, nodes, runs)


CELLS = st.lists(
    st.lists(
        st.tuples(st.integers(0, 3), st.lists(st.integers(0, 9), max_size=2, unique=True)), min_size=1, max_size=5
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=40, deadline=None)
@given(cells=CELLS, broken=st.sets(st.integers(0, 9), max_size=2), slots=st.integers(1, 3))
def test_each_stage_is_made_once_after_its_inputs_and_failures_stay_with_their_cells(
    tmp_path_factory, cells, broken, slots
):
    graph = graph_of(cells, tmp_path_factory.mktemp("runs"))
    ids = list(graph.nodes)
    broken_ids = {ids[number] for number in broken if number < len(ids)}
    executor = Threads(graph, broken_ids, slots)
    told: list[str] = []
    failures = make_missing(graph, executor, lambda cell: cell, lambda cell, failure: told.append(cell))
    executor.close()
    assert len(executor.made) == len(set(executor.made))
    expected = {cell for cell in graph.plans if broken_ids & set(graph.of(cell))}
    assert set(failures) == set(told) == expected
    assert len(told) == len(failures)
    for cell in set(graph.plans) - expected:
        assert all(is_done(graph.nodes[name].stage, graph.runs) for name in graph.of(cell))
    again = Threads(graph, set(), slots)
    assert make_missing(graph, again, lambda cell: cell, lambda cell, failure: None) == {}
    assert not set(again.made) & (set(executor.made) - broken_ids)
    assert graph.missing() == []
    again.close()


def test_what_most_cells_wait_for_comes_first(tmp_path):
    """Stage 1 is in all three cells but comes last in the first; 7, 8 and 9 are in one each."""
    graph = graph_of([[(7, []), (1, [])], [(1, []), (8, [])], [(1, []), (9, [])]], tmp_path)
    executor = Threads(graph, set(), 1)
    make_missing(graph, executor, lambda cell: cell, lambda cell, failure: None)
    executor.close()
    assert [graph.nodes[name].stage.settings["what"] for name in executor.made] == [1, 7, 8, 9]


def test_what_remains_is_the_sum_shared_out_but_never_less_than_the_longest_chain(tmp_path):
    graph = graph_of([[(1, []), (2, [0]), (3, [1])], [(4, [])]], tmp_path)
    for node, seconds in zip(graph.nodes.values(), (10.0, 20.0, 5.0, 100.0), strict=True):
        node.seconds = seconds
    ids = list(graph.nodes)
    assert math.isclose(remaining_seconds(graph, ids, 1), 135.0)
    assert math.isclose(remaining_seconds(graph, ids, 2), 100.0)
    assert math.isclose(remaining_seconds(graph, ids[:3], 2), 35.0)
    assert math.isclose(remaining_seconds(graph, ids[1:3], 2), 25.0)
    assert remaining_seconds(graph, [], 2) == 0.0


def test_jobs_do_not_ask_for_more_threads_than_there_are_processors():
    for jobs in range(1, 2 * cores()):
        assert threads_of(jobs) * jobs <= max(cores(), jobs)


@pytest.fixture
def pool(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    pool = LocalPool(1, tmp_path)
    yield pool
    pool.close()


def worker_of(pool: LocalPool) -> psutil.Process:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = [p for p in psutil.Process().children() if "xrealign.sweep.worker" in p.cmdline()]
        if found:
            return found[0]
        time.sleep(0.01)
    raise AssertionError("no worker was started")


def stop(worker: psutil.Process) -> None:
    """Holds it where it is. A signal is only on its way when it is sent: a busy machine may answer a request first."""
    worker.send_signal(signal.SIGSTOP)
    while worker.status() != psutil.STATUS_STOPPED:
        time.sleep(0.01)


def test_a_worker_that_dies_says_why_and_is_replaced(pool, monkeypatch):
    """A request without its keys is a fault nobody foresaw: a KeyError with its traceback; then one is killed."""
    crashed = json.loads(pool.submit("{}").result(timeout=120))
    assert crashed["error"] == "KeyError: 'config'"
    assert "Traceback" in crashed["details"]
    told = json.loads(pool.submit('{"config": "none.toml", "stage": "x", "fingerprint": "y"}').result(timeout=120))
    assert told == {"error": "none.toml: cannot be read: No such file or directory"}
    worker = worker_of(pool)
    assert {worker.environ()[name] for name in THREAD_SETTINGS} == {str(cores())}
    stop(worker)
    asked, pipe = threading.Event(), pool._processes[0].stdin
    monkeypatch.setattr(pipe, "flush", lambda flush=pipe.flush: (flush(), asked.set()))
    answer = pool.submit("{}")
    assert asked.wait(60)  # killed before, another worker would be asked
    os.kill(worker.pid, signal.SIGKILL)
    assert "killed (signal 9); most often there was not enough memory" in json.loads(answer.result(timeout=60))["error"]


def test_closing_ends_what_is_under_way(pool, monkeypatch):
    monkeypatch.setattr(local, "PATIENCE", 0.5)  # with a worker that cannot even end
    answer = pool.submit("{}")
    worker = worker_of(pool)
    stop(worker)
    pool.close()
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE
    assert "error" in json.loads(answer.result(timeout=10))

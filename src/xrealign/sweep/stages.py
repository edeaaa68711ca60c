"""The distinct stages of a sweep: what each needs, which cells need it, what is there already, how long it may take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from xrealign.config import to_toml
from xrealign.errors import ConfigError, XrealignError
from xrealign.plan import Plan, make_plan
from xrealign.store import Stage, is_done
from xrealign.sweep.grid import Cell, Sweep, in_cells
from xrealign.writing import write_atomic


@dataclass
class Node:
    """A stage that one or more cells need.

    Attributes:
        stage: as the first of these cells has it.
        key: its key in that cell's plan.
        cells: names of the cells, the first one first.
        needs: ids of the stages whose results it reads.
        seconds: estimate.
    """

    stage: Stage
    key: str
    cells: list[str]
    needs: set[str] = field(default_factory=set)
    seconds: float = 0.0


@dataclass(frozen=True)
class Graph:
    """``plans`` by cell; ``nodes`` by id (verb/fingerprint), each after those it needs."""

    plans: Mapping[str, Plan]
    nodes: Mapping[str, Node]
    runs: Path

    def missing(self) -> list[str]:
        """Ids of the stages whose results are not there."""
        return [name for name, node in self.nodes.items() if not is_done(node.stage, self.runs)]

    def of(self, cell: str) -> list[str]:
        """Ids of a cell's stages, in order."""
        return [stage_id(stage) for stage in self.plans[cell].stages.values()]


def stage_id(stage: Stage) -> str:
    """``finetune/0123456789abcdef``: where its result lies in the folder of runs."""
    return f"{stage.verb}/{stage.fingerprint}"


def make_graph(sweep: Sweep) -> Graph:
    """Plans every cell and joins what they share.

    A stage needs those stages of its plan whose fingerprints are among its inputs: only so can their results reach it.

    Raises:
        ConfigError: what would stop any of the cells before it starts, each problem once, with the cells' names.
    """
    plans: dict[str, Plan] = {}
    told: dict[str, list[str]] = {}
    for cell in sweep.cells:
        try:
            plans[cell.name] = make_plan(cell.config)
        except XrealignError as error:
            for problem in error.problems if isinstance(error, ConfigError) else [str(error)]:
                told.setdefault(problem, []).append(cell.name)
    if told:
        raise ConfigError(in_cells(told, len(sweep.cells)))
    nodes: dict[str, Node] = {}
    for name, plan in plans.items():
        ids = {stage.fingerprint: stage_id(stage) for stage in plan.stages.values()}
        for key, stage in plan.stages.items():
            needs = {ids[given] for given in stage.inputs.values() if given in ids}
            node = nodes.setdefault(stage_id(stage), Node(stage, key, [], needs))
            if name not in node.cells:
                node.cells.append(name)
    return Graph(plans, nodes, sweep.runs)


def estimate(graph: Graph) -> None:
    """Fills in the seconds that each stage may take on this machine; right to a factor of two or so."""
    from xrealign.check import estimates, operations_a_second

    speed = operations_a_second()
    seconds = {cell: estimates(plan, speed) for cell, plan in graph.plans.items()}
    for node in graph.nodes.values():
        node.seconds = seconds[node.cells[0]][node.key]


def remaining_seconds(graph: Graph, ids: Iterable[str], slots: int) -> float:
    """About how long these stages take side by side: their sum shared out, but never less than their longest chain."""
    wanted = set(ids)
    chain: dict[str, float] = {}
    for name, node in graph.nodes.items():
        before = max((chain[need] for need in node.needs), default=0.0)
        chain[name] = before + (node.seconds if name in wanted else 0.0)
    total = sum(graph.nodes[name].seconds for name in wanted)
    return max(total / slots, max(chain.values(), default=0.0))


def cell_file(sweep: Sweep, cell: Cell) -> Path:
    """A cell as a configuration by itself, with absolute paths: what the workers read, and what users may run."""
    return sweep.folder / "cells" / f"{cell.name}.toml"


def write_cells(sweep: Sweep) -> None:
    """Writes every cell's file, so that a later change of the sweep's own file reaches no cell under way."""
    for cell in sweep.cells:
        config = cell.config.model_copy(update={"runs": str(sweep.runs.absolute())})
        path = cell_file(sweep, cell)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, to_toml(config))

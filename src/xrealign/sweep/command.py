"""``xrealign sweep``: check every cell, make what is missing, lay out what came of it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from xrealign.progress import say

if TYPE_CHECKING:
    from xrealign.sweep.grid import Sweep
    from xrealign.sweep.schedule import Executor, Failure
    from xrealign.sweep.stages import Graph

STATE_FILE = "sweep.json"
TABLES = ("scores.parquet", "scores.csv", "cells.csv", "summary.csv", "summary.md")
SweepPath = Annotated[Path, typer.Argument(help="A TOML file: a run's tables and [sweep].", metavar="FILE")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key in every cell.")
]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", "-j", min=1, help="Stages at a time. [one for each GPU, else for every two processors]"),
]
ExecutorName = Annotated[
    Literal["local", "ray"], typer.Option(help="Processes of this machine, or a Ray cluster (extra: ray).")
]
Threads = Annotated[int, typer.Option("--ray-cpus", min=1, help="Ray: processors asked for each stage.")]
Gpus = Annotated[float, typer.Option("--ray-gpus", min=0, help="Ray: GPUs asked for each stage; a part is fine.")]


def sweep_command(
    file: SweepPath,
    set_: Overrides = None,
    jobs: Jobs = None,
    executor: ExecutorName = "local",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List cells, what is done, and how long the rest takes.")
    ] = False,
    ray_cpus: Threads = 1,
    ray_gpus: Gpus = 0.0,
) -> None:
    """Runs a grid of models, subsets, strategies and seeds; goes on where it was when run again.

    Every cell is checked before anything runs. What cells share is made once; a cell that fails does not stop the
    others. Scores of all cells and a summary over seeds are written to `runs/NAME.sweep/`.
    """
    from xrealign.requirements import check_extra
    from xrealign.store import owned
    from xrealign.sweep.grid import read_sweep
    from xrealign.sweep.local import default_jobs
    from xrealign.sweep.stages import estimate, make_graph

    if executor == "ray":
        check_extra("ray", "--executor ray")
    grid = read_sweep(file, set_ or [])
    graph = make_graph(grid)
    jobs = jobs or default_jobs()
    if dry_run:
        from xrealign.sweep.listing import listing

        estimate(graph)
        print(listing(grid, graph, jobs))
        return
    with owned(grid.runs, f"{grid.name}.sweep"):
        failures = _finish(grid, graph, jobs, executor, ray_cpus, ray_gpus)
    _show(grid, failures)
    if failures:
        raise typer.Exit(1)


def _finish(grid: Sweep, graph: Graph, jobs: int, executor: str, threads: int, gpus: float) -> dict[str, Failure]:
    """Makes what is missing and lays out the results; returns the cells that failed."""
    from xrealign.store import rebuild_if_damaged
    from xrealign.sweep.stages import estimate

    for node in graph.nodes.values():
        rebuild_if_damaged(node.stage, graph.runs)
    missing = graph.missing()
    if not missing and _known(grid) == _state(grid, graph):
        say(f"all {len(graph.nodes)} results of {len(grid.cells)} cells are there already; nothing to do")
        return {}
    for old in _errors(grid).glob("*.txt"):
        old.unlink()
    failures: dict[str, Failure] = {}
    if missing:
        from xrealign.sweep.local import LocalPool, threads_of
        from xrealign.sweep.stages import write_cells

        estimate(graph)
        write_cells(grid)
        at_once: Executor
        if executor == "ray":
            from xrealign.sweep.ray_cluster import RayCluster

            at_once = RayCluster(threads, gpus)
            how = f"{at_once.slots} at a time on a Ray cluster"
        else:
            at_once = LocalPool(jobs, _logs(grid))
            how = f"{jobs} at a time, threads each: {threads_of(jobs)}"
        say(
            f"{len(grid.cells)} cells, {len(graph.nodes)} distinct stages, {len(missing)} to do, {how}, "
            + _time_left(graph, at_once.slots)
        )
        failures = _make(grid, graph, at_once)
        if not failures:
            shutil.rmtree(_logs(grid), ignore_errors=True)
    _lay_out(grid, graph, failures)
    return failures


def _time_left(graph: Graph, slots: int) -> str:
    from xrealign.report.format import duration
    from xrealign.sweep.stages import remaining_seconds

    return f"about {duration(remaining_seconds(graph, graph.missing(), slots))}"


def _make(grid: Sweep, graph: Graph, executor: Executor) -> dict[str, Failure]:
    from xrealign.sweep.schedule import make_missing
    from xrealign.sweep.stages import cell_file

    files = {cell.name: str(cell_file(grid, cell).absolute()) for cell in grid.cells}

    def failed(cell: str, failure: Failure) -> None:
        path = _errors(grid) / f"{cell}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{failure.stage}: {failure.error}\n\n{failure.details}".rstrip() + "\n", "utf-8")

    try:
        return make_missing(graph, executor, files.__getitem__, failed)
    finally:
        executor.close()


def _logs(grid: Sweep) -> Path:
    return grid.runs / ".work" / f"{grid.name}.sweep"


def _errors(grid: Sweep) -> Path:
    return grid.folder / "errors"


def _state(grid: Sweep, graph: Graph) -> dict[str, object]:
    """What a sweep's tables are made from."""
    cells = {cell.name: {"labels": dict(cell.labels), "stages": graph.of(cell.name)} for cell in grid.cells}
    seen = {cell.name: cell.config.encoder.seen for cell in grid.cells}
    return {"format": 2, "name": grid.name, "axes": list(grid.axes), "cells": cells, "seen": seen}


def _known(grid: Sweep) -> object:
    """What the tables that are there were made from; None where one of them is gone or has changed."""
    from xrealign.store import damaged, unseal

    try:
        known = unseal((grid.folder / STATE_FILE).read_text("utf-8"))
        path = damaged(grid.folder, known.pop("files"))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    if path is not None:
        say(f"{path} is damaged or was changed; the tables are written again")
    return known if path is None else None


def _lay_out(grid: Sweep, graph: Graph, failures: Mapping[str, Failure]) -> None:
    """Writes the tables; the state last, and only when every cell is finished."""
    from xrealign.report.scores import write_scores
    from xrealign.report.tables import to_csv
    from xrealign.store import listed, seal
    from xrealign.sweep.results import cell_scores, subset_of, variants
    from xrealign.sweep.tables import cell_table, figures_table, markdown_summary
    from xrealign.writing import write_atomic

    folder = grid.folder
    folder.mkdir(parents=True, exist_ok=True)
    finished = [cell.name for cell in grid.cells if cell.name not in failures]
    found = cell_scores(grid, graph, finished)
    rows = [score for scores, _ in found.values() for score in scores]
    (folder / STATE_FILE).unlink(missing_ok=True)
    write_scores(rows, folder / "scores.parquet")
    write_scores(rows, folder / "scores.csv")
    in_order = {cell.name: failures[cell.name] for cell in grid.cells if cell.name in failures}
    table = variants(grid, graph, found)
    subsets = {name: subset_of(graph, name) for name in finished}
    write_atomic(folder / "cells.csv", to_csv(cell_table(grid, in_order, subsets)))
    write_atomic(folder / "summary.csv", to_csv(figures_table(grid, table)))
    write_atomic(folder / "summary.md", markdown_summary(grid, table, in_order))
    if not failures:
        files = {name: facts for name, facts in listed(folder).items() if name in TABLES}
        write_atomic(folder / STATE_FILE, seal(_state(grid, graph) | {"files": files}))


def _show(grid: Sweep, failures: Mapping[str, Failure]) -> None:
    print((grid.folder / "summary.md").read_text("utf-8"))
    for name in ("summary.md", "summary.csv", "cells.csv", "scores.csv"):
        print(f"{name:<12} {grid.folder / name}")
    if failures:
        print(f"{'errors':<12} {_errors(grid)}")

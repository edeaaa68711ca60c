"""What ``xrealign sweep --dry-run`` prints: cells, which of their stages are done, and how long the rest may take."""

from __future__ import annotations

from collections import Counter, defaultdict

from xrealign.report.format import counted, duration
from xrealign.sweep.grid import Sweep
from xrealign.sweep.stages import Graph, remaining_seconds


def listing(sweep: Sweep, graph: Graph, jobs: int) -> str:
    """One line for each cell, one for each kind of stage, and the sum; ``jobs`` stages at a time."""
    missing = set(graph.missing())
    width = max(len(cell.name) for cell in sweep.cells)
    lines = [f"# {counted(len(sweep.cells), 'cell')} over {', '.join(sweep.axes)}"]
    for cell in sweep.cells:
        ids = graph.of(cell.name)
        todo = [graph.nodes[name].key for name in ids if name in missing]
        state = f"to do: {', '.join(todo)}" if todo else "done"
        lines.append(f"{cell.name:<{width}}  {len(ids) - len(todo):>2} of {len(ids)} stages done  {state}")
    lines.append("# distinct stages, those that cells share counted once")
    uses = sum(len(node.cells) for node in graph.nodes.values())
    total, undone = Counter[str](), Counter[str]()
    seconds: dict[str, float] = defaultdict(float)
    for name, node in graph.nodes.items():
        total[node.stage.verb] += 1
        if name in missing:
            undone[node.stage.verb] += 1
            seconds[node.stage.verb] += node.seconds
    for verb, count in total.items():
        rest = f"{undone[verb]} to do, about {duration(seconds[verb])}" if undone[verb] else "all done"
        lines.append(f"{verb:<10} {count:>4}  {rest}")
    left = duration(remaining_seconds(graph, missing, jobs)) if missing else "0 s"
    lines.append(
        f"# {counted(len(graph.nodes), 'distinct stage')} (instead of {uses}), {len(missing)} to do, "
        f"about {left} with {counted(jobs, 'job')} on this machine as it is now; results: {sweep.folder}"
    )
    return "\n".join(lines)

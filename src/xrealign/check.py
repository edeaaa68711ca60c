"""What a run would do: settings in full, stages with what is there already, and a rough estimate of the rest."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from xrealign.config import Config, to_toml
from xrealign.plan import BASELINE, Plan, make_plan
from xrealign.stages import select_candidates, task_languages
from xrealign.store import is_done

# Work of one subword in the starter's blocks (21 million weights, two operations each); others are scaled by size.
OPERATIONS_A_SUBWORD = 4.3e7
# Rough lengths in subwords, from the embedded texts: an intent sentence, half a sentence pair, a concept
# name, a sentence of news.
INTENT, PAIR_SIDE, NAME, SENTENCE = 14, 14, 8, 35
TRAIN_SIZE, TEST_SIZE = 6000, 200  # examples, of a task whose sizes are not told
EFFICIENCY = 0.9  # whole stages against one product of this shape, fitted to the demo on two idle cores


def check(config: Config) -> str:
    """The text that ``xrealign check`` prints.

    Raises:
        ConfigError, ArtifactError, DataError: what would stop the run before it starts.
    """
    plan = make_plan(config)
    config = plan.config
    if config.select.languages is None:
        candidates = len(select_candidates(config))
        chosen = f"{config.select.k} of {candidates} candidates"
    else:
        chosen = f"{len(config.select.languages)} languages, as configured"
    seconds = estimates(plan, operations_a_second())
    origins = [f"#   {key} = {origin}" for key, origin in plan.origins.items()]
    lines = [to_toml(config), *(["# set by the strategy's published name or the preset:"] * bool(origins)), *origins]
    lines += [f"# languages to realign on: {chosen}", "# stages:"]
    total = 0.0
    for key, stage in plan.stages.items():
        there = is_done(stage, plan.runs)
        total += 0 if there else seconds[key]
        state = "there already" if there else f"to do, about {_shown(seconds[key])}"
        lines.append(f"#   {key:<20} {stage.fingerprint}  {state}")
    lines.append(f"# about {_shown(total)} in all on this machine as it is now; report: {plan.runs / config.name}")
    return "\n".join(lines)


def _shown(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 90
        else f"{seconds / 60:.0f} min"
        if seconds < 5400
        else f"{seconds / 3600:.1f} h"
    )


def estimates(plan: Plan, speed: float) -> dict[str, float]:
    """Seconds of each stage from its number of subwords and this machine's speed; right to a factor of two or so."""
    config = plan.config
    rate = speed * EFFICIENCY / (OPERATIONS_A_SUBWORD * _relative_size(config))
    languages = len(task_languages(config))
    k = config.select.k if config.select.languages is None else len(config.select.languages)
    realign, finetune = config.realign, config.finetune
    pair_subwords = realign.batch_size * 2 * PAIR_SIDE * _passes(realign.freeze) * _times(config)
    task_steps = finetune.steps
    if finetune.epochs is not None:
        task_steps = -(-(config.task.train_size or TRAIN_SIZE) // finetune.batch_size) * finetune.epochs
    beside = {"during": task_steps, "before+during": task_steps, "alternating": task_steps // (realign.every - 1)}
    pairs = min(config.corpus.max_pairs or 1200, 1200) * k
    subwords = {
        "align": pairs * 2 * PAIR_SIDE * 0.7,
        "realign": realign.steps * pair_subwords,
        "finetune": task_steps * finetune.batch_size * _example(config) * _passes(finetune.freeze),
        "evaluate": languages * (config.task.test_size or TEST_SIZE) * _example(config),
        "measure": languages * (min(config.measure.max_concepts, 520) * NAME + 20 * 50),
    }
    fixed = {"select": 2.0, "corpus": 2.0, "align": 3.0, "task": 15.0, "realign": 5.0, "finetune": 5.0}
    seconds = {
        key: fixed.get(stage.verb, 3.0) + subwords.get(stage.verb, 0.0) / rate for key, stage in plan.stages.items()
    }
    for method in plan.methods:
        if method != BASELINE and f"finetune {method}" in seconds:
            seconds[f"finetune {method}"] += beside.get(realign.strategy, 0) * pair_subwords / rate
    seconds[f"evaluate {BASELINE}"] += languages * 100 * NAME / rate  # the means for centring
    return seconds


def _example(config: Config) -> int:
    """Subwords of a task's example, roughly."""
    return INTENT if config.task.name == "intents" else SENTENCE


def _passes(freeze: str) -> float:
    """Forward and backward pass, in forward passes."""
    return 2.0 if freeze in ("front", "all") else 3.0


def _times(config: Config) -> float:
    """How often an encoder passes over the pairs in a step of realignment, relative to one objective."""
    objective = config.realign.objective
    names = [objective] if isinstance(objective, str) else list(objective)
    return float(sum({"infoxlm": 1.5, "l2": 1.5, "xlm_align": 2.5, "dap": 1.5, "tlm": 4.0}.get(n, 1.0) for n in names))


def operations_a_second() -> float:
    """Speed of a matrix product of the starter's shape, here and now."""
    rng = np.random.default_rng(0)
    left, right = (rng.random(shape, dtype=np.float32) for shape in ((1024, 384), (384, 1536)))
    best = float("inf")
    for _ in range(50):  # the fastest of many: what the machine can do, not what else it was doing
        start = time.perf_counter()
        left @ right
        best = min(best, time.perf_counter() - start)
    return 2 * 1024 * 384 * 1536 / best


def _relative_size(config: Config) -> float:
    """Weights in the encoder's blocks relative to the starter's, from its config."""
    import json

    path = Path(config.encoder.name) / "config.json"
    if not path.is_file():
        return 1.0
    shape = json.loads(path.read_text("utf-8"))
    width, layers = shape.get("hidden_size", 384), shape.get("num_hidden_layers", 12)
    inner = shape.get("intermediate_size", 4 * width)
    return float(layers * (4 * width**2 + 2 * width * inner) / (12 * (4 * 384**2 + 2 * 384 * 1536)))

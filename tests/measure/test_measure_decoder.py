"""A decoder through the verb: MEXA and neurons at every layer, sentences pooled by place."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from xrealign.measure.decoders import mexa, neuron_alignment
from xrealign.measure_command import app
from xrealign.model.layer_vectors import load_model, neuron_layers, sentence_layers


@pytest.mark.parametrize("padded", [True, False])
def test_a_folder_with_causal_weights(tmp_path, tiny_decoders, udhr_lines, padded):
    lines = list(zip(udhr_lines["eng_Latn"], udhr_lines["deu_Latn"], strict=True))
    path = tmp_path / "x.tsv"
    path.write_text("\n".join("\t".join(pair) for pair in lines), "utf-8")
    done = CliRunner().invoke(
        app,
        ["--encoder", str(tiny_decoders[padded]), "--bitext", str(path), "--langs", "eng-deu", "--measures",
         "mexa,neurons", "--format", "json"],
    )  # fmt: skip
    assert done.exit_code == 0, done.exception
    out = json.loads(done.stdout)
    model = load_model(str(tiny_decoders[padded]))
    rows = [pair for n, pair in enumerate(lines) if pair not in lines[:n]]
    sides = [[row[side] for row in rows] for side in (0, 1)]
    states = [sentence_layers(model, side, range(4), pooling="weighted") for side in sides]
    neurons = [neuron_layers(model, side, range(4)) for side in sides]
    found = {(r["metric"], r["layer"]): r["value"] for r in out["results"] if r["variant"] == "raw"}
    for layer in range(4):
        assert found["mexa", layer] == pytest.approx(mexa(states[0][layer], states[1][layer]).value)
    for layer in range(1, 4):
        wanted = neuron_alignment(neurons[0][layer], neurons[1][layer]).value
        assert found["alignment", layer] == pytest.approx(wanted)
        assert 0 <= found["overlap_random", layer] <= 1
    assert ("alignment", 0) not in found
    assert np.isfinite(list(found.values())).all()

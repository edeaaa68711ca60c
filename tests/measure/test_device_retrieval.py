"""Retrieval in torch, against NumPy's; on a GPU too where there is one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from xrealign.errors import DataError
from xrealign.measure.nearest import NEIGHBOURS
from xrealign.measure.retrieval import TIE
from xrealign.measure.translations import all_hits
from xrealign.model import device_retrieval as module
from xrealign.model.device_retrieval import device_hits

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"))]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("count", [1, 7, 200])
def test_hits_are_those_of_numpy(device, count):
    draw = np.random.default_rng(count)
    src = draw.standard_normal((count, 12)).astype(np.float32)
    tgt = src + 1.2 * draw.standard_normal((count, 12)).astype(np.float32) + 0.5
    on_device = [torch.from_numpy(side).to(device) for side in (src, tgt)]
    for (strong, csls), wanted in all_hits(src, tgt).items():
        for tile in ((64, 50), (8192, 16384)):
            found = device_hits(*on_device, strong, csls, rows=tile[0], columns=tile[1])
            for ours, theirs in zip(found, wanted, strict=True):
                assert ours.cpu().numpy().tolist() == theirs.tolist(), (strong, csls)
    if count == 200:
        assert 0.2 < wanted[0].mean() < 1


def test_ties_and_wrong_numbers():
    assert (module.TIE, module.NEIGHBOURS) == (TIE, NEIGHBOURS)
    same = torch.ones(4, 3)
    for strong in (False, True):
        for csls in (False, True):
            assert not torch.cat(device_hits(same, same, strong, csls)).any()
    with pytest.raises(DataError, match="4 and 3 vectors"):
        device_hits(same, same[:3])

"""Seeds of draws are functions of names, and torch draws what its own seeding would let it draw."""

from __future__ import annotations

import torch

from xrealign.train.seeds import seed_for, seed_torch


def test_torch_draws_as_after_its_own_seeding():
    seed_torch(17, "realign", 3)
    drawn = torch.rand(64)
    torch.manual_seed(seed_for(17, "realign", 3))
    assert torch.equal(drawn, torch.rand(64))


def test_every_name_and_the_seed_count():
    seeds = [
        seed_for(17),
        seed_for(18),
        seed_for(17, "a"),
        seed_for(17, "b"),
        seed_for(17, "a", 1),
        seed_for(17, "a", 2),
    ]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seed_for(17, "a", 1) == seed_for(17, "a", "1") == seeds[4]

"""Any bit of any file of a folder that lists itself."""

from __future__ import annotations

import numpy as np

from xrealign.model.recorded import RECORD, first_fault, write_record


def test_every_bit_counts_and_every_file(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "weights").write_bytes(bytes(range(256)) * 4)
    (tmp_path / "deep" / "config.json").write_text('{"a": 1}', "utf-8")
    assert first_fault(tmp_path) == tmp_path / RECORD, "without a list nothing is known"
    write_record(tmp_path)
    assert first_fault(tmp_path) is None
    draw = np.random.default_rng(0)
    for name in ("weights", "deep/config.json", RECORD):
        path = tmp_path / name
        whole = path.read_bytes()
        for _ in range(30):
            place, bit = int(draw.integers(len(whole))), int(draw.integers(8))
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
            assert first_fault(tmp_path) == path, (name, place, bit)
            path.write_bytes(whole[:place])
            assert first_fault(tmp_path) == path, (name, place)
        path.write_bytes(whole)
    assert first_fault(tmp_path) is None
    (tmp_path / "weights").unlink()
    assert first_fault(tmp_path) == tmp_path / "weights"

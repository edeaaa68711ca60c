"""Arrays in files: whole ones come back, and everything else is one kind of error."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xrealign.arrays import read_npy, read_npz

ARRAYS = {
    "numbers": np.arange(6, dtype=np.float32).reshape(2, 3),
    "counts": np.array([1, 2], dtype=np.uint8),
    "truth": np.array([True, False]),
    "names": np.array(["eng", "deu", "😀"]),
    "big": np.array(["é"], dtype=">U2"),
    "empty": np.zeros((0, 3)),
    "no names": np.array([], dtype="U0"),
    "one": np.array(3.5),
}


def saved(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return buffer.getvalue()


def npy(header: str, data: bytes = b"") -> bytes:
    """A file of numpy with this header."""
    padded = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded + data


def test_what_numpy_writes_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(saved(**ARRAYS))
    for source in (path, io.BytesIO(path.read_bytes())):
        found = read_npz(source)
        assert found.keys() == ARRAYS.keys()
        for name, array in ARRAYS.items():
            assert found[name].dtype == array.dtype
            np.testing.assert_array_equal(found[name], array)
    for array in ARRAYS.values():
        np.save(tmp_path / "a.npy", array)
        np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), array)
    np.save(tmp_path / "a.npy", ARRAYS["numbers"])
    assert isinstance(read_npy(tmp_path / "a.npy", "r"), np.memmap)


DICT = "{{'descr': {}, 'fortran_order': False, 'shape': {}, }}"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "No data left|not a zip|EOF"),
        (b"\x93NUMPY", "."),
        (npy("{'descr': '<f4', "), "."),
        (npy("(" * 500), "."),
        (npy("{" + "'a': [" * 3000), "."),
        (npy(DICT.format("'<f4'", "(1000000000000000,)")), "memory|No data|Unable|reshape|dimension|size"),
        (npy(DICT.format("'<f4'", "(2,)"), b"abc"), "."),
        (npy(DICT.format("'<f4'", "(-1,)")), "."),
        (npy(DICT.format("'|O'", "(1,)"), b"abc"), "pickle"),
        (npy(DICT.format("'<f9'", "(1,)"), b"abc"), "."),
        (npy(DICT.format("'<c8'", "(1,)"), bytes(8)), "an array of complex64, expected numbers or text"),
        (npy(DICT.format("'<M8[s]'", "(1,)"), bytes(8)), "expected numbers or text"),
        (npy(DICT.format("[('a', '<f4')]", "(1,)"), bytes(4)), "expected numbers or text"),
        (npy(DICT.format("'|S2'", "(1,)"), b"ab"), "expected numbers or text"),
        (npy(DICT.format("'<U1'", "(1,)"), b"\xff" * 4), "text that is none"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2L,), }", bytes(8)), "."),
        (b"no array at all", "."),
    ],
)
def test_whatever_is_wrong_is_one_error(tmp_path: Path, data: bytes, told: str) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=told):
        read_npy(path)
    with pytest.raises(ValueError, match=r"."):
        read_npz(io.BytesIO(zipped(a=data)))


def test_what_is_no_archive(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", ARRAYS["one"])
    for data in (b"", b"PK", (tmp_path / "a.npy").read_bytes(), saved(**ARRAYS)[:-30]):
        with pytest.raises(ValueError, match=r"."):
            read_npz(io.BytesIO(data))
    with pytest.raises(OSError, match="No such file"):
        read_npz(tmp_path / "none.npz")
    with pytest.raises(OSError, match="No such file"):
        read_npy(tmp_path / "none.npy")


def test_members_packed_by_other_means_and_damaged() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.npy", npy(DICT.format("'<f4'", "(64,)"), bytes(256)))
    data = bytearray(buffer.getvalue())
    assert read_npz(io.BytesIO(data))["a"].shape == (64,)
    data[35:45] = bytes(10)  # the options of the packing
    with pytest.raises(ValueError, match=r"."):
        read_npz(io.BytesIO(data))


def test_an_archive_that_unpacks_to_much_more_is_refused() -> None:
    with pytest.raises(ValueError, match=r"it unpacks from [0-9,]+ to [0-9,]+ bytes"):
        read_npz(io.BytesIO(saved(a=np.zeros(9 << 20))))
    assert read_npz(io.BytesIO(saved(a=np.zeros(1 << 20))))["a"].shape == (1 << 20,)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_changed_bytes_are_read_or_refused(data: st.DataObject) -> None:
    raw = bytearray(
        zipped(a=npy(DICT.format("'<f4'", "(2,)"), bytes(8)), b=npy(DICT.format("'<U1'", "(1,)"), b"a\0\0\0"))
    )
    for place in data.draw(st.lists(st.integers(0, len(raw) - 1), max_size=6)):
        raw[place] = data.draw(st.integers(0, 255))
    try:
        found = read_npz(io.BytesIO(bytes(raw)))
    except (ValueError, OSError):
        return
    assert all(isinstance(array, np.ndarray) for array in found.values())

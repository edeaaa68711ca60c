"""What is written is there whole or not at all; what the system refuses is told with place and room."""

from __future__ import annotations

import errno
import multiprocessing
import os
import resource
import stat
import threading
import zlib
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from xrealign.errors import ConfigError, DataError, OutputError, XrealignError
from xrealign.refusals import is_special, telling, told_of
from xrealign.writing import alone, new_file, new_folder, new_path, write_atomic


@contextmanager
def files_of_at_most(size: int):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_full_disk_is_told_with_place_and_room_and_the_old_file_stays(tmp_path):
    path = tmp_path / "table.tsv"
    write_atomic(path, "old")
    with files_of_at_most(10), pytest.raises(OutputError) as caught:
        write_atomic(path, "x" * 4321)
    told = str(caught.value)
    assert told.startswith(f"{path}: File too large (4,321 bytes needed, ")
    assert told.endswith(" free, files may have 10)")
    assert isinstance(caught.value, OSError)
    assert isinstance(caught.value, XrealignError)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(path))
    assert path.read_text() == "old"
    assert names(tmp_path) == ["table.tsv"]


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit, ValueError])
def test_whatever_ends_the_writing_leaves_nothing(tmp_path, end):
    path = tmp_path / "not" / "there" / "file.txt"

    def ended(written: int) -> None:
        assert written == 4
        raise end

    with pytest.raises(end), new_file(path) as file:
        ended(file.write(b"half"))
    with pytest.raises(end), new_folder(tmp_path / "new" / "folder") as folder:
        ended((folder / "x").write_text("half"))
    assert names(tmp_path) == []


def test_folders_are_there_whole_with_usual_rights(tmp_path):
    with new_folder(tmp_path / "made") as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "x").write_text("x")
        assert not (tmp_path / "made").exists()
    assert names(tmp_path) == ["made", "made/deep", "made/deep/x"]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o777 & ~mask
    with pytest.raises(OutputError, match="made: Directory not empty"), new_folder(tmp_path / "made"):
        pass
    assert names(tmp_path) == ["made", "made/deep", "made/deep/x"]


def test_a_file_that_is_replaced_keeps_its_rights(tmp_path):
    path = tmp_path / "private"
    write_atomic(path, "old")
    path.chmod(0o600)
    write_atomic(path, "new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_names_as_long_as_they_may_be(tmp_path):
    path = tmp_path / ("ș" * 127)
    write_atomic(path, "x")
    assert path.read_text() == "x"
    with pytest.raises(OutputError, match="File name too long"):
        write_atomic(tmp_path / ("ș" * 128), "x")


def test_links_stay_links(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "behind")
    write_atomic(tmp_path / "link", "1")
    write_atomic(tmp_path / "link", "2")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "behind").read_text() == "2"
    assert names(tmp_path) == ["behind", "link"]


def test_pipes_and_devices_are_written_as_they_are(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    write_atomic(pipe, "through")
    reader.join(10)
    assert got == [b"through"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    before = Path("/dev/null").stat().st_rdev
    write_atomic("/dev/null", "nowhere")
    assert Path("/dev/null").stat().st_rdev == before
    with pytest.raises(OutputError, match=r"^/dev/full: No space left on device"):
        write_atomic("/dev/full", "x")


def test_standard_output_by_its_names(capfd):
    for name in ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"):
        assert is_special(name)
        print("before", end=" ")
        write_atomic(name, f"{name}\n")
    assert capfd.readouterr().out == "before -\nbefore /dev/stdout\nbefore /dev/fd/1\nbefore /proc/self/fd/1\n"
    assert not is_special("stdout")


def _save_array(path: Path, values: np.ndarray) -> None:
    with path.open("wb", buffering=0) as file:
        np.save(file, values)


def test_what_libraries_say_of_a_full_disk(tmp_path):
    """Each has its own way: another class, no number, or words of its own."""
    from safetensors.numpy import save_file
    from tokenizers import Tokenizer, models

    tokenizer = Tokenizer(models.WordLevel({f"word {n}": n for n in range(5000)}, unk_token="word 0"))
    values = np.zeros(100_000, dtype=np.float32)
    ways = {
        "tensors": lambda path: save_file({"x": values}, path),
        "tokenizer": lambda path: tokenizer.save(str(path)),
        "array": lambda path: _save_array(path, values),
    }
    for name, write in ways.items():
        with files_of_at_most(1000), pytest.raises(OutputError) as caught, new_path(tmp_path / name, 400_000) as aside:
            write(aside)
        assert str(caught.value).startswith(f"{tmp_path / name}: ")
        assert "(400,000 bytes needed, " in str(caught.value)
        assert str(caught.value).endswith("files may have 1,000)")
    assert names(tmp_path) == []


def test_errors_that_are_not_the_systems_pass(tmp_path):
    for error in (zlib.error("inconsistent stream"), ValueError("x"), DataError("os error 2", tmp_path)):
        with pytest.raises(type(error)), telling(tmp_path / "x"):
            raise error
        assert told_of(error) is None or isinstance(error, XrealignError)
    assert told_of(ValueError("nothing of the system's")) is None


def test_what_was_refused_in_a_line(tmp_path, monkeypatch):
    missing = tmp_path / "none"
    with pytest.raises(FileNotFoundError) as caught:
        missing.read_text()
    assert str(told_of(caught.value)) == f"{missing}: No such file or directory"
    assert str(told_of(OSError(errno.EIO, "x"), "there")) == "there: Input/output error"
    full = str(told_of(OSError(errno.ENOSPC, "x", str(tmp_path / "y"))))
    assert full.startswith(f"{tmp_path / 'y'}: No space left on device (")
    assert full.endswith(" free)")
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert "working folder is not there any more" in str(told_of(FileNotFoundError(errno.ENOENT, "x")))


def test_a_place_that_cannot_be_is_named_as_the_user_names_it(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError) as caught:
        write_atomic(tmp_path / "file" / "in it", "x")
    assert str(tmp_path / "file") in str(caught.value)
    with pytest.raises(OutputError) as caught:
        write_atomic(tmp_path, "x")
    assert str(caught.value) == f"{tmp_path}: Is a directory"
    assert names(tmp_path) == ["file"]


def _hold(path: Path, held, go) -> None:
    with alone(path):
        held.set()
        go.wait(30)


def test_one_at_a_time_and_no_lock_is_left(tmp_path):
    path = tmp_path / "model"
    context = multiprocessing.get_context("fork")
    held, go = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(path, held, go))
    other.start()
    try:
        assert held.wait(30)
        with pytest.raises(ConfigError, match="another process is making"), alone(path):
            pytest.fail("two at a time")
    finally:
        go.set()
        other.join(30)
    with alone(path):
        assert names(tmp_path) == [".model.lock"]
    assert names(tmp_path) == []

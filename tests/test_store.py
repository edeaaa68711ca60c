"""Results on disk: whole or not at all, made once, found by what they were made from."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xrealign.errors import ArtifactError, DamagedWork
from xrealign.store import (
    MANIFEST,
    Stage,
    build,
    fingerprint,
    is_done,
    owned,
    read_manifest,
    rebuild_if_damaged,
    seal,
    unseal,
    verify,
)


def make(folder: Path, work: Path):
    (folder / "part").mkdir()
    (folder / "part" / "numbers.txt").write_text("1 2 3\n", "utf-8")
    (folder / "text.txt").write_text("ä\n", "utf-8")
    return {"counted": 3}


@pytest.fixture
def stage():
    return Stage("corpus", "corpus of x", {"k": 2, "names": ["ä", "b"]}, {"select": "abc"}, make)


def test_a_result_is_there_with_its_manifest(stage, tmp_path):
    assert not is_done(stage, tmp_path)
    folder = build(stage, tmp_path)
    assert folder == stage.folder(tmp_path) == tmp_path / "corpus" / stage.fingerprint
    assert is_done(stage, tmp_path)
    manifest = read_manifest(folder)
    assert manifest["verb"] == "corpus"
    assert manifest["settings"] == {"k": 2, "names": ["ä", "b"]}
    assert manifest["inputs"] == {"select": "abc"}
    assert manifest["facts"] == {"counted": 3}
    # the digest is sha256sum's
    assert manifest["files"]["text.txt"] == {
        "bytes": 3,
        "sha256": "ac6f010e65c9ea739dbdaa21427edd5ef60c6d461ef4d619c003e3ab62453a56",
    }
    assert set(manifest["files"]) == {"text.txt", str(Path("part") / "numbers.txt")}
    assert not list((tmp_path / ".work").glob("*/"))
    verify(folder)


def test_the_second_time_nothing_is_made(stage, tmp_path):
    folder = build(stage, tmp_path)
    before = (folder / MANIFEST).stat().st_mtime_ns
    assert build(replace(stage, make=lambda *_: pytest.fail("made again")), tmp_path) == folder
    assert (folder / MANIFEST).stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "change",
    [
        {"verb": "align"},
        {"version": 2},
        {"settings": {"k": 3, "names": ["ä", "b"]}},
        {"settings": {"k": 2, "names": ["b", "ä"]}},
        {"settings": {"k": "2", "names": ["ä", "b"]}},
        {"settings": {"k": 2, "names": ["ä", "b"], "more": None}},
        {"inputs": {"select": "abd"}},
        {"inputs": {"select": "abc", "encoder": ""}},
        {"inputs": {"encoder": "abc"}},
    ],
)
def test_whatever_can_change_the_result_changes_the_fingerprint(stage, change):
    assert replace(stage, **change).fingerprint != stage.fingerprint


def test_what_cannot_change_the_result_does_not(stage):
    same = replace(stage, label="other words", make=lambda *_: {}, settings={"names": ["ä", "b"], "k": 2})
    assert same.fingerprint == stage.fingerprint
    assert fingerprint("v", 1, {"a": 1, "b": 2}, {"x": "1", "y": "2"}) == fingerprint(
        "v", 1, {"b": 2, "a": 1}, {"y": "2", "x": "1"}
    )
    assert len(stage.fingerprint) == 16
    int(stage.fingerprint, 16)


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_maker_that_fails_leaves_no_result_but_its_checkpoints(stage, tmp_path, failure):
    def fails(folder, work):
        make(folder, work)
        (work / "step-5").write_text("so far", "utf-8")
        raise failure

    with pytest.raises(failure):
        build(replace(stage, make=fails), tmp_path)
    assert not is_done(stage, tmp_path)
    assert not stage.folder(tmp_path).exists()
    seen = []

    def goes_on(folder, work):
        assert not list(folder.iterdir()), "what a failed try had written is not kept"
        seen.append((work / "step-5").read_text("utf-8"))
        return make(folder, work)

    folder = build(replace(stage, make=goes_on), tmp_path)
    assert seen == ["so far"]
    assert not (tmp_path / ".work" / f"corpus-{stage.fingerprint}").exists()
    verify(folder)


def test_a_folder_without_a_manifest_is_no_result(stage, tmp_path):
    folder = stage.folder(tmp_path)
    folder.mkdir(parents=True)
    (folder / "half.txt").write_text("half", "utf-8")
    assert not is_done(stage, tmp_path)
    build(stage, tmp_path)
    assert not (folder / "half.txt").exists()


def test_a_place_that_cannot_be_written_is_told(stage, tmp_path):
    (tmp_path / "runs").write_text("a file, not a folder", "utf-8")
    with pytest.raises(ArtifactError, match=r"^corpus of x: .*runs.*: ") as raised:
        build(stage, tmp_path / "runs")
    assert "\n" not in str(raised.value)


def test_a_full_disk_is_told(stage, tmp_path):
    def full(folder, work):
        raise OSError(28, "No space left on device", str(folder / "weights"))

    with pytest.raises(ArtifactError, match=r"^corpus of x: .*weights: No space left on device \([\d,]+ free\)$"):
        build(replace(stage, make=full), tmp_path)


SCRIPT = """
import sys, time
from pathlib import Path
from xrealign.store import Stage, build

def make(folder, work):
    with (Path(sys.argv[1]) / "made").open("a") as file:
        file.write("once\\n")
    time.sleep(0.5)
    (folder / "x").write_text("x")
    return {}

print("ready", flush=True)
sys.stdin.readline()
print(build(Stage("align", "a", {}, {}, make), Path(sys.argv[1])))
"""


def test_two_processes_make_a_result_once(tmp_path):
    both = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    folders = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert folders[0] == folders[1]
    assert (tmp_path / "made").read_text() == "once\n"


def cut(folder):
    (folder / "text.txt").write_text("", "utf-8")


def gone(folder):
    (folder / "part" / "numbers.txt").unlink()


def no_json(folder):
    (folder / MANIFEST).write_text("{", "utf-8")


@pytest.mark.parametrize("breaks", [cut, gone, no_json])
def test_a_damaged_result_is_dropped_and_made_again(stage, tmp_path, capsys, breaks):
    folder = build(stage, tmp_path)
    rebuild_if_damaged(stage, tmp_path)
    assert is_done(stage, tmp_path)
    breaks(folder)
    with pytest.raises(ArtifactError, match="is damaged"):
        verify(folder)
    rebuild_if_damaged(stage, tmp_path)
    assert not is_done(stage, tmp_path)
    assert "corpus of x: " in (told := capsys.readouterr().err)
    assert "is damaged" in told
    assert "; the result is made again" in told
    verify(build(stage, tmp_path))


@pytest.mark.parametrize("name", ["text.txt", MANIFEST])
def test_one_bit_of_a_result_is_seen(stage, tmp_path, capsys, name):
    folder = build(stage, tmp_path)
    content = bytearray((folder / name).read_bytes())
    content[-3] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=rf"{name} is damaged"):
        verify(folder)
    rebuild_if_damaged(stage, tmp_path)
    assert not is_done(stage, tmp_path)
    assert f"{name} is damaged" in capsys.readouterr().err


MENDS = """
import sys, time
from pathlib import Path
from xrealign.store import Stage, build, rebuild_if_damaged

runs = Path(sys.argv[1])

def make(folder, work):
    with (runs / "made").open("a") as file:
        file.write("once\\n")
    time.sleep(0.3)
    for number in range(500):
        (folder / f"{number}.txt").write_text(str(number))
    return {}

stage = Stage("align", "a", {}, {}, make)
print("ready", flush=True)
sys.stdin.readline()
rebuild_if_damaged(stage, runs)
print(build(stage, runs))
"""


def mending(runs: Path, count: int) -> list[subprocess.Popen[str]]:
    """Processes that mend a result and use it, all begun at the same moment."""
    begun = [
        subprocess.Popen(
            [sys.executable, "-c", MENDS, str(runs)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(count)
    ]  # fmt: skip
    for process in begun:
        assert process.stdout.readline() == "ready\n"
    for process in begun:
        process.stdin.write("go\n")
        process.stdin.flush()
    return begun


def whole_and_said(processes: list[subprocess.Popen[str]], folder: Path) -> str:
    """What the processes said in all, once they have ended well and the result is whole."""
    said = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), said
    assert {out for out, _ in said} == {f"{folder}\n"}
    verify(folder)
    return "".join(err for _, err in said)


def test_of_processes_that_share_a_damaged_result_one_makes_it_again(tmp_path):
    folder = Stage("align", "a", {}, {}, make).folder(tmp_path)
    assert whole_and_said(mending(tmp_path, 1), folder) == ""
    (folder / "499.txt").write_text("damaged", "utf-8")
    said = whole_and_said(mending(tmp_path, 4), folder)
    assert said.count("the result is made again") == 1
    assert (tmp_path / "made").read_text() == "once\n" * 2
    assert not list((tmp_path / ".work").glob("*/"))


def test_whoever_looked_before_another_mended_keeps_what_that_one_made(tmp_path):
    stage = Stage("align", "a", {}, {}, make)
    folder = stage.folder(tmp_path)
    whole_and_said(mending(tmp_path, 1), folder)
    shutil.copytree(folder, tmp_path / "mended")
    (folder / "0.txt").write_text("damaged", "utf-8")
    with stage.lock(tmp_path):
        late = mending(tmp_path, 1)
        with pytest.raises(subprocess.TimeoutExpired):
            late[0].wait(0.7)
        assert (folder / "0.txt").read_text("utf-8") == "damaged", "nobody drops what another is mending"
        shutil.rmtree(folder)
        (tmp_path / "mended").rename(folder)
    assert whole_and_said(late, folder) == ""
    assert (tmp_path / "made").read_text() == "once\n"


def test_what_a_kill_leaves_of_a_dropped_result_is_not_gone_on_with(stage, tmp_path, monkeypatch):
    folder, real = build(stage, tmp_path), shutil.rmtree
    gone(folder)

    def killed(path, *args, **kwargs):
        if (Path(path) / "result").exists():
            raise KeyboardInterrupt
        real(path, *args, **kwargs)

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        rebuild_if_damaged(stage, tmp_path)
    monkeypatch.setattr(shutil, "rmtree", real)
    assert not folder.exists()

    def begun(folder, work):
        assert not list(folder.iterdir())
        assert [path.name for path in work.iterdir()] == ["result"], (
            "no file of the dropped one looks like a checkpoint"
        )
        return make(folder, work)

    verify(build(replace(stage, make=begun), tmp_path))


@settings(max_examples=50)
@given(
    st.dictionaries(
        st.text().filter(lambda key: key != "seal"),
        st.none() | st.text() | st.floats(allow_nan=False) | st.lists(st.integers()),
    ),
    st.data(),
)
def test_a_seal_breaks_with_any_change(content, data):
    text = seal(content)
    assert unseal(text) == content
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(exclude_characters=text[place], exclude_categories=["Cs"]))
    with pytest.raises(ValueError):
        unseal(text[:place] + other + text[place + 1 :])


def test_a_second_owner_is_told_of_the_first(tmp_path):
    with owned(tmp_path, "mine"):
        code = (
            "import sys; from pathlib import Path; from xrealign.store import owned\n"
            "with owned(Path(sys.argv[1]), 'mine'): pass"
        )
        other = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, encoding="utf-8")
        assert other.returncode == 1
        assert f"mine is being made by process {os.getpid()} on " in other.stderr
        with owned(tmp_path, "another"):
            pass
    with owned(tmp_path, "mine"):
        pass


def test_damaged_work_is_dropped_once_and_the_stage_begun_anew(stage, tmp_path, capsys):
    def made(folder, work):
        kept = work / "kept.txt"
        if not kept.exists():
            kept.touch()
            raise DamagedWork(f"{kept} is damaged")
        return make(folder, work)

    def cleared(folder, work):
        assert not (work / "kept.txt").exists()
        return make(folder, work)

    with pytest.raises(DamagedWork):
        build(
            replace(stage, make=lambda folder, work: made(folder, work) and made(folder, work), settings={}), tmp_path
        )
    turns = iter((made, cleared))
    verify(build(replace(stage, make=lambda folder, work: next(turns)(folder, work)), tmp_path))
    assert "kept.txt is damaged; it is begun anew" in capsys.readouterr().err


def test_nothing_there_is_not_damaged(stage, tmp_path, capsys):
    rebuild_if_damaged(stage, tmp_path)
    assert capsys.readouterr().err == ""
    with pytest.raises(ArtifactError, match="holds no complete result; delete it and run again"):
        read_manifest(tmp_path)


def test_manifests_are_for_people_too(stage, tmp_path):
    text = (build(stage, tmp_path) / MANIFEST).read_text("utf-8")
    assert "ä" in text
    assert text.count("\n") > 10
    assert json.loads(text)["format"] == 2

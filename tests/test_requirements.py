"""What is installed against what is asked for: ranges, extras, what a configuration needs, and the lock files."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import xrealign
from xrealign.config import load_config
from xrealign.errors import ConfigError, InstallationError, MissingExtra
from xrealign.needs import needed_extras
from xrealign.requirements import (
    check_extra,
    check_requirements,
    extra_requirements,
    extras,
    installed_version,
    optional,
    requirements,
)

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def pretend(folder: Path, versions: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts distributions of these versions, metadata alone, before those that are installed."""
    for name, version in versions.items():
        of = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        of.mkdir()
        (of / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", "utf-8")
    monkeypatch.syspath_prepend(str(folder))


def test_what_is_installed_here_fits() -> None:
    check_requirements()
    assert len(requirements()) >= 20
    for name in extras():
        if all(installed_version(one.name) for one in extra_requirements(name)):
            check_extra(name, "a test")


def test_versions_are_those_that_importlib_tells() -> None:
    from importlib import metadata

    for one in requirements():
        assert installed_version(one.name) == metadata.version(one.name)
    assert installed_version("no-such-distribution") is None


def test_extras_inside_extras_are_opened() -> None:
    names = {one.name for one in extra_requirements("dev")}
    assert {"pytest", "peft", "uroman", "rapidfuzz"} <= names
    assert "xrealign" not in names


def test_all_mismatches_are_one_line_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(tmp_path, {"numpy": "1.26.4", "transformers": "4.57.1", "torch": "2.13.0+cpu"}, monkeypatch)
    with pytest.raises(InstallationError) as raised:
        check_requirements()
    told = str(raised.value)
    assert "\n" not in told
    assert "numpy is 1.26.4, expected >=" in told
    assert "transformers is 4.57.1, expected >=" in told
    assert re.search(r': pip install "numpy>=[^"]+,<3" "transformers>=[^"]+,<6"$', told)


@pytest.mark.parametrize(
    ("version", "fits"),
    [("0.17.1", False), ("0.18.0", True), ("0.18.0+local", True), ("1.0.0", False), ("0.19.0rc1", True)],
)
def test_ends_of_a_range(version: str, fits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(next(one.specifier for one in extra_requirements("lora"))) in ("<1,>=0.18", ">=0.18,<1")
    pretend(tmp_path, {"peft": version}, monkeypatch)
    if fits:
        check_extra("lora", "adapter = 'lora'")
    else:
        with pytest.raises(MissingExtra, match=rf"needs peft >=0.18,<1; {re.escape(version)} is installed: pip in"):
            check_extra("lora", "adapter = 'lora'")


def test_a_library_that_is_there_but_does_not_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_library.py").write_text("from xrealign.errors import nothing_of_this_name\n", "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    with (
        pytest.raises(MissingExtra, match=r"in working order; its import ended with: cannot import name"),
        optional("lora", "a test"),
    ):
        import broken_library  # noqa: F401
    with (
        pytest.raises(MissingExtra, match=r"^a test needs not_there, which is not installed: pip install"),
        optional("lora", "a test"),
    ):
        import not_there  # noqa: F401
    with pytest.raises(ZeroDivisionError), optional("lora", "a test"):
        1 / 0  # noqa: B018


EXTRAS_OF = {
    "": [],
    "[corpus.filter]\nlanguage_id = true": ["langid"],
    "[corpus.filter]\nmin_words = 2": [],
    '[realign]\nobjective = "transliteration"': ["romanise"],
    "[realign]\nobjective = { word = 1.0, transliteration = 0.5 }": ["romanise"],
    '[realign]\nadapter = "lora"': ["lora"],
    '[realign]\nadapter = "lora"\nstrategy = "none"': [],
    '[finetune]\nadapter = "lora"': ["lora"],
    '[report]\ntrackers = ["wandb", "mlflow"]': ["wandb", "mlflow"],
}


@pytest.mark.parametrize("text", EXTRAS_OF)
def test_extras_that_a_configuration_asks_for(text: str, tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(f'name = "run"\n{text}\n', "utf-8")
    try:
        config = load_config(path)
    except ConfigError as error:  # pragma: no cover - the configurations above are right
        pytest.fail(str(error))
    assert [extra for extra, _ in needed_extras(config)] == EXTRAS_OF[text]


def test_every_extra_named_in_the_code_is_one_of_the_project() -> None:
    known = set(PROJECT["optional-dependencies"])
    named = set()
    for path in Path(xrealign.__file__).parent.rglob("*.py"):
        named |= set(re.findall(r'(?:check_extra|optional)\(\s*"([a-z]+)"', path.read_text("utf-8")))
    assert {"langid", "romanise", "lemmas", "lora", "forest", "ray", "hf"} <= named <= known


def locked(name: str) -> dict[str, tuple[str, list[str]]]:
    """name → (version, hashes) of a lock file."""
    text = (ROOT / name).read_text("utf-8")
    found = {}
    for block in re.split(r"\n(?=[A-Za-z])", "\n".join(x for x in text.splitlines() if not x.startswith("#"))):
        head, *hashes = (part.strip() for part in re.split(r"\\\n", block.strip()))
        one = Requirement(head)
        assert [spec.operator for spec in one.specifier] == ["=="], head
        assert hashes, head
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", line) for line in hashes), head
        found[canonicalize_name(one.name)] = (next(iter(one.specifier)).version, hashes)
    return found


def test_the_lock_files_say_what_the_constraints_say() -> None:
    lines = [x for x in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if x and not x.startswith("#")]
    pinned = {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in lines}
    lock, build = locked("requirements.lock"), locked("requirements-build.lock")
    assert set(pinned) - set(lock) == set()
    assert {name: lock[name][0] for name in pinned} == pinned
    assert {name for name in lock if name.startswith(("nvidia", "cuda", "triton"))} == set()
    assert len(set(lock) - set(pinned)) <= 3  # what other platforms need
    assert locked("requirements-cpu.lock")["torch"][0] == f"{pinned['torch']}+cpu"
    assert set(build) >= {"setuptools", "setuptools-scm"}
    assert all(lock[name][0] == version for name, (version, _) in build.items() if name in lock)


def test_the_lock_has_all_that_the_project_asks_for_in_its_ranges() -> None:
    lock = locked("requirements.lock")
    optional_ones = PROJECT["optional-dependencies"]
    opened = set(
        re.findall(r"\[(.*)\]", next(x for x in optional_ones["dev"] if x.startswith("xrealign")))[0].split(",")
    )
    wanted = [*PROJECT["dependencies"], *optional_ones["dev"], *(x for name in opened for x in optional_ones[name])]
    checked = 0
    for line in wanted:
        one = Requirement(line)
        if one.name != "xrealign":
            assert one.specifier.contains(Version(lock[canonicalize_name(one.name)][0])), line
            checked += 1
    assert checked > 40


@pytest.mark.parametrize("name", [*sorted(path.name for path in ROOT.glob("requirements*.lock")), "constraints.txt"])
def test_no_lock_names_an_index_or_a_path(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    assert not re.search(r"https?:|file:|--index|--find-links|(?<!\w)/\w", re.sub(r"\bCI\b|#.*", "", text))


def test_the_command_looks_before_it_imports(tmp_path: Path) -> None:
    """With a numpy that cannot be imported and says that it is too old: told, and numpy was not touched."""
    (tmp_path / "numpy-1.26.4.dist-info").mkdir()
    (tmp_path / "numpy-1.26.4.dist-info" / "METADATA").write_text("Name: numpy\nVersion: 1.26.4\n", "utf-8")
    (tmp_path / "numpy.py").write_text("raise SystemExit('numpy was imported')\n", "utf-8")
    start = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from xrealign.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", start, "run", "x.toml"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: installed packages do not fit: numpy is 1.26.4, expected >=2")
    assert done.stderr.count("\n") == 1


def advisories() -> list[tuple[str, str, str]]:
    """(package, lowest version admitted, extra) of the table in docs/dependencies.md."""
    text = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:2] == "| "]
    return [(row[0], row[1], row[3]) for row in rows if len(row) == 4 and re.fullmatch(r"[\d.]+", row[1])]


@pytest.mark.parametrize(("package", "lowest", "extra"), advisories())
def test_versions_with_known_vulnerabilities_are_refused(package: str, lowest: str, extra: str) -> None:
    lines = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    (one,) = [r for r in map(Requirement, lines) if canonicalize_name(r.name) == canonicalize_name(package)]
    major, *rest = Version(lowest).release
    below = f"{major}.{rest[0] - 1}.99" if len(rest) == 1 and rest[0] else f"{major - 1}.99"
    below = ".".join(map(str, (major, *rest[:-1], rest[-1] - 1))) if len(rest) == 2 and rest[-1] else below
    assert one.specifier.contains(lowest)
    assert not one.specifier.contains(below)
    assert Version(locked("requirements.lock").get(canonicalize_name(package), (lowest,))[0]) >= Version(lowest)


def test_the_table_of_advisories_is_read() -> None:
    assert len(advisories()) >= 25
    assert {"torch", "transformers", "pillow", "urllib3"} <= {package for package, *_ in advisories()}

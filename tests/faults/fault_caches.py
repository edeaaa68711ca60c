"""Caches and data cut short, or with a single bit changed, anywhere: told, and made again or refused."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tiny
from harness import Fault, Outcome, cli, fork, last_line

import xrealign.corpus.embedded as embedded
import xrealign.model.starter as starter
import xrealign.select.features as features
from xrealign.align.external import Tool, external_recipe
from xrealign.align.statistical import cached_model, statistical_recipe, train_statistical
from xrealign.corpus import fetch as fetching
from xrealign.corpus.catalogue import CatalogueEntry, CatalogueFile
from xrealign.errors import XrealignError
from xrealign.language import parse_language
from xrealign.model.recorded import first_fault
from xrealign.store import file_digest
from xrealign.train.front_store import FrontStore

SAID = ("damaged", "SHA-256", "sha256")


def damage(folder: Path, draw: np.random.Generator, names: str = "*") -> tuple[Path, str]:
    """Cuts a random file of a folder short at a random byte, or turns a random bit of it; which file, and what."""
    files = sorted(p for p in folder.rglob(names) if p.is_file() and p.stat().st_size)
    path = files[int(draw.integers(len(files)))]
    data = bytearray(path.read_bytes())
    place = int(draw.integers(len(data)))
    if draw.random() < 0.4:
        path.write_bytes(data[:place])
        return path, f"{path.name} cut at byte {place} of {len(data)}"
    data[place] ^= 1 << int(draw.integers(8))
    path.write_bytes(data)
    return path, f"{path.name}: a bit of byte {place} of {len(data)}"


def whole(read: Callable[[], object]) -> object:
    """What reading whole files comes to. Nothing may be said of them: who always cries damage has detected none."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        found = read()
    assert not any(word in said.getvalue() for word in SAID), said.getvalue()
    return found


def told(text: str, place: Path, advice: str) -> bool:
    """Whether a message tells of damage, where it is, and what to do about it."""
    return str(place) in text and any(word in text for word in SAID) and advice in text


def rebuilt(read: Callable[[], object], wanted: object, case: str, place: Path) -> Outcome:
    """Reading what is made again where it is damaged: that is said of the very place, and what is read is as ever."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            found = read()
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not come out
        return Outcome(case, False, f"{type(error).__name__}: {error}")
    if not told(said.getvalue(), place, ""):
        return Outcome(case, False, f"the damage was not said: {said.getvalue()[-200:]}")
    return Outcome(case, found == wanted, "" if found == wanted else "something else was read")


def refused(read: Callable[[], object], case: str, place: Path, advice: str, harmless: object = None) -> Outcome:
    """Reading what cannot be made again: an error that names the place and says what to do.

    Args:
        harmless: what may be read in silence all the same, where not every byte has a say in it; None for nothing.
    """
    try:
        found = read()
    except XrealignError as error:
        good = told(str(error), place, advice)
        return Outcome(case, good, "" if good else f"{type(error).__name__}: {error}")
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not come out
        return Outcome(case, False, f"{type(error).__name__}: {error}")
    good = harmless is not None and found == harmless
    return Outcome(case, good, "no value is another" if good else "it was read, and nothing said")


def front(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """Tables of the front cache; and a realignment that reads damaged ones."""
    draw = np.random.default_rng(1)
    keys = [hashlib.blake2b(bytes([n]), digest_size=16).digest() for n in range(20)]
    lengths = draw.integers(1, 9, 20)
    states = draw.normal(size=(int(lengths.sum()), 8)).astype(np.float32)
    first = scratch / "first"
    with FrontStore(first, "0" * 8, 8, np.dtype("float32")).new_table(keys, lengths) as table:
        table[:] = states
    starts = np.cumsum(lengths) - lengths

    def read(folder: Path) -> object:
        store = FrontStore(folder, "0" * 8, 8, np.dtype("float32"))
        if not store.tables:
            return "dropped" if not list(store.path.glob("table-*")) else "left there"
        same = np.array_equal(store.tables[0], states)
        places = {key: (0, int(start)) for key, start in zip(keys, starts, strict=True)}
        return "kept" if same and store.places == places else "other states"

    assert whole(lambda: read(first)) == "kept"
    for number in range(10 if fast else 60):
        folder = scratch / f"try-{number}"
        shutil.copytree(first, folder)
        path, case = damage(folder, draw)
        yield rebuilt(lambda folder=folder: read(folder), "dropped", f"front cache, {case}", path.parent)
        shutil.rmtree(folder)
    if fast:
        return
    tiny.config(scratch)
    options = ("--set", "realign.freeze=front", "--set", "realign.front_cache=0.01", "--set", "realign.layer=3")
    env = {"XREALIGN_CACHE": str(scratch / "cache")}
    ended = fork(cli("realign", "tiny.toml", *options, "--set", "runs=runs-0"), folder=scratch, env=env)
    wanted = tiny.digests(scratch / "runs-0")
    if ended.code or "damaged" in ended.err or not list((scratch / "cache" / "states").rglob("states.npy")):
        yield Outcome("a realignment with a front cache", False, last_line(ended))
        return
    for number in range(1, 4):
        path, case = damage(scratch / "cache" / "states", draw, "*.npy")
        runs = f"runs-{number}"
        ended = fork(cli("realign", "tiny.toml", *options, "--set", f"runs={runs}"), folder=scratch, env=env)
        said = f"{path.parent} is damaged: dropped, its states are computed again" in ended.err
        same = tiny.digests(scratch / runs) == wanted
        good = ended.code == 0 and said and same
        yield Outcome(f"a realignment, {case}", good, "" if good else last_line(ended))


PAIRS = [(line.split(), line.upper().split()) for line in ("a b c", "b c", "a d", "c d a b", "d", "b a", "c a d")] * 3


def aligners(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """Links of another program and a model of the text itself, which are kept in the cache; a model of the user's."""
    draw = np.random.default_rng(2)
    sides = [pair[0] for pair in PAIRS], [pair[1] for pair in PAIRS]

    def links(recipe) -> object:
        return [(one.links.tolist(), one.scores.tolist()) for one in recipe.open().link(*sides).found]

    script = scratch / "links.py"
    script.write_text(
        "import sys\nfor line in open(sys.argv[1]):\n"
        "    left, right = (len(side.split()) for side in line.split('|||'))\n"
        "    print(*(f'{i}-{i}' for i in range(min(left, right))))\n",
        "utf-8",
    )
    tool = Tool(((sys.executable, str(script), "{bars}"), (sys.executable, str(script), "{bars}")))
    recipes = {
        "links of a program": lambda: external_recipe(tool, lambda: PAIRS, "d", scratch / "external"),
        "a model of the text": lambda: statistical_recipe(
            cached_model(lambda: PAIRS, "d", scratch / "model", "ibm1", iterations=2)
        ),
    }
    for name, recipe in recipes.items():
        with contextlib.redirect_stderr(io.StringIO()):
            links(recipe())  # which makes it
        wanted = whole(lambda recipe=recipe: links(recipe()))
        folder = scratch / ("external" if name.startswith("links") else "model")
        few = 6 if name.startswith("links") else 12  # each starts a program again
        for _ in range(2 if fast else few):
            path, case = damage(next(p.parent for p in folder.rglob("manifest.json")), draw)
            yield rebuilt(lambda recipe=recipe: links(recipe()), wanted, f"{name}, {case}", path)
    own = scratch / "own"
    train_statistical(PAIRS, own, "hmm", 0, 100, 2, True)
    whole(lambda: links(statistical_recipe(own)))
    for number in range(5 if fast else 40):
        folder = scratch / f"own-{number}"
        shutil.copytree(own, folder)
        path, case = damage(folder, draw)
        again = "train the aligner again"
        yield refused(lambda folder=folder: links(statistical_recipe(folder)), f"own model, {case}", path, again)
        shutil.rmtree(folder)
    # The word that says there is a seal is itself under it.
    for bit in range(2 if fast else 8):
        path = own / "statistical.json"
        place = path.read_bytes().index(b'"seal"') + 1 + bit % 4
        _turn(path, place, bit)
        case = f"own model, {path.name}: bit {bit} of byte {place}, the word seal"
        yield refused(lambda: links(statistical_recipe(own)), case, path, "train the aligner again")
        _turn(path, place, bit)


def fetched(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """Sets that were fetched, and the lock that pins them; read as every reader does, through `verified_files`."""
    draw = np.random.default_rng(3)
    source, texts = scratch / "source", {}
    files = []
    for tag in ("eng_Latn", "swh_Latn", "deu_Latn"):
        texts[tag] = "\n".join(f"{tag} {n} {'x' * int(draw.integers(40))}" for n in range(60)).encode()
        (source / "d").mkdir(parents=True, exist_ok=True)
        (source / "d" / f"{tag}.txt").write_bytes(texts[tag])
        digest = hashlib.sha256(texts[tag]).hexdigest()
        language = parse_language(tag)
        files.append(CatalogueFile(f"d/{tag}.txt", language, "https://example.org/x", digest, None, None))
    blank = {field.name: "" for field in dataclasses.fields(CatalogueEntry) if field.type == "str"}
    entry = CatalogueEntry(**{**blank, "id": "news", "kind": "fetched"}, files=tuple(files))
    known = fetching.find_entry
    fetching.find_entry = lambda identifier: entry
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            fetching.fetch("news", scratch / "into", from_folder=source)

        def read(into: Path) -> object:
            present = fetching.files_present(entry, into)
            found = fetching.verified_files("news", into, set(present.values()))
            return {name: path.read_bytes() for name, path in found.items()}

        wanted = whole(lambda: read(scratch / "into"))
        for number in range(8 if fast else 40):
            folder = scratch / f"into-{number}"
            shutil.copytree(scratch / "into", folder)
            path, case = damage(folder, draw, "*.[tl][xo]*")
            again = "xrealign data get"
            yield refused(lambda folder=folder: read(folder), f"fetched set, {case}", path, again)
            # Got again, it is as it was; a damaged lock says what to remove first.
            with contextlib.redirect_stderr(io.StringIO()):
                try:
                    fetching.fetch("news", folder, from_folder=source)
                except XrealignError:
                    assert path.name == fetching.LOCK, case
                    path.unlink()
                    fetching.fetch("news", folder, from_folder=source)
            yield Outcome(f"got again after {case}", read(folder) == wanted)
            shutil.rmtree(folder)
    finally:
        fetching.find_entry = known


def packaged(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """Data inside the package: texts are checked by digest when they are read, typology by its checksums.

    Not every byte of an archive or of the list of digests has a say in what is read: who finds it is `xrealign doctor`.
    """
    draw = np.random.default_rng(4)
    original = embedded.DATA

    def texts() -> object:
        embedded._manifest.cache_clear()
        found = embedded._load("udhr_articles")
        return found.name, found.ids, {language.tag: dict(texts) for language, texts in found.texts.items()}

    def typology() -> object:
        features.snapshot.cache_clear()
        found = features.snapshot("grambank")
        return {key: (value.dtype.str, value.shape, value.tobytes()) for key, value in found.items()}

    def placed(name: str) -> Path:
        folder = scratch / "data"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for file in (name, "embedded.json", "udhr_articles.tsv.xz"):
            shutil.copy(original / file, folder)
        embedded.DATA = features.DATA = folder
        return folder

    again = "install xrealign again"
    grambank = "typology_grambank.npz"
    try:
        for name, read, all_of_it in (
            ("udhr_articles.tsv.xz", texts, True),
            ("embedded.json", texts, False),
            (grambank, typology, False),
        ):
            placed(name)
            wanted = whole(read)
            for _ in range(2 if fast else 12):
                folder = placed(name)
                path, case = damage(folder, draw, name)
                # A digest of the list that is another is told of the file that it is of.
                place = path if name != "embedded.json" else folder
                yield refused(read, f"package data, {case}", place, again, None if all_of_it else wanted)
        # Single bits with which an array tells of fewer rows than it has, so that its end is never come to.
        for byte, bit in ((136, 3), (183, 2), (186, 0), (11157, 6), (11158, 0)):
            path = placed(grambank) / grambank
            _turn(path, byte, bit)
            yield refused(typology, f"package data, {grambank}: bit {bit} of byte {byte}", path, again)
    finally:
        embedded.DATA = features.DATA = original
        embedded._manifest.cache_clear()
        features.snapshot.cache_clear()


def converted(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """The starter encoder's conversion in the cache, out of a package's file that is checked by digest itself."""
    if fast:
        return  # one conversion takes four seconds of processor time
    draw = np.random.default_rng(5)
    usual, starter.cache_folder = starter.cache_folder, lambda: scratch
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            folder = starter.starter_folder()

        def read() -> object:
            return {path.name: file_digest(path) for path in starter.starter_folder().iterdir()}

        wanted = whole(read)
        for _ in range(2):
            path, case = damage(folder, draw)
            yield rebuilt(read, wanted, f"starter encoder, {case}", path)
        for _ in range(12):
            path = sorted(folder.iterdir())[int(draw.integers(len(wanted)))]
            place, bit = int(draw.integers(path.stat().st_size)), int(draw.integers(8))
            _turn(path, place, bit)
            yield Outcome(f"starter encoder, {path.name}: bit {bit} of byte {place}", first_fault(folder) == path)
            _turn(path, place, bit)
        yield Outcome("starter encoder, all bits turned back", first_fault(folder) is None)
        source = scratch / "package-file"
        shutil.copyfile(starter.package_file(), source)
        for _ in range(2):
            place, bit = int(draw.integers(source.stat().st_size)), int(draw.integers(8))
            _turn(source, place, bit)
            case = f"the package's file: bit {bit} of byte {place}"
            yield refused(lambda: starter.convert(source, scratch / "never"), case, source, "pip install")
            _turn(source, place, bit)
        os.truncate(source, int(draw.integers(source.stat().st_size)))
        case = f"the package's file, cut at byte {source.stat().st_size}"
        yield refused(lambda: starter.convert(source, scratch / "never"), case, source, "pip install")
    finally:
        starter.cache_folder = usual


def _turn(path: Path, place: int, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        old = file.read(1)[0]
        file.seek(place)
        file.write(bytes([old ^ 1 << bit]))


FAULTS = (
    Fault(
        "damaged starter encoder", "detected by digest at the first use of a process, said, and made again", converted
    ),
    Fault("damaged front cache", "detected by digest, dropped, said, and computed again", front),
    Fault(
        "damaged caches and models of aligners",
        "detected by digest and made again; a model of the user's own is refused, with its file",
        aligners,
    ),
    Fault(
        "damaged fetched data", "detected by digest before it is read; the command that gets it again is named", fetched
    ),
    Fault(
        "damaged data of the package", "detected before it is used; the message says what to install again", packaged
    ),
)

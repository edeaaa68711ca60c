"""Statistical aligners: posteriors and training against enumeration of all alignments in plain Python, learning of a
made-up language, determinism, sampling, odd words, damaged files, the train command."""

from __future__ import annotations

import hashlib
import json
import math
import re
import subprocess
import sys
from collections import Counter, defaultdict
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import typer
from scipy.special import digamma
from typer.testing import CliRunner

from xrealign.align import statistical
from xrealign.align.em import WIDEST, Places, fit_tension, posterior
from xrealign.align.em_training import FLOOR, Model, fit
from xrealign.align.score import link_counts, measures, read_gold
from xrealign.align.statistical import MODELS, cached_model, sample_pairs, statistical_recipe, train_statistical
from xrealign.align.statistical_command import train_command
from xrealign.align.statistical_model import LONGEST, SETTINGS
from xrealign.errors import ArtifactError, ConfigError, DataError, XrealignError
from xrealign.types import WordAlignment

KINDS = ("uniform", "diagonal", "jump")


def weigh(kind: str, choice: tuple[int, ...], I: int, J: int, places: Places) -> float:  # noqa: E741
    """Probability of the places chosen (0 is NULL), by the definitions, one word after the other."""
    before, value = 0, 1.0
    for j, i in enumerate(choice, 1):
        if i == 0:
            value *= places.null
            continue
        if kind == "uniform":
            share = 1 / I
        elif kind == "diagonal":
            near = [math.exp(-places.tension * abs(k / I - j / J)) for k in range(1, I + 1)]
            share = near[i - 1] / sum(near)
        else:
            steps = [places.jumps[max(-WIDEST, min(WIDEST, k - before)) + WIDEST] for k in range(1, I + 1)]
            share = steps[i - 1] / sum(steps)
            before = i
        value *= (1 - places.null) * share
    return value


def enumerate_posterior(kind: str, lexical: np.ndarray, null: np.ndarray, places: Places):
    """Posterior of every link and NULL, total probability and expected steps, over all alignments of one pair."""
    size, height = lexical.shape
    links, alone, steps, total = np.zeros((size, height)), np.zeros(height), Counter(), 0.0
    for choice in product(range(size + 1), repeat=height):
        value = weigh(kind, choice, size, height, places)
        for j, i in enumerate(choice):
            value *= lexical[i - 1, j] if i else null[j]
        total += value
        before = 0
        for j, i in enumerate(choice):
            if i:
                links[i - 1, j] += value
                steps[i - before] += value
                before = i
            else:
                alone[j] += value
    return links / total, alone / total, total, {step: value / total for step, value in steps.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_posteriors_are_those_of_all_alignments(kind: str) -> None:
    random = np.random.default_rng(1)
    given, made = np.array([3, 1, 4, 2]), np.array([4, 3, 2, 1])
    lexical, null = random.random((4, 4, 4)), random.random((4, 4))
    places = Places(3.0, random.random(2 * WIDEST + 1), 0.15)
    got = posterior(kind, lexical, null, given, made, places)
    log, steps = 0.0, Counter()
    for b, (size, height) in enumerate(zip(given, made, strict=True)):
        links, alone, total, taken = enumerate_posterior(kind, lexical[b, :size, :height], null[b, :height], places)
        np.testing.assert_allclose(got.links[b, :size, :height], links, atol=1e-12)
        np.testing.assert_allclose(got.null[b, :height], alone, atol=1e-12)
        assert not got.links[b, size:].any()
        assert not got.links[b, :, height:].any()
        assert not got.null[b, height:].any()
        log += math.log(total)
        steps.update(taken)
    assert got.log == pytest.approx(log, abs=1e-10)
    if kind == "jump":
        assert got.jumps is not None
        for step in range(-WIDEST, WIDEST + 1):
            assert got.jumps[step + WIDEST] == pytest.approx(steps.get(step, 0.0), abs=1e-10)


def test_steps_wider_than_the_widest_share_one_weight() -> None:
    size = WIDEST + 20
    places = Places(4.0, np.linspace(0.1, 1, 2 * WIDEST + 1), 0.1)
    got = posterior("jump", np.ones((1, size, 1)), np.ones((1, 1)), np.array([size]), np.array([1]), places)
    weights = [places.jumps[min(i, WIDEST) + WIDEST] for i in range(1, size + 1)]
    np.testing.assert_allclose(got.links[0, :, 0], 0.9 * np.array(weights) / sum(weights), atol=1e-12)


def test_tension_moves_to_where_the_mean_distance_is_the_observed_one() -> None:
    lengths, counts = np.array([[5, 9, 12], [6, 8, 15]]), np.array([3, 2, 1])

    def mean_distance(tension: float) -> float:
        total = 0.0
        for (size, height), count in zip(lengths.T.tolist(), counts.tolist(), strict=True):
            for j in range(1, height + 1):
                far = [abs(i / size - j / height) for i in range(1, size + 1)]
                near = [math.exp(-tension * x) for x in far]
                total += count * sum(x * y for x, y in zip(far, near, strict=True)) / sum(near)
        return total / float((lengths[1] * counts).sum())

    wanted, tension = mean_distance(6.0), 4.0
    for _ in range(60):
        tension = fit_tension(tension, wanted, lengths, counts)
    assert tension == pytest.approx(6.0, abs=1e-6)
    assert fit_tension(13.9, 0.0, lengths, counts) == 14
    assert fit_tension(0.2, 0.9, lengths, counts) == 0.1
    first = fit_tension(4.0, wanted, lengths, counts)
    by_hand = 4.0
    for _ in range(8):
        by_hand -= 20 * (wanted - mean_distance(by_hand))
    assert first == pytest.approx(by_hand, abs=1e-9)


CORPUS = [
    ("the house", "das haus"),
    ("the small house", "das kleine haus"),
    ("a house", "ein haus"),
    ("the book is small", "das buch ist klein"),
    ("a small book", "ein kleines buch ja"),
    ("the the", "das"),
]


def restated(model: Model, pairs: list[tuple[list[str], list[str]]]):
    """Training in plain Python: dictionaries of counts, and every alignment enumerated. Tables by direction."""
    directions = [pairs, [(t, s) for s, t in pairs]]
    words = [sorted({w for _, made in way for w in made}) for way in directions]
    beside: list[dict[str, set[str]]] = [defaultdict(set), defaultdict(set)]
    for k, way in enumerate(directions):
        for given, made in way:
            for word in given:
                beside[k][word].update(made)
    counts = [{}, {}]  # (given or None, made) -> expectation
    own = [{}, {}]  # the same by (pair, j, i), i = 0 for NULL
    tension, jumps = [4.0, 4.0], [np.ones(2 * WIDEST + 1)] * 2
    perplexity: list[list[float]] = [[], []]
    schedule = [kind for kind, often in model.stages for _ in range(often)]
    alpha = model.concentration

    def lexical(k: int, n: int, j: int, i: int, given: str | None, made: str) -> float:
        if model.estimate == "variational":
            if not counts[k]:
                return 1 / len(words[k])
            total = sum(v for (g, _), v in counts[k].items() if g == given)
            kinds = len(words[k]) if given is None else len(beside[k][given])
            return max(math.exp(digamma(counts[k][given, made] + alpha) - digamma(total + alpha * kinds)), FLOOR)
        mine = own[k].get((n, j, i), 0.0)
        total = sum(v for (g, _), v in counts[k].items() if g == given) - mine
        return (max(counts[k].get((given, made), 0.0) - mine, 0) + alpha) / (max(total, 0) + alpha * len(words[k]))

    for iteration, kind in enumerate(schedule):
        found: list[list[tuple]] = [[], []]
        for k, way in enumerate(directions):
            places = Places(tension[k], jumps[k], model.null)
            for n, (given, made) in enumerate(way):
                table = np.array([[lexical(k, n, j, i + 1, g, m) for j, m in enumerate(made)]
                                  for i, g in enumerate(given)])  # fmt: skip
                null = np.array([lexical(k, n, j, 0, None, m) for j, m in enumerate(made)])
                found[k].append(enumerate_posterior(kind, table, null, places))
            made_words = sum(len(made) for _, made in way)
            perplexity[k].append(math.exp(-sum(math.log(f[2]) for f in found[k]) / made_words))
        counts, own = [defaultdict(float), defaultdict(float)], [{}, {}]
        for k, way in enumerate(directions):
            far, steps = 0.0, np.full(2 * WIDEST + 1, model.step)
            for n, (given, made) in enumerate(way):
                links, alone, _, taken = found[k][n]
                far += sum(links[i, j] * abs((i + 1) / len(given) - (j + 1) / len(made))
                           for i in range(len(given)) for j in range(len(made)))  # fmt: skip
                for step, value in taken.items():
                    steps[step + WIDEST] += value
                if model.agree and kind == model.stages[-1][0]:
                    links = links * found[1 - k][n][0].T
                for j, m in enumerate(made):
                    counts[k][None, m] += alone[j]
                    own[k][n, j, 0] = alone[j]
                    for i, g in enumerate(given):
                        counts[k][g, m] += links[i, j]
                        own[k][n, j, i + 1] = links[i, j]
            if kind == "jump":
                jumps[k] = steps
            if kind == "diagonal" and iteration:
                sizes = Counter((len(given), len(made)) for given, made in way)
                total = sum(len(made) for _, made in way)
                tension[k] = fit_tension(tension[k], far / total, np.array(list(sizes)).T, np.array([*sizes.values()]))
    own = [{}, {}]
    tables = [{(g, m): lexical(k, 0, 0, 0, g, m) for g, m in counts[k]} for k in (0, 1)]
    return tables, tension, jumps, perplexity


@pytest.mark.parametrize("name", MODELS)
def test_training_is_the_definition_in_plain_python(name: str) -> None:
    parts = MODELS[name]
    model = Model(tuple((kind, 3) for kind, _ in parts.stages), parts.estimate, parts.agree, parts.concentration,
                  parts.null, parts.step)  # fmt: skip
    pairs = [(s.split(), t.split()) for s, t in CORPUS]
    known = [sorted({w for pair in pairs for w in pair[k]}) for k in (0, 1)]
    sides = [[np.array([known[k].index(w) for w in pair[k]]) for pair in pairs] for k in (0, 1)]
    *_, fitted = fit(model, sides[0], sides[1], (len(known[0]), len(known[1])))
    assert fitted is not None
    tables, tension, jumps, perplexity = restated(model, pairs)
    for k in (0, 1):
        for place, key in enumerate(fitted.keys.tolist()):
            pair = (known[0][key // len(known[1])], known[1][key % len(known[1])])
            assert fitted.tables[k].seen[place] == pytest.approx(tables[k][pair[k], pair[1 - k]], rel=2e-4)
        for number, word in enumerate(known[1 - k]):
            assert fitted.tables[k].null[number] == pytest.approx(tables[k][None, word], rel=2e-4)
        assert fitted.places[k].tension == pytest.approx(tension[k], rel=1e-5)
        np.testing.assert_allclose(fitted.places[k].jumps, jumps[k], rtol=1e-5)
        assert fitted.perplexity[k] == pytest.approx(perplexity[k], rel=1e-5)


def test_maximum_likelihood_never_gets_worse() -> None:
    """EM's own promise, for the model without a prior (Dempster et al. 1977)."""
    src, tgt, _ = made_up(60, 5)
    numbers = [[np.array([int(w[1:]) for w in sentence]) for sentence in side] for side in (src, tgt)]
    for kind in ("uniform", "jump"):
        model = Model(((kind, 8),), "variational", concentration=0.0, step=1e-9)
        *_, fitted = fit(model, numbers[0], numbers[1], (40, 40))
        assert fitted is not None
        for values in fitted.perplexity:
            steps = np.diff(values)
            assert (steps < 1e-9).all() if kind == "uniform" else steps[-1] < 0


def made_up(count: int, seed: int, words: int = 40):
    """Sentences of a made-up language and their translations: word for word, neighbours swapped now and then."""
    random = np.random.default_rng(seed)
    src, tgt, links = [], [], []
    for _ in range(count):
        numbers = random.integers(0, words, random.integers(3, 12))
        order = np.arange(len(numbers))
        for i in range(0, len(order) - 1, 2):
            if random.random() < 0.5:
                order[[i, i + 1]] = order[[i + 1, i]]
        src.append([f"s{n}" for n in numbers])
        tgt.append([f"t{n}" for n in numbers[order]])
        links.append(frozenset((int(i), j) for j, i in enumerate(order)))
    return src, tgt, links


def error_rate(links: list[frozenset[tuple[int, int]]], found: list[frozenset[tuple[int, int]]]) -> float:
    gold = [WordAlignment(each, 400, 400) for each in links]
    return float(measures(link_counts(gold, found).sum(0, keepdims=True))[0, 3])


def as_sets(linked) -> list[frozenset[tuple[int, int]]]:
    return [frozenset(map(tuple, each.links.tolist())) for each in linked.found]


@pytest.mark.parametrize("name", MODELS)
def test_learns_a_made_up_language(name: str, tmp_path: Path) -> None:
    src, tgt, _ = made_up(400, 0)
    facts = train_statistical(zip(src, tgt, strict=True), tmp_path, name)
    assert facts["pairs_used"] == 400
    assert (facts["src_words"], facts["tgt_words"]) == (40, 40)
    assert len(facts["perplexity"]["src"]) == sum(often for _, often in MODELS[name].stages)
    assert facts["perplexity"]["tgt"][-1] < facts["perplexity"]["tgt"][0] / 4
    src, tgt, links = made_up(100, 1)
    linker = statistical_recipe(tmp_path).open()
    linked = linker.link(src, tgt)
    # A word twice in a sentence cannot be told apart by ibm1.
    assert error_rate(links, as_sets(linked)) < (0.12 if name == "ibm1" else 0.06)
    for each in linked.found:
        assert each.links.dtype == np.int32
        assert each.scores.dtype == np.float32
        assert each.links.tolist() == sorted(each.links.tolist())
        assert ((each.scores >= 0) & (each.scores <= 1)).all()
    sure = statistical_recipe(tmp_path, "posterior", 0.5).open().link(src, tgt)
    assert all((each.scores > 0.5).all() for each in sure.found)
    assert error_rate(links, as_sets(sure)) < 0.15


def test_unknown_words_are_linked_to_what_is_left_over(tmp_path: Path) -> None:
    src, tgt, _ = made_up(400, 0)
    train_statistical(zip(src, tgt, strict=True), tmp_path)
    linker = statistical_recipe(tmp_path).open()
    linked = linker.link([["s1", "new", "s2"], ["quite", "unknown"]], [["t1", "neu", "t2"], ["ganz", "fremd"]])
    assert as_sets(linked)[0] == {(0, 0), (1, 1), (2, 2)}
    assert as_sets(linked)[1] == {(0, 0), (1, 1)}
    assert as_sets(linker.link([["S1", "S2"]], [["T1", "T2"]])) == [{(0, 0), (1, 1)}]  # lower-cased


def test_symmetrisations_are_nested(tmp_path: Path) -> None:
    src, tgt, _ = made_up(60, 3)
    train_statistical(zip(src, tgt, strict=True), tmp_path, "ibm1", iterations=2)
    found = {how: as_sets(statistical_recipe(tmp_path, how).open().link(src, tgt))
             for how in ("intersection", "grow-diag", "grow-diag-final-and", "union")}  # fmt: skip
    for a, b in zip(list(found)[:-1], list(found)[1:], strict=True):
        assert all(x <= y for x, y in zip(found[a], found[b], strict=True))
    assert sum(map(len, found["intersection"])) < sum(map(len, found["union"]))


def test_same_seed_same_file_and_links_depend_on_nothing_else(tmp_path: Path) -> None:
    src, tgt, _ = made_up(120, 4)
    pairs = list(zip(src, tgt, strict=True))
    settings = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train_statistical(iter(pairs), tmp_path / name, seed=seed, max_pairs=50)
        settings.append(json.loads((tmp_path / name / SETTINGS).read_text("utf-8")))
    files = [(tmp_path / name / "model.npz").read_bytes() for name in "abc"]
    assert files[0] == files[1] != files[2]
    assert settings[0]["sha256"] == settings[1]["sha256"]
    assert settings[0]["training"]["pairs_left_out"] == {"not drawn": 70}
    first, again = (statistical_recipe(tmp_path / name).open() for name in "ab")
    one, two = first.link(src, tgt), again.link(src, tgt)
    for a, b in zip(one.found, two.found, strict=True):
        assert a.links.tobytes() == b.links.tobytes()
        assert a.scores.tobytes() == b.scores.tobytes()
    keys = [statistical_recipe(tmp_path / name).key for name in "abc"]
    assert keys[0] == keys[1] != keys[2]
    assert json.loads(json.dumps(keys[0])) == keys[0]
    assert statistical_recipe(tmp_path / "a", "union").key != keys[0]


def test_sampling_is_fair_bounded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: Counter[str] = Counter()
    for seed in range(2000):
        used, seen, dropped = sample_pairs(((["A" + str(n)], ["b"]) for n in range(10)), seed, 3, True)
        assert (len(used), seen, dropped) == (3, 10, {"not drawn": 7})
        drawn.update(src for src, _ in used)
        assert [src for src, _ in used] == sorted(src for src, _ in used)  # in the order of the input
    # 600 expected each, standard deviation 20.5; five of them
    assert len(drawn) == 10
    assert all(abs(count - 600) < 103 for count in drawn.values())
    odd = [([], ["a"]), (["a"], []), (["a"] * 101, ["b"]), (["a"], ["b"])]
    used, seen, dropped = sample_pairs(odd, 0, 9, False)
    assert (used, seen, dropped) == ([("a", "b")], 4, {"empty side": 2, "more than 100 words": 1})
    monkeypatch.setattr(statistical, "MAX_CELLS", 25)
    used, seen, dropped = sample_pairs(((["a"] * 3, ["b"] * 3) for _ in range(5)), 0, 9, False)
    assert (len(used), seen, dropped) == (2, 5, {"beyond the memory for training": 3})


def test_odd_words_come_through(tmp_path: Path) -> None:
    odd = ["NULL", "a b", "|||", "\n", "\u2028", "x\0y", "👩‍🚀", "\ud800", "<s>", "", "0-0"]
    pairs = [([word], [word]) for word in odd] * 3 + [(odd, odd)] * 3
    train_statistical(pairs, tmp_path)
    (links,) = as_sets(statistical_recipe(tmp_path).open().link([odd], [odd]))
    assert {(i, i) for i in range(len(odd)) if odd[i] not in ("x\0y", "")} <= links


def test_empty_and_overlong_sentences(tmp_path: Path) -> None:
    src, tgt, _ = made_up(50, 5)
    train_statistical(zip(src, tgt, strict=True), tmp_path)
    linker = statistical_recipe(tmp_path).open()
    long = ["s1"] * (LONGEST + 30)
    linked = linker.link([[], ["s1"], long, ["s1"]], [["t1"], [], ["t1"], ["t1"]])
    assert [len(each.links) for each in linked.found[:2]] == [0, 0]
    assert linked.cut_words == 30
    assert linked.found[2].links[:, 0].max() < LONGEST
    assert as_sets(linked)[3] == {(0, 0)}
    assert linker.link([], []).found == []


def test_what_cannot_be_trained_or_opened_is_told(tmp_path: Path) -> None:
    pairs = [(["a"], ["b"])] * 4
    with pytest.raises(ConfigError, match="did you mean 'hmm'"):
        train_statistical(pairs, tmp_path, "hm")
    with pytest.raises(ConfigError, match="expected 1 or more"):
        train_statistical(pairs, tmp_path, max_pairs=0)
    with pytest.raises(DataError, match="1 empty side"):
        train_statistical([(["a"], [])], tmp_path)
    with pytest.raises(DataError, match="there are none"):
        train_statistical([], tmp_path)
    with pytest.raises(ArtifactError, match="not a statistical aligner"):
        statistical_recipe(tmp_path)
    train_statistical(pairs, tmp_path)
    with pytest.raises(ConfigError, match="did you mean 'grow-diag-final-and'"):
        statistical_recipe(tmp_path, "grow-diag-finaland")
    with pytest.raises(ConfigError, match="threshold = 2"):
        statistical_recipe(tmp_path, "posterior", 2)
    model, settings = tmp_path / "model.npz", tmp_path / SETTINGS
    data, text = model.read_bytes(), settings.read_text("utf-8")
    for bad in (data[: len(data) // 2], b"", data[:-9] + b"\xff" * 9):
        model.write_bytes(bad)
        with pytest.raises(ArtifactError, match=r"model\.npz is damaged"):
            statistical_recipe(tmp_path).open()
    model.unlink()
    with pytest.raises(ArtifactError, match=r"model\.npz is damaged"):
        statistical_recipe(tmp_path).open()
    model.write_bytes(data)
    for bad in ("{", "[]", "{}", text.replace('"format": 1', '"format": 9'), text.replace("stages", "phases")):
        settings.write_text(bad, "utf-8")
        with pytest.raises(ArtifactError, match=r"statistical\.json"):
            statistical_recipe(tmp_path)
    settings.write_text(text, "utf-8")
    assert len(statistical_recipe(tmp_path).open().link([["a"]], [["b"]]).found[0].links) == 1


def test_arrays_that_do_not_belong_together_are_told(tmp_path: Path) -> None:
    """Even with a digest that fits: a model comes from elsewhere."""
    train_statistical([(["a", "c"], ["b", "d"])] * 4, tmp_path)
    model, settings = tmp_path / "model.npz", tmp_path / SETTINGS
    with np.load(model, allow_pickle=False) as arrays:
        good = dict(arrays)
    for name, value in (
        ("keys", good["keys"] + 99), ("keys", good["keys"][::-1]), ("seen0", good["seen0"][:-1]),
        ("null1", good["null1"][:-1]), ("jumps0", good["jumps0"][:9]), ("ends0", good["ends0"][:-1]),
        ("keys", np.array([{"a": 1}], dtype=object)),
    ):  # fmt: skip
        np.savez(model, **{**good, name: value})
        record = json.loads(settings.read_text("utf-8"))
        record["sha256"] = hashlib.sha256(model.read_bytes()).hexdigest()
        settings.write_text(json.dumps(record), "utf-8")
        with pytest.raises(ArtifactError, match="is damaged"):
            statistical_recipe(tmp_path).open()


def test_no_torch() -> None:
    code = "import sys, xrealign.align.statistical, xrealign.align.external; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture
def train(tmp_path: Path):
    app = typer.Typer()
    app.command()(train_command)

    def run(*arguments: str | Path):
        return CliRunner().invoke(app, [*map(str, arguments), "-o", str(tmp_path / "model")])

    return run


def test_the_command_trains_and_says_what_it_used(train, tmp_path: Path) -> None:
    src, tgt, _ = made_up(80, 6)
    lines = [f"{' '.join(s)}\t{' '.join(t)}\n" for s, t in zip(src, tgt, strict=True)]
    path = tmp_path / "in.tsv"
    path.write_text("".join([*lines, "no tab\n"]), "utf-8")
    refused = train(path)
    assert isinstance(refused.exception, DataError)
    assert refused.exception.line == 81
    assert not (tmp_path / "model").exists()
    done = train(path, "--aligner", "hmm", "--lenient", "--max-pairs", "60", "--seed", "5", "--iterations", "3")
    assert done.exit_code == 0, done.output
    assert done.stdout == ""
    assert "60 of 80 pairs" in done.stderr
    assert "20 not drawn" in done.stderr
    settings = json.loads((tmp_path / "model" / SETTINGS).read_text("utf-8"))
    assert (settings["model"], settings["seed"], settings["stages"]) == ("hmm", 5, [["uniform", 3], ["jump", 3]])
    pairs = list(zip(src, tgt, strict=True))
    train_statistical(pairs, tmp_path / "other", "hmm", 5, 60, 3)
    assert (tmp_path / "other/model.npz").read_bytes() == (tmp_path / "model/model.npz").read_bytes()
    for arguments, message in (
        ((path, "--aligner", "ibm5", "--lenient"), "did you mean 'ibm1'"),
        ((tmp_path / "none.tsv",), "cannot be read|no such file"),
    ):
        failed = train(*arguments)
        assert isinstance(failed.exception, XrealignError)
        assert re.search(message, str(failed.exception), re.IGNORECASE)


def test_a_model_of_the_input_is_trained_once(tmp_path: Path) -> None:
    src, tgt, _ = made_up(40, 7)
    asked: list[int] = []

    def pairs():
        asked.append(1)
        return zip(src, tgt, strict=True)

    first = cached_model(pairs, "digest", tmp_path, "ibm1")
    assert cached_model(pairs, "digest", tmp_path, "ibm1") == first
    assert len(asked) == 1
    assert cached_model(pairs, "digest", tmp_path, "hmm") != first
    assert cached_model(pairs, "other", tmp_path, "ibm1") != first
    assert len(as_sets(statistical_recipe(first).open().link(src, tgt))) == 40
    with pytest.raises(DataError, match="no sentence pairs to train"):
        cached_model(list, "nothing", tmp_path)
    assert len(list((tmp_path / "aligner").iterdir())) == 3


@pytest.mark.data
def test_beats_the_diagonal_with_the_gold_text_alone(data_pack: Path, tmp_path: Path) -> None:
    path = data_pack / "starter" / "alignments" / "eng-fra.tsv"
    gold = read_gold(path)
    pairs = [tuple(cell.split(" ") for cell in line.split("\t")[:2]) for line in path.read_text("utf-8").splitlines()]
    train_statistical(pairs, tmp_path)
    linked = statistical_recipe(tmp_path).open().link(*(list(side) for side in zip(*pairs, strict=True)))
    found = float(measures(link_counts(gold, as_sets(linked)).sum(0, keepdims=True))[0, 3])
    assert found < 0.35  # the diagonal: 0.537

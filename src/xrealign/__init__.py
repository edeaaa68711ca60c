"""Realignment of multilingual encoders, from choosing languages to reports, verb by verb.

Importing this loads nothing heavy: the verbs live in submodules (`xrealign.select`, `xrealign.corpus`,
`xrealign.align`, `xrealign.train`, `xrealign.tasks`, `xrealign.measure`, `xrealign.report`).
"""

from xrealign._version import __version__

__all__ = ["__version__"]

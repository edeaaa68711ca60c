"""Time and memory of exact CSLS retrieval, both directions, among N × 384 vectors; no index, no approximation.

    python benchmarks/measure_speed.py [--count 20000] [--threads 2] [--strong] [--device cuda]
    python benchmarks/measure_speed.py --count 100000      # the size of the documents

Vectors are random: a meaning, noise on both sides, and a mean that all share, as encoders have (cosines of random pairs
about .5). Prints processor seconds (which do not mind neighbours), wall seconds, the share of the time that the bare
products would take at this machine's speed, and the most memory held beyond the vectors themselves.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--count", type=int, default=20_000, help="vectors on each side")
parser.add_argument("--width", type=int, default=384, help="D")
parser.add_argument("--threads", type=int, default=2, help="of the matrix products")
parser.add_argument("--strong", action="store_true", help="the anchor's own language too: three times the products")
parser.add_argument("--device", default="cpu", help="cpu (NumPy), or cuda (torch)")
options = parser.parse_args()
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):  # read when NumPy is imported
    os.environ[name] = str(options.threads)

import numpy as np  # noqa: E402

from xrealign.measure.translations import translation_hits  # noqa: E402


def vectors(count: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Both sides, (N, D) float32 each."""
    draw = np.random.default_rng(0)
    shared = draw.standard_normal(width, dtype=np.float32)
    meaning = draw.standard_normal((count, width), dtype=np.float32) + shared
    sides = [meaning + 1.9 * draw.standard_normal((count, width), dtype=np.float32) for _ in range(2)]
    return sides[0], sides[1]


def product_speed(width: int) -> float:
    """Floating point operations a processor second of one tile's product."""
    left, right = vectors(2048, width)[0], vectors(8192, width)[1]
    np.matmul(left, right.T)
    start = time.process_time()
    for _ in range(5):
        np.matmul(left, right.T)
    return 5 * 2 * 2048 * 8192 * width / (time.process_time() - start)


def on_device(src: np.ndarray, tgt: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same by torch, copies to and from the device counted."""
    import torch

    from xrealign.model.device_retrieval import device_hits

    sides = [torch.from_numpy(side).to(options.device) for side in (src, tgt)]
    forward, backward = device_hits(*sides, strong=options.strong, csls=True)
    return forward.cpu().numpy(), backward.cpu().numpy()


def main() -> None:
    """Measures once and prints a line of a Markdown table."""
    src, tgt = vectors(options.count, options.width)
    bare = (6 if options.strong else 2) * 2 * options.count**2 * options.width / product_speed(options.width)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu = time.perf_counter(), time.process_time()
    if options.device == "cpu":
        forward, backward = translation_hits(src, tgt, strong=options.strong, csls=True)
    else:
        forward, backward = on_device(src, tgt)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 2**10 if sys.platform != "darwin" else 2**20  # Linux counts in KiB
    print("| vectors a side | width | | found, % | CPU s | wall s | bare products, CPU s | memory beyond them, MiB |")
    print("|---:|---:|---|---:|---:|---:|---:|---:|")
    kind = "strong" if options.strong else "weak"
    found = 100 * (forward.mean() + backward.mean()) / 2
    print(
        f"| {options.count:,} | {options.width} | {kind} | {found:.1f} | {cpu:.0f} | {wall:.0f} | {bare:.0f} "
        f"| {(after - before) / unit:.0f} |"
    )


if __name__ == "__main__":
    main()

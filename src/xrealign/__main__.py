"""``python -m xrealign`` is ``xrealign``; torchrun starts it so: ``torchrun --nproc-per-node 2 -m xrealign run …``."""

from xrealign.cli import main

if __name__ == "__main__":
    main()

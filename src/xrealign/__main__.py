"""The command ``xrealign``, also as ``python -m xrealign``; torchrun starts it so: ``torchrun … -m xrealign run …``."""

import sys

PLAIN = {"--help", "--version", "doctor"}
"""What works whatever is installed beside xrealign, as far as it goes."""


def main() -> None:
    """Looks whether what is installed fits, in 30 ms, before anything of it is imported; then the command line."""
    if not PLAIN & set(sys.argv[1:]):
        from xrealign.errors import InstallationError
        from xrealign.requirements import check_requirements

        try:
            check_requirements()
        except InstallationError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)
    from xrealign.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()

"""`python -m hakoiri.cli` is `hakoiri`."""

from hakoiri.cli.main import run

if __name__ == "__main__":
    run()

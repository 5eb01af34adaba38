"""`python -m hakoiri.host`: the control plane, in an environment without credentials."""

from hakoiri.host.own_environment import drop_credentials


def run() -> None:
    """Drop what must not be held, then load the server and run it."""
    drop_credentials("hakoiri serve")
    from hakoiri.host.main import main  # noqa: PLC0415 - loads all of the server

    main()


if __name__ == "__main__":
    run()

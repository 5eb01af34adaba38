"""Where the stores are when the settings do not say: in the data directory."""

from hakoiri.host.settings import Settings


def database_url(settings: Settings) -> str:
    """Return the database's URL: the one set, or SQLite in the data directory."""
    return settings.database_url or f"sqlite:///{settings.data_dir / 'hakoiri.sqlite'}"


def object_store_url(settings: Settings) -> str:
    """Return the object store's URL: the one set, or a directory in the data directory."""
    return settings.object_store_url or f"file://{settings.data_dir / 'objects'}"

"""Sizes as people read them."""


def shown_size(size_bytes: int) -> str:
    """Return a number of bytes in the largest unit that it fills, as `1.5 KiB`."""
    value = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":  # noqa: PLR2004 - of a KiB
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"

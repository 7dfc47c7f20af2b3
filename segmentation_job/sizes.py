"""Sizes of files as people read them."""


def in_words(size: int) -> str:
    """Return bytes in the largest unit that leaves a number of one or more: 512 B, 1.5 MB."""
    if size < 1000:
        return f"{size} B"
    value = float(size)
    for unit in ("kB", "MB"):
        value /= 1000
        if value < 1000:
            return f"{value:.1f} {unit}"
    return f"{value / 1000:.1f} GB"

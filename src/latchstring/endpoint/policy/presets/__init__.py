"""Policies to begin with, for products that customers run."""

from pathlib import Path
from typing import Final

PRESETS: Final = ("asterisk", "freepbx", "freeswitch")


def preset_text(name: str) -> str:
    """Return the text of a preset.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in PRESETS:
        raise ValueError(f"there is no preset {name[:40]!r}; there are {', '.join(PRESETS)}")
    return (Path(__file__).parent / f"{name}.toml").read_text(encoding="utf-8")

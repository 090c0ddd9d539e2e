"""Finds the third-party test vectors, which are not part of the project.

They lie in the folder that ``LATCH_VECTORS`` names, else in ``../shared/vectors`` as seen from the repository. Tests
that need them carry :data:`needs_vectors`, and skip where they are not.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(os.environ.get("LATCH_VECTORS") or Path(__file__).parents[2] / "shared" / "vectors")

needs_vectors = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"third-party vectors are not in {FOLDER}; set LATCH_VECTORS to where they are"
)


def load_vectors(path: str) -> Any:
    """Return the JSON document at ``path`` in the vectors' folder."""
    return json.loads((FOLDER / path).read_bytes())


def vector_files(pattern: str) -> list[str]:
    """Return the paths in the vectors' folder that match ``pattern``; none where the folder is absent."""
    return sorted(str(path.relative_to(FOLDER)) for path in FOLDER.glob(pattern))

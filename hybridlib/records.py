"""Published results: the records that came with this version of the library, written by its recipes and benchmarks.

A record says how to get it (command, seeds, settings, data), where it is from (date, hardware, versions) and what was
found. benchmarks/README.md explains its layout.
"""

import json
from pathlib import Path

RESULTS = Path(__file__).parent / "results"  # in the package, so that chapters have them wherever they run


def published(name: str) -> dict:
    """The record of a recipe, or of a benchmark such as "made_speed", that came with this version of the library."""
    known = {found.stem: found for found in RESULTS.glob("*.json")}
    if name not in known:
        raise ValueError(f"there is no record {name!r}; there are {', '.join(sorted(known))}")
    return json.loads(known[name].read_text())

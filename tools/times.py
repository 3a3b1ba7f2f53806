"""Print how long each notebook took when it was last executed, from the notebook cache."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def seconds() -> dict[str, float]:
    """Notebook name -> seconds of its latest execution."""
    with closing(sqlite3.connect(ROOT / "_build/.jupyter_cache/global.db")) as database:
        rows = database.execute("select uri, data from nbcache order by created").fetchall()
    times = {Path(uri): json.loads(data)["execution_seconds"] for uri, data in rows}
    return {path.stem: time for path, time in times.items() if path.exists()}


if __name__ == "__main__":
    times = seconds()
    for name, time in times.items():
        print(f"{time:7.1f} s  {name}")
    print(f"{sum(times.values()):7.1f} s  to execute the notebooks, when they last were")

"""Execute the notebooks that the cache does not know, as many side by side as there are cores.

The build would execute them one after the other. If one stops with an error, which is printed, the build stops too.
"""

import logging
import os
import sys
from pathlib import Path

import yaml
from first_cells import notebooks
from jupyter_cache import get_cache
from jupyter_cache.executors import load_executor

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    cache = get_cache(ROOT / "_build" / ".jupyter_cache")
    for path in notebooks():
        cache.add_nb_to_project(str(path))
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # a notebook for each core: more threads would only wait
    timeout = yaml.safe_load((ROOT / "_config.yml").read_text())["execute"]["timeout"]  # seconds a cell
    logger = logging.getLogger(__name__)
    result = load_executor("local-parallel", cache, logger=logger).run_and_cache(timeout=timeout)
    if result.excepted:
        sys.exit("stopped with an error, see above: " + ", ".join(result.excepted))


if __name__ == "__main__":
    main()

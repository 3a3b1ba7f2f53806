"""The command line of the recipes."""

import json
import sys
from pathlib import Path

from ..records import RESULTS
from . import FOLDER, RECIPES


def main(name: str = "", *options: str) -> None:
    """Run one recipe, with options such as epochs=10, folder=PATH, and out=FOLDER for NAME.json, its record.

    The published records are rewritten by out=hybridlib/results alone.
    """
    recipes = {recipe.__name__: recipe for recipe in RECIPES}
    if name not in recipes:
        raise SystemExit(f"there is no recipe {name!r}; choose one of {', '.join(recipes)}")
    for option in options:
        if "=" not in option:
            raise SystemExit(f"{option!r} sets nothing; write epochs=10 or folder=PATH")
    settings = dict(option.split("=", 1) for option in options)
    folder, out = settings.pop("folder", FOLDER), settings.pop("out", None)
    path = Path(out or ".").expanduser().resolve() / f"{name}.json"
    if out is None and path.parent == RESULTS.resolve():
        raise SystemExit(f"{path} is the published record; name a folder with out=, this one (out=.) to replace it")
    path.parent.mkdir(parents=True, exist_ok=True)  # before an hour of training, not after it
    try:
        arguments = {key: json.loads(value) for key, value in settings.items()}
    except json.JSONDecodeError:
        raise SystemExit(f'{" ".join(options)}: values are JSON, such as 10, 0.5, true or "flow" in quotes') from None
    _, record = recipes[name](folder=folder, **arguments)
    record["command"] = " ".join([record["command"], *(f"{key}={value}" for key, value in settings.items())])
    path.write_text(json.dumps(record, indent=1) + "\n")
    test = record.get("test")
    print(f"{name}: test {test['nll']:.3f} +- {test['se']:.3f} nats; wrote {path}" if test else f"{name}: wrote {path}")


if __name__ == "__main__":
    main(*sys.argv[1:])

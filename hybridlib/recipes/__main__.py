"""The command line of the recipes."""

import argparse
import math
from collections.abc import Callable
from pathlib import Path

from .. import datasets, records
from ..graphaf import READINGS
from . import RECIPES, RUNS, Recipe, run

PROGRAM = "python -m hybridlib.recipes"
EXAMPLES = f"""
examples:
  {PROGRAM} nltcs             # four minutes; writes nltcs.json here
  {PROGRAM} nltcs --help      # what can be set, and what it is otherwise
  {PROGRAM} static_mnist --epochs 10 --folder runs --out results

An interrupted run goes on where it was when the same command is given again. On a GPU the same command uses it.
"""


def checked(kind: type, fits: Callable, told: str) -> Callable:
    """A parser of one value, which says what is wanted where a value does not fit."""

    def parse(text: str):
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not fits(value):
            raise argparse.ArgumentTypeError(f"{text!r} is not {told}")
        return value

    return parse


count = checked(int, lambda value: value >= 1, "a whole number, at least 1")
rate = checked(float, lambda value: 0 < value < math.inf, "a positive number, such as 0.001")
part = checked(float, lambda value: 0 <= value < 1, "a number from 0, and below 1")
width = checked(float, lambda value: 0 < value <= 1, "a number above 0, at most 1")
way = checked(int, lambda value: 0 <= value < 8, "a way to read a page: 0 to 7")

# option -> what it takes, and what it means
OPTIONS = {
    "hidden": (count, "units of each hidden layer"),
    "epochs": (count, "passes through the rows of an epoch"),
    "lr": (rate, "learning rate of the first step; it falls to zero"),
    "dropout": (part, "share of hidden units that every training step leaves out"),
    "residual": (bool, "later hidden layers add to the one before"),
    "box": (bool, "a part of every pixel's density is flat on the cell of level 0"),
    "connectivity": (bool, "every order deals the degrees of hidden units out anew"),
    "members": (count, "networks in the mixture"),
    "masks": (count, "random orders of each network"),
    "reads": (way, "ways to read the page, 0 to 7, a network each"),
    "sharpen": (bool, "multiply all logits by a number that is chosen on the validation rows"),
    "channels": (count, "channels of the convolutions"),
    "blocks": (count, "residual blocks of encoder and decoder"),
    "Z": (count, "latent variables"),
    "samples": (count, "samples that are drawn: of molecules, or of noise or latent variables in the final bound"),
    "k": (count, "pixels of a symbol"),
    "width": (count, "features of a symbol"),
    "layers": (count, "layers of the network"),
    "heads": (count, "heads of attention; they divide the width"),
    "rows": (count, "training rows of an epoch, drawn anew in each"),
    "K": (count, "logistics in the mixture of each pixel"),
    "reading": (READINGS, "what a decision is"),
    "w": (width, "width of the uniform noise"),
    "masked": (bool, "valences inside the likelihood"),
    "neutral": (bool, "charged atoms become neutral ones, before training and in all results"),
    "H": (count, "features of an atom"),
    "seeds": (count, "trainings of each model"),
    "n": (count, "atoms of the largest molecules; more than 6 take long to enumerate"),
    "names": (tuple(datasets.GRAPHS), "sets of molecules"),
}


def parser() -> argparse.ArgumentParser:
    """The parser: a command for each recipe, with the options of that recipe."""
    outer = argparse.ArgumentParser(
        prog=PROGRAM, description="Train a published model anew and write its record.", epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    commands = outer.add_subparsers(title="recipes (minutes on one core)", dest="name", metavar="NAME")
    commands.add_parser("list", help="show this")
    for name, recipe in RECIPES.items():
        line = f"{recipe.about} ({recipe.minutes} min)"
        inner = commands.add_parser(
            name, help=line, description=line, argument_default=argparse.SUPPRESS, allow_abbrev=False
        )
        inner.add_argument("--folder", type=Path, default=RUNS, help=f"finished models are kept here ({RUNS})")
        inner.add_argument("--out", type=Path, default=None, help="where the record goes (the current folder)")
        _add_options(inner, recipe)
    return outer


def _add_options(parser: argparse.ArgumentParser, recipe: Recipe) -> None:
    for option, default in recipe.options().items():
        takes, told = OPTIONS[option]
        several = isinstance(default, tuple)
        shown = " ".join(map(str, default)) or "none" if several else default
        arguments = {"help": f"{told} ({shown})"}
        if takes is bool:
            arguments["action"] = argparse.BooleanOptionalAction
        elif isinstance(takes, tuple):
            arguments["choices"] = takes
        else:
            arguments |= {"type": takes, "metavar": "N"}
        parser.add_argument(f"--{option}", **arguments, **({"nargs": "*"} if several else {}))


def main(arguments: list[str] | None = None) -> None:
    """Run the recipe that the arguments name, those of the command line unless given, and write its record.

    The published records are rewritten by --out hybridlib/results alone.
    """
    outer = parser()
    changes = vars(outer.parse_args(arguments))
    name = changes.pop("name")
    if name in (None, "list"):
        outer.print_help()
        return
    folder, out = changes.pop("folder"), changes.pop("out")
    path = (out or Path()).expanduser().resolve() / f"{name}.json"
    if out is None and path.parent == records.RESULTS.resolve():
        outer.error(f"{path} is the published record; name a folder with --out, this one (--out .) to replace it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)  # before an hour of training, not after it
    except OSError as error:
        outer.error(f"--out {out} can be no folder: {error}")
    changes = {option: tuple(value) if isinstance(value, list) else value for option, value in changes.items()}
    _, record = run(name, folder=folder, **changes)
    records.write(record, path)
    test = record.get("test")
    print(f"{name}: test {test['nll']:.3f} +- {test['se']:.3f} nats; wrote {path}" if test else f"{name}: wrote {path}")


if __name__ == "__main__":
    main()

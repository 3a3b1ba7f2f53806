"""The command line of the teaching kit."""

import argparse
import sys
from pathlib import Path

from . import lms

PROGRAM = "python -m hybridlib.teach"
EXAMPLES = """
Run it at the top of a clone of the book.
"""


def parser() -> argparse.ArgumentParser:
    """The parser: a command for each thing that a teacher does, and for each format under `export`."""
    outer = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Assignments, grading and exports for a course with this book. Nothing leaves your machine.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = outer.add_subparsers(metavar="COMMAND", required=True)
    export = commands.add_parser("export", help="files for other systems")
    formats = export.add_subparsers(metavar="FORMAT", required=True)
    for kind, words in {"gift": "all quizzes for Moodle", "qti": "all quizzes as a package of QTI 1.2"}.items():
        quizzes = formats.add_parser(kind, help=words)
        quizzes.add_argument("--out", metavar="DIR", type=Path, required=True, help="where the file goes")
        quizzes.set_defaults(run=lambda given, kind=kind: print(lms.export_quizzes(kind, given.out, Path.cwd())))
    # a format is three lines: a parser, its arguments, and a function of them as `run`
    otter = formats.add_parser("otter", help="an assignment for Otter-Grader")
    otter.add_argument("set", metavar="SET", help="a set of teach/assignments.yml")
    otter.set_defaults(run=lambda arguments: sys.exit("export otter is not written yet"))
    return outer


def main() -> None:
    """Run a command; what is wrong with its input is one line."""
    arguments = parser().parse_args()
    try:
        arguments.run(arguments)
    except (ValueError, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()

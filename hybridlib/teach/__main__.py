"""The command line of the teaching kit."""

import argparse
import os
import sys
from pathlib import Path

from . import lms
from .handouts import withhold, write_handouts
from .otter import export_otter
from .sets import assignment, assignments

PROGRAM = "python -m hybridlib.teach"
EXAMPLES = f"""
a term, at the top of a clone of your fork:
  {PROGRAM} build                                     # notebooks and rubrics of all sets: _build/teach/assignments
  {PROGRAM} withhold made                             # on the term's branch: no solutions of this set in the chapters
  {PROGRAM} grade made submissions --seed 8513 --out grades
  {PROGRAM} export otter made --out otter             # for a course that has Otter-Grader

The sets are those of teach/assignments.yml; the page "Hand out and grade" of the book says more.
"""
SECONDS = 20  # of a processor for each answer


def parser() -> argparse.ArgumentParser:
    """The parser: a command for each thing that a teacher does, and for each format under `export`."""
    plain = argparse.RawDescriptionHelpFormatter
    outer = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Assignments, grading and exports for a course with this book. Nothing leaves your machine.",
        epilog=EXAMPLES,
        formatter_class=plain,
    )
    commands = outer.add_subparsers(metavar="COMMAND", required=True)

    build = commands.add_parser("build", help="hand-outs: student.ipynb, instructor.ipynb and rubric.md for each set")
    build.add_argument("sets", nargs="*", metavar="SET", help="default: all")
    build.add_argument("--out", type=Path, default=Path("_build/teach/assignments"), help="folder, default %(default)s")
    build.add_argument("--seconds", type=int, default=SECONDS, help="processor time that the text promises an answer")
    build.set_defaults(run=_build)

    grades = commands.add_parser("grade", help="judge a folder of submissions: grades.csv and a page for each student")
    grades.add_argument("set", metavar="SET")
    grades.add_argument("submissions", type=Path, help="folder with a notebook, or a folder with one, for each student")
    grades.add_argument("--seed", type=int, required=True, help="your own number: sizes and data are drawn with it")
    grades.add_argument("--out", type=Path, required=True, help="folder that is made: grades.csv, STUDENT.html")
    grades.add_argument("--seconds", type=int, default=SECONDS, help="processor time of an answer, default %(default)s")
    grades.add_argument("--extra", type=Path, metavar="FILE.py", help='properties = {"made ex3": [function, ...]}')
    grades.set_defaults(run=_grade)

    without = commands.add_parser("withhold", help="take solutions and hints of sets out of this branch's chapters")
    without.add_argument("sets", nargs="+", metavar="SET")
    without.set_defaults(run=_withhold)

    export = commands.add_parser("export", help="files for other systems")
    formats = export.add_subparsers(metavar="FORMAT", required=True)
    for kind, words in {"gift": "all quizzes for Moodle", "qti": "all quizzes as a package of QTI 1.2"}.items():
        quizzes = formats.add_parser(kind, help=words)
        quizzes.add_argument("--out", metavar="DIR", type=Path, required=True, help="where the file goes")
        quizzes.set_defaults(run=lambda given, kind=kind: print(lms.export_quizzes(kind, given.out, Path.cwd())))
    # a format is three lines: a parser, its arguments, and a function of them as `run`
    otter = formats.add_parser("otter", help="a set for Otter-Grader: a notebook for `otter assign` for each chapter")
    otter.add_argument("set", metavar="SET")
    otter.add_argument("--out", metavar="DIR", type=Path, required=True, help="where the notebooks go")
    otter.set_defaults(run=_otter)
    return outer


def _build(arguments):
    for chosen in [assignment(name) for name in arguments.sets] or assignments().values():
        if chosen.withheld and not arguments.sets:
            print(f"{chosen.name}: left out, its solutions are withheld on this branch")
            continue
        for path in write_handouts(chosen, arguments.out, arguments.seconds):
            print(path)


def _otter(arguments):
    for path in export_otter(assignment(arguments.set), arguments.out):
        print(path)


def _grade(arguments):
    if os.name == "nt":
        raise ValueError("grading needs limits that Windows does not have: run it inside WSL")
    from .grading import grade

    chosen = assignment(arguments.set)
    limits = {"seed": arguments.seed, "seconds": arguments.seconds, "extra": arguments.extra}
    print(grade(chosen, arguments.submissions, arguments.out, **limits))


def _withhold(arguments):
    changed = withhold([assignment(name) for name in arguments.sets])
    print("\n".join(f"changed: {path}" for path in changed) or "nothing to withhold: it was done before")


def main() -> None:
    """Run a command; what is wrong with its input is one line."""
    arguments = parser().parse_args()
    try:
        arguments.run(arguments)
    except (ValueError, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()

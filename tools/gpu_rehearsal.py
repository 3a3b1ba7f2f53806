"""Rehearse the book on a pretend GPU: README and every chapter from top to bottom, where there is no card.

    python tools/gpu_rehearsal.py [--full] [flows graphaf ...]      also: make gpu-rehearsal FULL=--full CHAPTERS=flows

Trainings are cut short, and asserts about what they reach excused, unless --full is given. What can fail is what fails
on a card: tensors of two devices that meet, and all that stops a cell. Ends with 1 if a cell failed.
"""

import argparse
import os
import sys

import chapters


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="chapter", help="README or the name of a notebook; all if none")
    parser.add_argument("--full", action="store_true", help="train as long as the chapters say, and hold the asserts")
    arguments = parser.parse_args()
    paths = [path for path in chapters.chapters() if path.stem in arguments.names or not arguments.names]
    options, limit = (["--pretend"], 4 * 3600) if arguments.full else (["--pretend", "--short"], 1200)
    print(f"{'chapter':24} {'cells':>5} {'CPU s':>7} {'missed':>6}  failed", flush=True)
    total, failed = 0.0, []
    one_thread = {"OMP_NUM_THREADS": "1"}
    for result in chapters.reports(paths, *options, limit=limit, jobs=os.cpu_count(), environment=one_thread):
        numbers = ", ".join(str(entry["cell"]) for entry in result["errors"]) or "-"
        start = f"{result['chapter']:24} {result['cells']:5} {result['cpu_seconds']:7}"
        print(f"{start} {len(result['missed']):6}  {numbers}", flush=True)
        total += result["cpu_seconds"]
        failed += chapters.failures(result)
    print(f"{total:.0f} CPU seconds", *failed, sep="\n")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()

"""Judge answers, each in a process of its own that has limits, no network, and nothing of the student before.

The grader starts one process for each notebook, `serve`. It runs the cells that exercises need twice: one copy of their
names is for the answers, the other for the checks, so that what an answer does to its data does not reach those of the
check. For every answer it forks; the child judges, and tells a verdict with a word that the answer cannot know.
"""

import ast
import contextlib
import ctypes
import json
import linecache
import os
import resource
import secrets
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from functools import partial
from pathlib import Path

import torch

from ..page import exercise as feedback
from .seeds import shift
from .sets import as_answer, assignment, call_of, with_those_before
from .tampering import TamperedError, guarded, refuse, sealed, trusted_modules

ANSWER = "<answer>"
MOST = 1_000_000  # bytes of a verdict
FILE_SIZE = 10_000_000  # bytes of a file that an answer writes
NEW_USER, NEW_PROCESSES, NEW_NETWORK, DIE_WITH_PARENT = 0x10000000, 0x20000000, 0x40000000, 1  # of Linux


def ask(job: dict) -> list[dict]:
    """The verdicts on the answers of a job, from a process of their own with a clean environment; see `serve`.

    ValueError for what is wrong with the kit, such as a seed for which its own solution fails.

    >>> ask.__name__
    'ask'
    """
    kept = {
        name: os.environ[name] for name in ("PATH", "HOME", "HYBRIDLIB_DATA", "LD_LIBRARY_PATH") if name in os.environ
    }
    quiet = {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1", "MPLBACKEND": "agg", "LANG": "C.UTF-8"}
    where = {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-P", "-c", "from hybridlib.teach.sandbox import serve; serve()"]
    done = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, env=kept | quiet | where)
    if done.returncode != 0:
        raise ValueError(f"{job['notebook']} cannot be prepared: {done.stderr.strip().splitlines()[-1]}")
    verdicts = json.loads(done.stdout)
    if isinstance(verdicts, dict):
        raise ValueError(verdicts["error"])
    return verdicts


def serve() -> None:
    """Read a job from stdin and write its verdicts to stdout, both as JSON: the process that `grading` starts.

    A job has the name of its set, its notebook, seed, extra properties, limits (seconds of the processor, bytes), and
    answers: {"exercise": "ex3", "codes": [source, ...]}. A verdict has outcomes, as `exercise.check` gives them, a
    remark, seconds, and whether the kernel kept the answer off the network; an error of the kit is {"error": text}.

    >>> serve.__module__
    'hybridlib.teach.sandbox'
    """
    job, out = json.load(sys.stdin), os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what the needed cells print
    torch.set_num_threads(1)
    try:
        verdicts = _verdicts(job)
    except ValueError as error:
        verdicts = {"error": str(error)}
    json.dump(verdicts, out)
    out.close()


def _verdicts(job):
    """All answers of a job -> list of verdicts."""
    graded = [one for one in assignment(job["set"]).exercises if str(one.notebook) == job["notebook"]]
    exercises = {one.name: one for one in graded if not one.is_open}
    needed = {name for one in graded for name in one.given}
    shift(job["seed"])
    torch.manual_seed(0)  # shifted, too: for what draws from the global generator
    cells = [(name, graded[0].given_code(name)) for name in graded[0].cells if name in needed]
    given, trusted = ({"__name__": "__main__"} for _ in range(2))
    for names in (given, trusted):
        for name, code in cells:
            exec(compile(code, f"<{name}>", "exec"), names)
    _first_step()
    work = {name: partial(_judged, one, given, trusted, job["extra"]) for name, one in exercises.items()}
    for name, one in exercises.items():  # imports what is imported late, once for all
        outcomes = work[name](with_those_before(one, graded, as_answer))
        if wrong := [told for told in outcomes if told[1] != feedback.PASSED]:
            raise ValueError(f"{one.title}: with this seed the kit's own solution fails: {wrong[0]}")
    seals = _seals()  # once for all: looking at a thousand modules takes longer than most answers
    return [_in_a_child(partial(work[row["exercise"]], row["codes"], seals), job) for row in job["answers"]]


def _first_step():
    """PyTorch imports hundreds of modules with its first optimizer: an answer that trains must not seem to tamper."""
    weight = torch.zeros(1, requires_grad=True)
    weight.sum().backward()
    torch.optim.Adam([weight]).step()


def _judged(exercise, given, trusted, extra, codes, seals=()):
    """The outcomes of an exercise's check on the last of some cells of a student: [[property, verdict, message], ...].

    The names for the answer (given) and for the check (trusted) come from two runs of the needed cells. ``seals`` are
    what `_seals` gives; none for the kit's own answers.
    """
    theirs, ours = dict(given), dict(trusted)
    for names in (theirs, ours):  # a stub may define more than it asks for
        exec(compile(exercise.part("stub"), "<stub>", "exec"), names)
    before, answer, properties = call_of(exercise.part("check"))
    exec(compile(ast.Module(before, []), "<check>", "exec"), ours)
    properties = [*_value(properties, ours)]
    if extra:
        exec(compile(extra, "<extra>", "exec"), ours)
        properties += ours["properties"].get(exercise.title, [])
    own = sealed(ours, [])
    verify, verify_often = (partial(_in_turn, seal, own) for seal in seals or (lambda: None, lambda: None))
    for code in codes:
        linecache.cache[ANSWER] = len(code), None, code.splitlines(keepends=True), ANSWER
        try:
            exec(compile(code, ANSWER, "exec"), theirs)
        except BaseException as error:  # of the student, sys.exit too
            where = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == ANSWER]
            line = error.lineno if isinstance(error, SyntaxError) else where[-1] if where else "?"
            return _failed("the cell runs", f"{type(error).__name__}: {error}, line {line}")
    verify()
    names = exercise.asked
    if missing := [name for name in names if name not in theirs]:
        return _failed("the cell runs", f"it no longer defines {', '.join(missing)}")
    found = guarded(_value(answer, {name: theirs[name] for name in names}), verify_often, ANSWER)
    outcomes = []
    for prop in properties:
        outcomes += feedback.check(found, [prop]).outcomes
        verify()
    return [[*told] for told in outcomes]


def _seals():
    """What verifies all modules, after each property, and what verifies the most used, after each call."""
    modules = trusted_modules()
    often = [module for module in modules if module.__name__ in ("builtins", "math", "torch", feedback.__name__)]
    return sealed({}, modules), sealed({}, [*often, sys.modules["torch._tensor"]])


def _in_turn(first, second):
    first()
    second()


def _value(expression, names):
    return eval(compile(ast.Expression(expression), "<check>", "eval"), names)


def _failed(what, said):
    return [[what, feedback.FAILED, said[: feedback.MOST_SAID]]]


def _in_a_child(work, job):
    """Do some work in a process of its own -> verdict: {outcomes, remark, seconds, isolated}."""
    word = secrets.token_hex(16)
    reader, writer = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        begun = time.monotonic()
        pid = os.fork()
        if pid == 0:
            _child(work, job, os.path.realpath(scratch), writer, word.encode())
        os.close(writer)
        clock = 10 * job["seconds"] + 60  # for those who wait for what never comes
        said = _read(reader, begun + clock, word.encode())
        for kill, target in ((os.killpg, pid), (os.kill, pid)):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(target, signal.SIGKILL)
        _, _, used = os.wait4(pid, 0)
    seconds = used.ru_utime + used.ru_stime
    if said.startswith(word.encode()) and said.endswith(word.encode()):
        return json.loads(said[len(word) : -len(word)]) | {"seconds": seconds}
    if said:
        remark, why = "it wrote where only the grader writes", "its verdict was forged"
    elif seconds >= job["seconds"]:
        remark, why = "", f"it took more than {job['seconds']} seconds of the processor: an endless loop?"
    elif time.monotonic() - begun >= clock:
        remark, why = "", f"it did not end within {clock} seconds"
    else:
        remark, why = "its process ended before the check did", "the process ended: was it told to, or out of memory?"
    return {"outcomes": _failed("the check comes to an end", why), "remark": remark, "seconds": seconds}


def _read(reader, deadline, word):
    """What a child says until its last word, its end, or the deadline -> bytes."""
    said = b""
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        while len(said) < MOST and not (len(said) > len(word) and said.endswith(word)):
            if not select.select([pipe], [], [], max(0, deadline - time.monotonic()))[0]:
                break
            if not (more := pipe.read(65536)):
                break
            said += more
    return said


def _child(work, job, scratch, writer, word):
    """The life of a child: away from the network, inside its limits, with nothing but its work and one pipe."""
    try:
        os.setsid()
        isolated = _isolate(writer)
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        os.closerange(3, writer)
        os.closerange(writer + 1, 65536)
        os.chdir(scratch)
        os.environ.clear()
        os.environ.update(HOME=scratch, TMPDIR=scratch, LANG="C.UTF-8")
        _limit(job["seconds"], job["bytes"])
        readable = [sys.prefix, sys.base_prefix, str(Path(__file__).parents[1]), "/usr/share", "/etc/localtime"]
        tried = refuse(scratch, readable, ANSWER)
        try:
            outcomes, remark = work(), ""
        except TamperedError as error:
            outcomes, remark = _failed("nothing of the check is replaced", str(error)), str(error)
        except BaseException as error:  # that a check lets through, such as KeyboardInterrupt
            outcomes, remark = _failed("the check comes to an end", f"{type(error).__name__}: {error}"), ""
        remark = "; ".join([*filter(None, [remark]), *(f"tried {what}" for what in dict.fromkeys(tried[:5]))])
        verdict = json.dumps({"outcomes": outcomes, "remark": remark, "isolated": isolated}).encode()
        said = word + verdict + word
        while said:
            said = said[os.write(writer, said) :]
    finally:
        os._exit(0)


def _isolate(writer):
    """Leave the network and all other processes behind, where the kernel lets one -> whether it did."""
    if sys.platform != "linux":
        return False
    kernel = ctypes.CDLL(None)
    if kernel.unshare(NEW_USER | NEW_NETWORK | NEW_PROCESSES) != 0:
        return False
    if inner := os.fork():  # the first process of the new namespace; with it all others end
        os.close(writer)
        os.waitpid(inner, 0)
        os._exit(0)
    kernel.prctl(DIE_WITH_PARENT, signal.SIGKILL)
    return True


def _limit(seconds, size):
    """Processor time, memory beyond what is there, files, processes of this process."""
    limits = {resource.RLIMIT_CPU: seconds, resource.RLIMIT_FSIZE: FILE_SIZE, resource.RLIMIT_CORE: 0}
    if sys.platform == "linux":
        there = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        limits |= {resource.RLIMIT_AS: there + size, resource.RLIMIT_NPROC: 0}
    for limit, value in limits.items():
        resource.setrlimit(limit, (value, value + (limit == resource.RLIMIT_CPU)))

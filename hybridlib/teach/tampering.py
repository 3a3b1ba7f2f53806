"""What keeps an answer from grading itself: names that must not change, and calls that are refused.

An answer runs in one process with the check that judges it, so Python alone cannot hold back everything. Three things
stand in the way: `sealed` finds what was replaced, in modules, in their classes and in the names of the check;
`refuse` denies what an exercise never needs, with Python's audit hooks, which nothing can take out again; and `SUSPECT`
are words in an answer that a teacher should look at.
"""

import _thread
import builtins
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable
from types import FunctionType, ModuleType
from typing import Any

import torch

SUSPECT = re.compile(
    r"__(globals|closure|code|builtins|subclasses|wrapped|torch_function)__|_getframe|currentframe|f_back|settrace"
    r"|\bgc\b|\bctypes\b|\bsetattr\b|\bsubprocess\b|\bsocket\b|\bos\b|\bsys\b|\b_exit\b|\bhybridlib\.teach\b"
)
TRUSTED = ("builtins", "functools", "inspect", "dis", "json", "math", "os", "traceback", "hybridlib", "torch")
REFUSED = {
    *("os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "subprocess.Popen", "pty.spawn"),
    *("os.kill", "os.killpg", "signal.pthread_kill", "resource.setrlimit", "resource.prlimit", "mmap.__new__"),
    *("os.chmod", "os.chown", "os.link", "os.rename", "os.symlink", "os.putenv", "os.unsetenv"),
    *("sys.addaudithook", "sys.settrace", "sys.setprofile", "sys._current_frames", "sys._current_exceptions"),
    *("gc.get_objects", "gc.get_referrers", "gc.get_referents"),
}
REFUSED_KINDS = ("socket.", "ctypes.", "urllib.", "http.", "ftplib.", "smtplib.")
ATTRIBUTES = {"object.__getattr__", "object.__setattr__", "object.__delattr__"}  # of code and frames
ONLY_OURS = ATTRIBUTES | {"sys._getframe", "compile", "exec", "code.__new__", "function.__new__"}
PATHS = {"open", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.listdir", "os.scandir"}
LOOK_FOR_OTHERS = ("inspect.py", "traceback.py")  # at frames


class TamperedError(BaseException):
    """An answer changed what judges it. No `except Exception` of a check may catch it.

    >>> TamperedError("it replaced torch.allclose").args
    ('it replaced torch.allclose',)
    """


def sealed(names: dict[str, Any], modules: Iterable[ModuleType]) -> Callable[[], None]:
    """Remember what modules, their classes and some names hold -> a function that raises TamperedError if it changed.

    What counts are functions, classes, modules and tensors: counters, caches and new names may come and go.

    >>> import hybridlib.page.exercise as exercise
    >>> verify, same = sealed({}, [exercise]), exercise.same
    >>> exercise.same = print
    >>> verify()
    Traceback (most recent call last):
    hybridlib.teach.tampering.TamperedError: it replaced hybridlib.page.exercise.same
    >>> exercise.same = same
    >>> verify()
    """
    spaces = [("the check's", names, ())]  # who, names and values, names that may not be added
    for module in modules:
        spaces.append((module.__name__, vars(module), {*dir(builtins)}))  # they would hide Python's own
        for name, value in [*vars(module).items()]:
            if isinstance(value, type) and value.__module__ == module.__name__:
                spaces.append((f"{module.__name__}.{name}", vars(value), {*dir(value)}))
            elif type(value) is dict and not name.startswith("__"):
                spaces.append((f"{module.__name__}.{name}", value, ()))
    held, tensors, sizes = [], [], []
    for owner, space, hidden in spaces:
        sizes.append((space, len(space), frozenset(hidden) - space.keys(), owner))
        for name, value in [*space.items()]:
            if callable(value) or isinstance(value, ModuleType | property | staticmethod | classmethod):
                held.append((space, type(space) is dict, name, value, f"{owner}.{name}"))
            elif type(value) is torch.Tensor and owner.startswith("hybridlib"):
                tensors.append((value, value.clone(), f"{owner}.{name}"))
    held, tensors, sizes, error, equal, count = (
        tuple(held),
        tuple(tensors),
        tuple(sizes),
        TamperedError,
        torch.equal,
        len,
    )

    def verify():  # only syntax and what is bound here: nothing of it can be replaced
        found = None
        for space, writable, name, value, told in held:
            if space.get(name) is not value:
                found = f"it replaced {told}"
                if writable:  # so that what follows can be trusted
                    space[name] = value
        for space, size, hidden, owner in sizes:
            if count(space) != size:
                for name in (*space,):
                    if name in hidden:
                        found = f"it replaced {owner}.{name}"
        for value, before, told in tensors:
            if not equal(value, before):
                found = f"it changed {told}"
        if found is not None:
            raise error(found)

    return verify


def trusted_modules() -> list[ModuleType]:
    """The imported modules on which checks stand, in the order of their names.

    >>> "torch.functional" in [module.__name__ for module in trusted_modules()]
    True
    """
    names = sorted(name for name in sys.modules if name.split(".")[0] in TRUSTED)
    return [module for name in names if type(module := sys.modules[name]) is ModuleType]


def guarded(answer: object, verify: Callable[[], None], file: str) -> object:
    """An answer whose functions are followed by `verify`, and may not return things that compare as they like.

    ``file`` is the name under which the answer was compiled.

    >>> guarded(lambda x: x + 1, lambda: None, "<answer>")(2)
    3
    """
    if type(answer) is tuple:
        return tuple(guarded(part, verify, file) for part in answer)
    if not isinstance(answer, FunctionType):
        return answer

    def called(*args, **kwargs):
        try:
            value = answer(*args, **kwargs)
        finally:
            verify()
        _no_impostor(value, file)
        return value

    called.__dict__.update(answer.__dict__, __wrapped__=answer)
    called.__name__, called.__doc__ = answer.__name__, answer.__doc__
    return called


def _no_impostor(value, file):
    """TamperedError for a value, or a part of a tuple, list or dict, that answers comparisons by itself."""
    parts = value.values() if type(value) is dict else value if type(value) in (tuple, list) else ()
    for part in (value, *parts):
        for cls in type(part).__mro__:
            for name, method in vars(cls).items():
                code = getattr(getattr(method, "__func__", method), "__code__", None)
                own = code is not None and code.co_filename == file
                if own and name.startswith("__") and name not in ("__init__", "__call__"):
                    raise TamperedError(f"it returned a {cls.__name__} with a {name} of its own")


def refuse(scratch: str, readable: Iterable[str], file: str) -> list[str]:
    """From now on, deny what an exercise never needs with PermissionError -> the list of what was tried, which grows.

    Files may be read in ``readable`` folders and in ``scratch``, and written in the latter; frames, code objects,
    `exec` and `eval` are not for code that was compiled as ``file`` or lies in ``scratch``. There is no way
    back: it is for a process that ends soon.

    >>> refuse.__name__  # it would hold for all that follows
    'refuse'
    """
    tried, inside = [], []
    real, frame_of, ours = os.path.realpath, sys._getframe, (file, scratch)
    roots = tuple(real(place) + os.sep for place in (*readable, scratch)), real(scratch) + os.sep

    def theirs():  # does the code of the answer ask, itself or through a module that looks at frames?
        frame = frame_of(3)
        while frame is not None and frame.f_code.co_filename.endswith(LOOK_FOR_OTHERS):
            frame = frame.f_back
        return frame is not None and frame.f_code.co_filename.startswith(ours)

    def forbidden(event, args):
        if event in PATHS:
            if args[0] is None or isinstance(args[0], int):
                return False
            place, writes = real(os.fsdecode(args[0])), event not in ("open", "os.listdir", "os.scandir")
            writes = writes or (event == "open" and bool(args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)))
            allowed = place + os.sep
            return place != os.devnull and not allowed.startswith(roots[1] if writes else roots[0])
        return event in REFUSED or event.startswith(REFUSED_KINDS) or (event in ONLY_OURS and theirs())

    def hook(event, args):
        if inside or not (event in PATHS or event in ONLY_OURS or event in REFUSED or event.startswith(REFUSED_KINDS)):
            return
        inside.append(event)
        try:
            if forbidden(event, args):
                told = f"{event} {args[0] if event in PATHS else args[1]}" if event in PATHS | ATTRIBUTES else event
                tried.append(told[:200])
                raise PermissionError(f"not in an answer: {told[:200]}")
        finally:
            inside.pop()

    def denier(what):
        def denied(*_):
            tried.append(what)
            raise PermissionError(f"not in an answer: {what}")

        return denied

    time.sleep = denier("time.sleep")  # of these Python 3.11 tells no hook
    for module in (_thread, threading):
        for name in [name for name in vars(module) if "start_new_thread" in name or "start_joinable_thread" in name]:
            setattr(module, name, denier("threads"))
    sys.addaudithook(hook)
    return tried

"""An answer alone in its process: right and wrong ones, endless ones, and those that reach for the grader."""

import json

import pytest
import small_kit

from hybridlib.teach import sandbox

RIGHT = "def doubled(x):\n    return 2 * x\n"
WRONG = "def doubled(x):\n    return 3 * x\n"
# name -> (code, properties that hold, of three; a word of what is told)
ANSWERS = {
    "right": (RIGHT, 3, ""),
    "wrong": (WRONG, 1, ""),
    "stub": (None, 0, ""),
    "syntax": ("def doubled(x):\n    return 2 *\n", 0, "SyntaxError"),
    "after a syntax error": ("x = 1", 0, "not written yet"),
    "raises": ("1 / 0\n" + RIGHT, 0, "ZeroDivisionError: division by zero, line 1"),
    "undefined": ("del doubled", 0, "no longer defines doubled"),
    "loop": ("def doubled(x):\n    while True: pass\n", 0, "seconds of the processor"),
    "loop outside": ("while True: pass", 0, "seconds of the processor"),
    "catches all": ("while True:\n    try: 1 / 0\n    except BaseException: pass", 0, "seconds of the"),
    "huge output": (RIGHT + "for i in range(10**5): print('x' * 1000)\n", 3, ""),
    "huge message": ("def doubled(x):\n    raise ValueError('x' * 10**7)\n", 0, "ValueError"),
    "memory": ("import torch\ndef doubled(x):\n    return torch.zeros(10**10)\n", 0, "alloc"),
    "exit": ("import sys\nsys.exit(0)", 0, "SystemExit"),
    "exit inside": ("import sys\ndef doubled(x):\n    sys.exit(0)\n", 0, "SystemExit"),
    "ends the process": ("import os\nos._exit(0)", 0, "process ended"),
    "interrupts": ("def doubled(x):\n    raise KeyboardInterrupt\n", 0, "KeyboardInterrupt"),
    "kills its parent": ("import os\nos.kill(os.getppid(), 9)\n" + RIGHT, 0, "os.kill"),
    "kills all": ("import os\nos.kill(-1, 9)\n" + RIGHT, 0, "os.kill"),
    "shell": ("import os\nos.system('touch here')\n" + RIGHT, 0, "os.system"),
    "program": ("import subprocess\nsubprocess.run(['touch', 'here'])\n" + RIGHT, 0, "subprocess.Popen"),
    "fork": ("import os\nos.fork()\n" + RIGHT, 0, "os.fork"),
    "thread": ("import threading\nthreading.Thread(target=print).start()\n" + RIGHT, 0, "threads"),
    "network": ("import socket\nsocket.create_connection(('127.0.0.1', 80))\n" + RIGHT, 0, "socket."),
    "caught network": (
        "import socket\ntry:\n    socket.socket()\nexcept OSError:\n    pass\n" + RIGHT, 3, "tried socket.__new__"
    ),
    "reads files": ("open('/etc/passwd')\n" + RIGHT, 0, "open /etc/passwd"),
    "reads the kit": ("open({root!r} + '/book/small.ipynb')\n" + RIGHT, 0, "small.ipynb"),
    "writes outside": ("open({root!r} + '/here', 'w')\n" + RIGHT, 0, "here"),
    "removes": ("import shutil\nshutil.rmtree({root!r})\n" + RIGHT, 0, "PermissionError"),
    "writes inside": ("open('here', 'w').write('x')\nassert open('here').read() == 'x'\n" + RIGHT, 3, ""),
    "a large file": ("f = open('here', 'w')\nfor i in range(100): f.write('x' * 10**6)\n", 0, "OSError"),
    "ctypes": ("import ctypes\nctypes.CDLL(None)\n" + RIGHT, 0, "ctypes"),
    "replaces same": ("exercise.same = lambda *a, **k: None\n" + WRONG, 0, "replaced hybridlib.page.exercise.same"),
    "replaces same in its names": (
        "class exercise:\n    same = check = lambda *a, **k: None\n" + WRONG, 1, ""
    ),
    "replaces check": ("exercise.check = lambda *a: 1\n" + WRONG, 0, "replaced hybridlib.page.exercise.check"),
    "replaces a moment": (
        "def doubled(x):\n    old = exercise.same\n    def once(*a, **k):\n        exercise.same = old\n"
        "    exercise.same = once\n    return 3 * x\n", 0, "replaced hybridlib.page.exercise.same"
    ),
    "replaces allclose": ("torch.allclose = lambda *a, **k: True\n" + WRONG, 0, "replaced torch.allclose"),
    "replaces a method": ("torch.Tensor.__mul__ = lambda a, b: a\n" + WRONG, 0, "replaced torch"),
    "replaces builtins": ("import builtins\nbuiltins.isinstance = lambda *a: True\n" + WRONG, 0, "replaced builtins"),
    "hides builtins": ("exercise.isinstance = lambda *a: True\n" + WRONG, 0, "replaced hybridlib.page.exercise.is"),
    "replaces Result": ("exercise.Result.passed = True\n" + WRONG, 0, "replaced hybridlib.page.exercise.Result.passed"),
    "replaces the code": ("exercise.same.__code__ = (lambda *a, **k: None).__code__\n" + WRONG, 0, "__code__"),
    "replaces defaults": ("exercise.same.__kwdefaults__['tolerance'] = 1e9\n" + WRONG, 0, "__kwdefaults__"),
    "replaces the judge": ("import hybridlib.teach.sandbox as s\ns.sealed = print\n" + WRONG, 0, "sandbox.sealed"),
    "changes the data": ("data.zero_()\n" + WRONG, 1, ""),
    "changes a table": ("from hybridlib.graphs import VALENCE\nVALENCE.zero_()\n" + RIGHT, 3, ""),
    "frames": ("import sys\ndef doubled(x):\n    return sys._getframe(1).f_locals\n", 0, "sys._getframe"),
    "frames by inspect": ("import inspect\ndef doubled(x):\n    return inspect.currentframe()\n", 0, "sys._getframe"),
    "frames by traceback": (
        "def doubled(x):\n    try:\n        1 / 0\n    except ZeroDivisionError as e:\n"
        "        return e.__traceback__.tb_frame\n", 0, "tb_frame"
    ),
    "frames in disguise": ("eval('1')\n" + RIGHT, 0, "compile"),
    "sleeps": ("import time\ntime.sleep(1000)\n" + RIGHT, 0, "time.sleep"),
    "objects": ("import gc\ngc.get_objects()\n" + RIGHT, 0, "gc.get_objects"),
    "trace": ("import sys\nsys.settrace(print)\n" + RIGHT, 0, "sys.settrace"),
    "a hook of its own": ("import sys\nsys.addaudithook(print)\n" + RIGHT, 3, "addaudithook"),
    "equal to all": (
        "class Yes(torch.Tensor):\n    @classmethod\n    def __torch_function__(cls, f, types, args=(), kwargs=None):\n"
        "        return True if f is torch.allclose else super().__torch_function__(f, types, args, kwargs or {})\n"
        "def doubled(x):\n    return (3 * x).as_subclass(Yes)\n", 0, "Yes with a __torch_function__"
    ),
    "writes to pipes": (
        "import os\nfor fd in range(3, 64):\n    try:\n        os.write(fd, b'{\"outcomes\": []}')\n"
        "    except OSError:\n        pass\n" + WRONG, 0, "wrote where only the grader writes"
    ),
    "closes pipes": ("import os\nos.closerange(3, 64)\n" + RIGHT, 0, "process ended"),
    "a tuple of its kind": ("from collections import namedtuple\nP = namedtuple('P', 'a b')\n" + RIGHT, 3, ""),
    "a data class": ("from dataclasses import dataclass\n@dataclass\nclass P:\n    a: int = 0\n" + RIGHT, 3, ""),
    "no gradient": ("@torch.no_grad()\n" + RIGHT, 3, ""),
}  # fmt: skip


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    """What the sandbox says of all answers, in one process as for one notebook."""
    root = tmp_path_factory.mktemp("kit")
    small_kit.write(root)
    stub = "def doubled(x):\n    return ..."
    codes = [[stub if code is None else code.replace("{root!r}", repr(str(root)))] for code, _, _ in ANSWERS.values()]
    answers = [{"exercise": "ex1", "codes": code} for code in codes]
    answers.append({"exercise": "ex2", "codes": [RIGHT, "def fourfold(x):\n    return doubled(doubled(x))\n"]})
    job = {"set": "doubles", "notebook": "book/small.ipynb", "seed": 5, "extra": "", "seconds": 1, "bytes": 10**9}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        done = sandbox.ask(job | {"answers": answers})
    assert sorted(path.name for path in root.rglob("*")) == sorted(
        ["book", "teach", "exercises", "small.ipynb", "introduction.ipynb", "assignments.yml", "_config.yml"]
    )
    return dict(zip([*ANSWERS, "in a chain"], done, strict=True))


@pytest.mark.parametrize("name", ANSWERS)
def test_every_answer_gets_what_it_deserves(verdicts, name):
    verdict = verdicts[name]
    _, held, told = ANSWERS[name]
    assert sum(how == "passed" for _, how, _ in verdict["outcomes"]) == held, verdict
    assert told in json.dumps(verdict), verdict
    assert held or verdict["outcomes"], "a student hears why"


def test_an_exercise_may_need_the_answer_to_another(verdicts):
    assert [how for _, how, _ in verdicts["in a chain"]["outcomes"]] == ["passed"]

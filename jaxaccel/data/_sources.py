"""Where each set comes from and what it means: data only.

The SHA-256 sums are those of the published files, as TensorFlow Datasets and Keras list them.
Debian compresses Fashion-MNIST anew without names and times in the gzip headers, so its files
have other sums and the same contents.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxaccel.data import _cifar10
from jaxaccel.data._cifar10 import read_cifar10
from jaxaccel.data._idx import read_idx_split
from jaxaccel.data._image_set import Augmentation, Split
from jaxaccel.data._random_crop import random_crop
from jaxaccel.data._random_flip import random_horizontal_flip


class PublishedFile(NamedTuple):
    """A file as its authors publish it."""

    name: str
    size: int
    sha256: str


class Source(NamedTuple):
    """An image set as its authors publish it.

    ``layouts`` are the lists of file names that ``read`` understands; the first is what is
    downloaded. ``urls`` are equivalent folders, tried in this order. ``folders`` are where
    packages put the files.
    """

    read: Callable[[Sequence[Path]], Split]
    layouts: tuple[tuple[str, ...], ...]
    files: tuple[PublishedFile, ...]
    urls: tuple[str, ...]
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    augmentations: tuple[Augmentation, ...]
    folders: tuple[str, ...] = ()
    hint: str = ""


_IDX_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)

DIGITS = tuple("0123456789")

MNIST = Source(
    read=read_idx_split,
    layouts=(_IDX_FILES,),
    files=(
        PublishedFile(
            "train-images-idx3-ubyte.gz",
            9912422,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        ),
        PublishedFile(
            "train-labels-idx1-ubyte.gz",
            28881,
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        ),
        PublishedFile(
            "t10k-images-idx3-ubyte.gz",
            1648877,
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        ),
        PublishedFile(
            "t10k-labels-idx1-ubyte.gz",
            4542,
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    ),
    urls=(
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
    ),
    shape=(28, 28, 1),
    classes=DIGITS,
    augmentations=(random_crop,),
)

FASHION_MNIST = Source(
    read=read_idx_split,
    layouts=(_IDX_FILES,),
    files=(
        PublishedFile(
            "train-images-idx3-ubyte.gz",
            26421880,
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        ),
        PublishedFile(
            "train-labels-idx1-ubyte.gz",
            29515,
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        ),
        PublishedFile(
            "t10k-images-idx3-ubyte.gz",
            4422102,
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        ),
        PublishedFile(
            "t10k-labels-idx1-ubyte.gz",
            5148,
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    ),
    urls=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    shape=(28, 28, 1),
    classes=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    augmentations=(random_crop, random_horizontal_flip),
    folders=("/usr/share/datasets/fashion-mnist",),
    hint="on Debian and Ubuntu: apt-get install dataset-fashion-mnist",
)

_CIFAR10_ARCHIVE = PublishedFile(
    "cifar-10-binary.tar.gz",
    170052171,
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
)

CIFAR10 = Source(
    read=read_cifar10,
    layouts=(
        (_CIFAR10_ARCHIVE.name,),
        tuple(f"{_cifar10.FOLDER}/{name}" for name in _cifar10.BATCH_FILES),
        _cifar10.BATCH_FILES,
    ),
    files=(_CIFAR10_ARCHIVE,),
    urls=("https://www.cs.toronto.edu/~kriz/",),
    shape=(32, 32, 3),
    classes=(
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ),
    augmentations=(random_crop, random_horizontal_flip),
    hint="it is the binary version that is read, not the Python one (cifar-10-batches-py)",
)

SOURCES = {"mnist": MNIST, "fashion_mnist": FASHION_MNIST, "cifar10": CIFAR10}

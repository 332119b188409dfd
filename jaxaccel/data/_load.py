"""Load an image classification set by name."""

from __future__ import annotations

import os
from importlib.resources import files

import numpy as np

from jaxaccel._checked import checked
from jaxaccel.data._image_set import Augmentation, ImageSet, Split, channel_statistics
from jaxaccel.data._locate import locate
from jaxaccel.data._sources import MNIST, SOURCES, Source


@checked
def load(
    name: str, folder: str | os.PathLike[str] | None = None, *, download: bool = False
) -> ImageSet:
    """Load an image classification set into the host's memory.

    ``"mnist5k"`` is embedded: 5,000 real MNIST digits, 500 of each class, split into 4,000 for
    training and 1,000 for testing by a fixed rule (digit k of a class is a test digit when
    ``k % 5 == 4``), and dealt class by class, so that row i is of class ``i % 10``. Origin and
    licence are in ``_mnist5k.txt`` beside the data.

    ``"mnist"`` and ``"fashion_mnist"`` are read from their four IDX files (``.gz``), ``"cifar10"``
    from its binary version (``cifar-10-binary.tar.gz`` or the extracted
    ``cifar-10-batches-bin``). The format of every file is checked to the last byte; the checksum
    only of what is downloaded, so that files in ``folder`` may be a part of the published set.

    Args:
        name: ``"mnist5k"``, ``"mnist"``, ``"fashion_mnist"`` or ``"cifar10"``.
        folder: Where the files are, and where a download puts them. None is where a package puts
            them (Debian's ``dataset-fashion-mnist``), then ``jaxaccel/<name>`` in the user's cache
            folder (``$XDG_CACHE_HOME``, or ``~/.cache``). ``"mnist5k"`` takes none.
        download: Whether to fetch files that are not there; without it nothing is ever fetched.
            A download is compared with the published size and SHA-256, and appears under its
            name only when it is complete.

    Returns:
        An ``ImageSet``: images are uint8 of shape ``(N, height, width, channels)``, labels int32
        of shape ``(N,)``.

    Raises:
        ValueError: ``name`` is unknown, ``"mnist5k"`` was given a folder, or a file is truncated,
            corrupted or does not fit the others.
        FileNotFoundError: Files are missing; the text says where they were looked for and
            how to get them.
        OSError: A download failed or did not have the published SHA-256; nothing is kept of it.

    PyTorch:
        ``torchvision.datasets.MNIST``, ``FashionMNIST`` and ``CIFAR10`` with ``download=``. Here
        a set is four arrays, not a ``Dataset`` of PIL images: training and test part come
        together, channels are last, and transforms run on the device (``normalize``,
        ``augment``). CIFAR-10 comes from the binary version, since the Python version that
        torchvision reads is a pickle.

    Example:
        >>> import jaxaccel as ja
        >>> digits = ja.data.load("mnist5k")
        >>> digits.train_images.shape, digits.test_images.shape
        ((4000, 28, 28, 1), (1000, 28, 28, 1))
        >>> round(digits.mean[0], 4), round(digits.std[0], 4)
        (0.1311, 0.3083)

    References:
        LeCun, Bottou, Bengio, Haffner. Gradient-based learning applied to document recognition.
        1998.

        Xiao, Rasul, Vollgraf. Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
        Learning Algorithms. 2017. https://arxiv.org/abs/1708.07747

        Krizhevsky. Learning Multiple Layers of Features from Tiny Images. 2009.
    """
    if name == "mnist5k":
        if folder is not None:
            raise ValueError(f"mnist5k is embedded and takes no folder, got folder={folder!r}")
        return _image_set(name, _embedded_digits(), MNIST.classes, MNIST.augmentations)
    if name not in SOURCES:
        known = ", ".join(repr(known) for known in ("mnist5k", *SOURCES))
        raise ValueError(f"Unknown image set {name!r}: expected one of {known}")
    source = SOURCES[name]
    paths = locate(name, source, folder, download)
    split = source.read(paths)
    _check_split(split, source, f"{name} from {paths[0].parent}")
    return _image_set(name, split, source.classes, source.augmentations)


def _embedded_digits() -> Split:
    """Read the arrays that the package carries."""
    with files("jaxaccel.data").joinpath("_mnist5k.npz").open("rb") as file, np.load(file) as data:
        return Split(
            data["train_images"][..., None],
            data["train_labels"].astype(np.int32),
            data["test_images"][..., None],
            data["test_labels"].astype(np.int32),
        )


def _image_set(
    name: str, split: Split, classes: tuple[str, ...], augmentations: tuple[Augmentation, ...]
) -> ImageSet:
    """Add the meaning and the statistics to the arrays."""
    mean, std = channel_statistics(split.train_images)
    return ImageSet(name, *split, classes, mean, std, augmentations)


def _check_split(split: Split, source: Source, where: str) -> None:
    """Raise unless images and labels fit each other and the set."""
    for part, images, labels in (
        ("training", split.train_images, split.train_labels),
        ("test", split.test_images, split.test_labels),
    ):
        if len(images) == 0 or len(images) != len(labels):
            raise ValueError(
                f"{where}: expected as many {part} labels as images and at least one, "
                f"found {len(images)} images and {len(labels)} labels"
            )
        if images.shape[1:] != source.shape:
            raise ValueError(
                f"{where}: expected {part} images of shape {source.shape}, found {images.shape[1:]}"
            )
        count = len(source.classes)
        if labels.max() >= count:
            row = int(labels.argmax())
            raise ValueError(
                f"{where}: expected {part} labels from 0 to {count - 1}, "
                f"found {labels[row]} in row {row}"
            )

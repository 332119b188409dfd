"""Augmentations against torchvision: its bits with a generator, its distributions with a key."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jaxaccel as ja
from jaxaccel.data import _color_jitter, _cutmix, _mixed, _random_erasing, _random_resized_crop
from parity_tests import tolerances as tol
from parity_tests.harness.compiled import FAST_COMPILE
from parity_tests.harness.errors import raised_by
from parity_tests.harness.statistics import two_sample_p_value
from parity_tests.harness.torchvision import v2

COUNT, HEIGHT, WIDTH = 5, 13, 19
RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (COUNT, HEIGHT, WIDTH, 3), dtype=np.uint8)
FLOATS = RNG.random((COUNT, HEIGHT, WIDTH, 3), dtype=np.float32)
LABELS = RNG.integers(0, 7, COUNT)
SIZE = (HEIGHT, WIDTH)
KEY = jax.random.key(0)


def to_torch(images):
    return torch.from_numpy(np.moveaxis(images, -1, -3).copy())


def from_torch(images):
    return np.moveaxis(images.numpy(), -3, -1)


def image_by_image(transform, images):
    return np.stack([from_torch(transform(to_torch(image))) for image in images])


def drawn_alike(ours, theirs, images, seed=3):
    """Return both sides' images after the same seed; the generators are left in one state."""
    torch.manual_seed(seed)
    expected = image_by_image(theirs, images)
    generator = ja.random.manual_seed(seed)
    found = np.asarray(ours(generator, images))
    assert generator.get_state().tobytes() == torch.get_rng_state().numpy().tobytes()
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    return found, expected


# --- PyTorch's bits -------------------------------------------------------------------------------

MOVED = {
    **{
        f"crop {mode}": (
            partial(ja.data.random_crop, padding=(3, 5), fill=7, padding_mode=mode, size=(11, 25)),
            v2.RandomCrop((11, 25), padding=(3, 5), fill=7, padding_mode=mode),
        )
        for mode in ("constant", "edge", "reflect", "symmetric")
    },
    "crop with four paddings and a colour": (
        partial(ja.data.random_crop, padding=(1, 2, 3, 4), fill=[1, 2, 3]),
        v2.RandomCrop(SIZE, padding=(1, 2, 3, 4), fill=[1, 2, 3]),
    ),
    "crop where one axis has no room": (
        partial(ja.data.random_crop, padding=0, size=(HEIGHT, 7)),
        v2.RandomCrop((HEIGHT, 7)),
    ),
    "flip": (ja.data.random_horizontal_flip, v2.RandomHorizontalFlip()),
    "flip over": (partial(ja.data.random_vertical_flip, p=0.3), v2.RandomVerticalFlip(0.3)),
    "resized crop, nearest": (
        partial(ja.data.random_resized_crop, size=9, interpolation="nearest"),
        v2.RandomResizedCrop(9, interpolation=v2.InterpolationMode.NEAREST),
    ),
    "resized crop, nearest exact": (
        partial(ja.data.random_resized_crop, size=(8, 30), interpolation="nearest-exact"),
        v2.RandomResizedCrop((8, 30), interpolation=v2.InterpolationMode.NEAREST_EXACT),
    ),
    "erasing": (ja.data.random_erasing, v2.RandomErasing()),
    "erasing with a colour": (
        partial(ja.data.random_erasing, p=1.0, scale=(0.5, 1.0), value=[1.0, 2.0, 3.0]),
        v2.RandomErasing(p=1.0, scale=(0.5, 1.0), value=[1.0, 2.0, 3.0]),
    ),
    "one after another": (
        partial(
            ja.data.augment,
            augmentations=(
                ja.data.random_crop,
                ja.data.random_horizontal_flip,
                partial(
                    ja.data.random_choice,
                    transforms=[ja.data.random_vertical_flip, ja.data.random_erasing],
                    p=(1, 3),
                ),
            ),
        ),
        v2.Compose(
            [
                v2.RandomCrop(SIZE, padding=4),
                v2.RandomHorizontalFlip(),
                v2.RandomChoice([v2.RandomVerticalFlip(), v2.RandomErasing()], (1, 3)),
            ]
        ),
    ),
}


@pytest.mark.parametrize("name", MOVED)
def test_a_generator_moves_pixels_as_torchvision_does(name):
    """Equal bits: pixels, dtypes and the generator's state afterwards."""
    for images in (BYTES, FLOATS):
        found, expected = drawn_alike(*MOVED[name], images)
        np.testing.assert_array_equal(found, expected)


def test_noise_is_torchvisions():
    erasing = partial(ja.data.random_erasing, p=0.9, value="random")
    found, expected = drawn_alike(erasing, v2.RandomErasing(p=0.9, value="random"), FLOATS)
    np.testing.assert_array_equal(found, expected)
    text = raised_by(lambda: erasing(jax.random.key(0), BYTES))[1]
    assert "noise needs floating-point images, got uint8" in text


WIDE = {"scale": (0.9, 1.0), "ratio": (5.0, 6.0)}  # no try fits
RESIZED = [
    (9, "bilinear", True, {}),
    ((30, 8), "bilinear", True, WIDE),
    ((30, 8), "bilinear", False, {}),
    ((8, 30), "bicubic", True, {}),
    ((8, 30), "bicubic", False, {}),
]


@pytest.mark.parametrize(("size", "interpolation", "antialias", "ranges"), RESIZED)
def test_resized_crops_are_torchvisions(size, interpolation, antialias, ranges):
    """In float64 to rounding, in float32 as near to that as torchvision, bytes but for a level."""
    mode = {"interpolation": v2.InterpolationMode(interpolation), "antialias": antialias}
    theirs = v2.RandomResizedCrop(size, **mode, **ranges)
    ours = partial(
        *(ja.data.random_resized_crop,),
        **{"size": size, "interpolation": interpolation, "antialias": antialias, **ranges},
    )
    double, judge = drawn_alike(ours, theirs, FLOATS.astype(np.float64))
    assert np.abs(double - judge).max() <= tol.LAYER_FLOAT64_OF_MAX
    single, rounded = drawn_alike(ours, theirs, FLOATS)
    own, allowed = (np.sqrt(np.mean((each - judge) ** 2)) for each in (single, rounded))
    assert own <= tol.OWN_ERROR_RATIO * allowed
    levels = np.abs(np.subtract(*drawn_alike(ours, theirs, BYTES), dtype=np.int32))
    assert levels.max() <= 1
    assert np.mean(levels) <= tol.AUGMENTATION_LEVELS


JITTERS = [
    {"brightness": 0.4},
    {"contrast": (0.0, 2.0)},
    {"saturation": 1.5},
    {"hue": 0.5},
    {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": (-0.1, 0.2)},
    {"brightness": 0.0, "hue": 0.0},
]


@pytest.mark.parametrize("factors", JITTERS, ids=str)
def test_color_jitter_is_torchvisions(factors):
    ours, theirs = partial(ja.data.color_jitter, **factors), v2.ColorJitter(**factors)
    found, expected = drawn_alike(ours, theirs, FLOATS)
    assert np.abs(found - expected).max() <= tol.AUGMENTATION_FLOAT32_OF_MAX
    grey = np.repeat(BYTES[..., :1], 3, -1)
    for images in (BYTES, grey, BYTES[..., :1]):
        if images is grey and "saturation" in factors:
            continue  # a sum of two products that is a whole number, or just below
        levels = np.abs(np.subtract(*drawn_alike(ours, theirs, images), dtype=np.int32))
        assert levels.max() <= min(2, len(factors))
        assert np.mean(levels) <= tol.AUGMENTATION_LEVELS


MIXED = {"mixup": v2.MixUp, "cutmix": v2.CutMix}


@pytest.mark.parametrize("alpha", [0.2, 1.0, 2.5])
def test_mixed_images_and_labels_are_torchvisions(alpha):
    """Several in a row: a second normal number may be left over from the one before."""
    options = {"alpha": alpha, "num_classes": 7}
    choice = v2.RandomChoice([each(**options) for each in MIXED.values()])
    ours = [partial(getattr(ja.data, name), **options) for name in MIXED]
    torch.manual_seed(1)
    generator = ja.random.manual_seed(1)
    for _ in range(12):
        judged = choice(to_torch(FLOATS), torch.from_numpy(LABELS))
        images, labels = ja.data.random_choice(generator, (FLOATS, LABELS), ours)
        np.testing.assert_array_equal(images, from_torch(judged[0]))
        np.testing.assert_array_equal(labels, judged[1].numpy())
        assert labels.dtype == np.float32
    assert generator.get_state().tobytes() == torch.get_rng_state().numpy().tobytes()


def test_soft_labels_mix_and_smooth():
    """What a recipe does next: cross entropy with probabilities, smoothed."""
    soft = RNG.dirichlet(np.ones(7), COUNT)
    logits = RNG.normal(size=(COUNT, 7))
    for name, class_ in MIXED.items():
        torch.manual_seed(5)
        _, expected = class_()(to_torch(FLOATS), torch.from_numpy(soft))
        _, labels = getattr(ja.data, name)(ja.random.manual_seed(5), FLOATS, soft)
        assert np.abs(labels - expected.numpy()).max() <= tol.FLOAT64_OF_FIELD
        loss = ja.functional.cross_entropy(jnp.asarray(logits), labels, label_smoothing=0.1)
        judged = torch.nn.functional.cross_entropy(
            torch.from_numpy(logits), expected, label_smoothing=0.1
        )
        assert float(loss) == pytest.approx(judged.item(), rel=tol.LAYER_FLOAT64_OF_MAX)


# --- PyTorch's distributions ----------------------------------------------------------------------

DRAWS = 3000
PICTURE = (200, 150)
BLANK = [torch.zeros(1, *PICTURE)]


def of_torchvision(transform, names):
    """Return what ``make_params`` of a transform draws, one column for each name."""
    torch.manual_seed(0)
    drawn = [transform.make_params(BLANK) for _ in range(DRAWS)]
    return np.array([[params[name] for name in names] for params in drawn], np.float64)


def assert_alike(found, expected):
    """Assert that columns, and the areas and shapes of boxes, come from one distribution."""
    columns = [(*f.T, f[:, 2] * f[:, 3], f[:, 2] / f[:, 3]) for f in (found, expected)]
    for one, other in zip(*columns, strict=True):
        assert two_sample_p_value(one, other) > tol.AUGMENTATION_P_VALUE


def crop_boxes(scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3)):
    draw = partial(_random_resized_crop._drawn_boxes, count=DRAWS, scale=scale, ratio=ratio)
    boxes = jax.jit(partial(draw, height=PICTURE[0], width=PICTURE[1]))(jax.random.key(4))
    return np.asarray(boxes, np.float64)


BOX = ("top", "left", "height", "width")


def test_crop_boxes_have_torchvisions_distribution():
    for ranges in ({}, {"scale": (0.5, 1.0), "ratio": (0.5, 2.5)}):  # of these some do not fit
        expected = of_torchvision(v2.RandomResizedCrop(9, **ranges), BOX)
        found = crop_boxes(**ranges)
        assert_alike(found, expected)
    for slip in ({"scale": (0.4, 1.0)}, {"ratio": (0.7, 2.5)}):
        with pytest.raises(AssertionError):
            assert_alike(crop_boxes(**{**ranges, **slip}), expected)


def test_erased_boxes_have_torchvisions_distribution():
    for scale in ((0.02, 0.33), (0.3, 1.0)):
        draw = partial(_random_erasing._drawn_boxes, scale=scale, ratio=(0.3, 3.3))
        shape = (DRAWS, *PICTURE, 1)
        chosen = jnp.ones(DRAWS, bool)
        boxes = jax.jit(partial(draw, shape=shape, is_chosen=chosen))(jax.random.key(4))
        expected = of_torchvision(v2.RandomErasing(scale=scale), "ijhw")
        is_box = expected[:, 2] < PICTURE[0]  # the whole picture stands for none there
        boxes = np.asarray(boxes, np.float64)
        assert abs(np.mean(is_box) - np.mean(boxes[:, 2] > 0)) < 0.02
        assert_alike(boxes[boxes[:, 2] > 0], expected[is_box])


def test_jitters_have_torchvisions_distribution():
    transform = v2.ColorJitter(0.4, (0.5, 3.0), 2.0, 0.1)
    bounds = (transform.brightness, transform.contrast, transform.saturation, transform.hue)
    orders, factors = _color_jitter._drawn(jax.random.key(0), DRAWS, bounds)
    names = ("brightness_factor", "contrast_factor", "saturation_factor", "hue_factor")
    for found, judged in zip(factors.T, of_torchvision(transform, names).T, strict=True):
        assert two_sample_p_value(np.asarray(found), judged) > tol.AUGMENTATION_P_VALUE
    each, counts = np.unique(np.asarray(orders), axis=0, return_counts=True)
    assert len(each) == 24
    assert (np.sort(each, 1) == np.arange(4)).all()
    # Of 23 degrees of freedom, 49.7 is exceeded once in a thousand.
    assert np.sum((counts - DRAWS / 24) ** 2) / (DRAWS / 24) < 49.7


def test_shares_and_mixed_boxes_have_torchvisions_distribution():
    alpha = 0.2
    keys = jax.random.split(jax.random.key(2), DRAWS)
    shares = jax.jit(jax.vmap(partial(_mixed.drawn_share, alpha=alpha)))(keys)
    expected = of_torchvision(v2.MixUp(alpha=alpha, num_classes=2), ["lam"])[:, 0]
    assert two_sample_p_value(np.asarray(shares), expected) > tol.AUGMENTATION_P_VALUE
    draw = partial(_cutmix._drawn_box, alpha=alpha, height=PICTURE[0], width=PICTURE[1])
    found = np.asarray(jax.jit(jax.vmap(draw))(keys))[:, 0]
    params = [v2.CutMix(alpha=alpha, num_classes=2).make_params(BLANK) for _ in range(DRAWS)]
    corners = [each["box"] for each in params]
    judged = np.array([[y, x, bottom - y, right - x] for x, y, right, bottom in corners])
    for one, other in zip(found.T, judged.T, strict=True):
        assert two_sample_p_value(one, other) > tol.AUGMENTATION_P_VALUE
    assert two_sample_p_value(found[:, 2] * found[:, 3], judged[:, 2] * judged[:, 3]) > (
        tol.AUGMENTATION_P_VALUE
    )


# --- in a compiled step ---------------------------------------------------------------------------


def prepare(key, images, labels):
    """Return a batch after all that there is."""
    of_images, of_mix = jax.random.split(key)
    steps = (
        partial(ja.data.random_resized_crop, size=8),
        partial(ja.data.random_crop, padding=2, padding_mode="reflect"),
        ja.data.random_horizontal_flip,
        ja.data.random_vertical_flip,
        partial(ja.data.color_jitter, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1),
        lambda key, x: ja.data.normalize(x, (0.5,) * 3, (0.25,) * 3),
        partial(ja.data.random_erasing, value="random"),
    )
    images = ja.data.augment(of_images, images, steps)
    mixes = [partial(each, num_classes=7) for each in (ja.data.mixup, ja.data.cutmix)]
    return ja.data.random_choice(of_mix, (images, labels), mixes)


def test_a_sharded_batch_is_augmented_as_a_whole_one():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Explicit,))
    images = np.random.default_rng(1).integers(0, 256, (16, 12, 12, 3), dtype=np.uint8)
    labels, key = np.arange(16, dtype=np.int32) % 7, jax.random.key(1)
    prepared = jax.jit(prepare, compiler_options=FAST_COMPILE)
    expected = prepared(key, images, labels)
    with jax.set_mesh(mesh):
        sharding = NamedSharding(mesh, PartitionSpec("data"))
        sharded = jax.device_put((images, labels), sharding)
        found = prepared(jax.device_put(key, NamedSharding(mesh, PartitionSpec())), *sharded)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=tol.AUGMENTATION_FLOAT32_OF_MAX)
        assert one.sharding.is_equivalent_to(sharding, one.ndim)


def test_an_empty_batch_stays_empty():
    images = BYTES[:0]
    for source in (KEY, ja.random.manual_seed(0)):
        for augmentation in (
            ja.data.random_crop,
            ja.data.random_horizontal_flip,
            partial(ja.data.random_resized_crop, size=SIZE),
            partial(ja.data.color_jitter, brightness=0.5),
            ja.data.random_erasing,
        ):
            found = augmentation(source, images)
            assert (found.shape, found.dtype) == (images.shape, images.dtype)


def test_half_precision_is_rounded_once():
    """Of the same draws: bfloat16 images computed in float32."""
    half = jnp.asarray(FLOATS).astype(jnp.bfloat16)
    single = half.astype(jnp.float32)
    for augmentation in (
        partial(ja.data.random_resized_crop, size=SIZE),
        partial(ja.data.color_jitter, contrast=0.5),
    ):
        found = augmentation(KEY, half)
        assert found.dtype == jnp.bfloat16
        np.testing.assert_array_equal(found, augmentation(KEY, single).astype(jnp.bfloat16))


def test_choices_have_their_chances():
    constant = [lambda key, x, c=c: jnp.full_like(x, c) for c in range(3)]
    choose = partial(ja.data.random_choice, inputs=np.zeros(()), transforms=constant, p=(1, 0, 3))
    chosen = np.asarray(jax.vmap(choose)(jax.random.split(jax.random.key(0), 2000)))
    assert not np.any(chosen == 1)
    assert abs(np.mean(chosen == 2) - 0.75) < 3 * np.sqrt(0.75 * 0.25 / 2000)


# --- errors ---------------------------------------------------------------------------------------

ERRORS = {
    "a padding mode": (
        lambda: ja.data.random_crop(KEY, BYTES, padding_mode="wrap"),
        lambda: v2.RandomCrop(3, 1, padding_mode="wrap"),
    ),
    "three paddings": (
        lambda: ja.data.random_crop(KEY, BYTES, (1, 2, 3)),
        lambda: v2.RandomCrop(3, (1, 2, 3)),
    ),
    "a window that is too large": (
        lambda: ja.data.random_crop(KEY, BYTES, 1, size=40),
        lambda: v2.RandomCrop(40, 1)(to_torch(BYTES)),
    ),
    "three sizes": (
        lambda: ja.data.random_resized_crop(KEY, BYTES, (1, 2, 3)),
        lambda: v2.RandomResizedCrop((1, 2, 3)),
    ),
    "more than all": (
        lambda: ja.data.random_erasing(KEY, BYTES, scale=(0.5, 1.5)),
        lambda: v2.RandomErasing(scale=(0.5, 1.5)),
    ),
    "a word": (
        lambda: ja.data.random_erasing(KEY, BYTES, value="noise"),
        lambda: v2.RandomErasing(value="noise"),
    ),
    "two channels": (
        lambda: ja.data.color_jitter(KEY, BYTES[..., :2], brightness=1.0),
        lambda: v2.ColorJitter(brightness=1.0)(to_torch(BYTES[..., :2])),
    ),
    "less than nothing": (
        lambda: ja.data.color_jitter(KEY, BYTES, contrast=-1.0),
        lambda: v2.ColorJitter(contrast=-1.0),
    ),
    "more than the circle": (
        lambda: ja.data.color_jitter(KEY, BYTES, hue=(0.0, 0.6)),
        lambda: v2.ColorJitter(hue=(0.0, 0.6)),
    ),
    "labels of three axes": (
        lambda: ja.data.mixup(KEY, FLOATS, FLOATS[..., 0], num_classes=7),
        lambda: v2.MixUp(num_classes=7)(to_torch(FLOATS), torch.from_numpy(FLOATS[..., 0])),
    ),
    "no number of classes": (
        lambda: ja.data.mixup(KEY, FLOATS, LABELS),
        lambda: v2.MixUp()(to_torch(FLOATS), torch.from_numpy(LABELS)),
    ),
    "another number of classes": (
        lambda: ja.data.cutmix(KEY, FLOATS, np.ones((COUNT, 3)), num_classes=7),
        lambda: v2.CutMix(num_classes=7)(to_torch(FLOATS), torch.ones(COUNT, 3)),
    ),
    "fewer labels": (
        lambda: ja.data.cutmix(KEY, FLOATS, LABELS[1:], num_classes=7),
        lambda: v2.CutMix(num_classes=7)(to_torch(FLOATS), torch.from_numpy(LABELS[1:])),
    ),
    "no transform": (lambda: ja.data.random_choice(KEY, BYTES, []), lambda: v2.RandomChoice([])),
    "another number of chances": (
        lambda: ja.data.random_choice(KEY, BYTES, [abs], [1, 2]),
        lambda: v2.RandomChoice([abs], [1, 2]),
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_have_torchvisions_text(name):
    """Its text comes first, then what to do."""
    ours, theirs = ERRORS[name]
    expected = raised_by(theirs)[1]
    type_, text = raised_by(ours)
    expected = re.sub(r"torch\.Size\(\[(.*?)\]\)", r"(\1)", expected)
    assert text.startswith(expected.removesuffix("."))
    assert issubclass(type_, (ValueError, TypeError))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: ja.data.random_crop(KEY, BYTES, 13, padding_mode="reflect"), "up to 12 of 13 pix"),
        (lambda: ja.data.random_crop(KEY, BYTES, fill=300), "fill must be from 0 to 255 in uint8"),
        (lambda: ja.data.random_crop(KEY, BYTES, fill=[1, 2]), "one number or 3, one for each"),
        (lambda: ja.data.random_resized_crop(KEY, BYTES, 0), "at least 1, got 0"),
        (lambda: ja.data.random_resized_crop(KEY, BYTES, 3, (1.0, 0.5)), "smaller one first"),
        (lambda: ja.data.random_resized_crop(KEY, BYTES, 3, ratio=(0.0, 1.0)), "above 0 and fini"),
        (lambda: ja.data.random_resized_crop(KEY, BYTES, 3, interpolation="box"), "got 'box'"),
        (lambda: ja.data.random_erasing(KEY, BYTES, 1.5), "p must be from 0 to 1, got 1.5"),
        (lambda: ja.data.mixup(KEY, BYTES, LABELS, num_classes=7), "mix behind normalize"),
        (lambda: ja.data.mixup(KEY, FLOATS, LABELS, alpha=0.0, num_classes=7), "alpha must be ab"),
        (lambda: ja.data.mixup(KEY, FLOATS, LABELS / 2, num_classes=7), "must be integers"),
        (lambda: ja.data.random_choice(KEY, BYTES, [abs], [0]), "a sum above 0, got [0]"),
    ],
)
def test_errors_name_the_value(call, text):
    assert text in raised_by(call)[1]


def test_a_generator_is_refused_under_a_trace():
    with pytest.raises(RuntimeError, match="cannot be used while JAX traces"):
        jax.jit(partial(ja.data.random_erasing, ja.random.manual_seed(0)))(FLOATS)

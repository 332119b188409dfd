"""Every tolerance of the suite. A looser one than the design's four criteria carries its reason."""

# --- float64: is the formula right? -------------------------------------------------------------

FLOAT64_OF_PATH = 1e-12
"""Error of a parameter, as a share of the length of the path that its leaf has travelled."""

FLOAT64_ROUNDING = 2 * 2.0**-52
"""Added per step, times max|p|: both sides round p once a step."""

FLOAT64_OF_FIELD = 1e-12
"""Error of a state field, as a share of the leaf's largest magnitude."""

BIAS_CORRECTION_ROUNDING = 4 * 2.0**-52
"""Added, over ``1 - beta``, beyond beta = 1 - 1e-5: PyTorch's own ``1 - beta**t`` cancels there."""

# --- float32 and below: are the numerics right? -------------------------------------------------

FLOAT32_ONE_STEP = 2e-6
"""Error of an update or state field one step after an equal state, as a share of the leaf's max."""

FLOAT32_ONE_STEP_ITERATED = 4e-6
"""The same for Muon with its iteration in float32, which multiplies a rounding error by up to 3 in
every round: 2.9e-6 after eight."""

OWN_ERROR_RATIO = 1.5
"""RMS error of a run against PyTorch-float64, over PyTorch's own in the same low precision."""

OWN_ERROR_RATIO_BEYOND = 2.0
"""The same for three float32 rows that go beyond it: AdamW's decay of 0.4 a step (1.89: an additive
update rounds once more than PyTorch's in-place product), Adam's beta2 = 0 with a tiny eps (1.84:
m / |g| has no bound, and one element is the whole error), a schedule that float32 computes
inexactly (1.55: PyTorch reads it in double)."""

TWICE_ROUNDED_RATIO = 1.8
"""RMS error over PyTorch's own of a linear map or a convolution with a bias in half precision: the
product and the sum are rounded, where PyTorch's kernels on a CPU round the sum alone."""

OF_ONE_ULP_AWAY = 10
"""Allowed besides, when hyperparameters are drawn at random: this many times the distance to
PyTorch's own run from numbers moved by one ulp. A large decay of a small parameter under a
sign-like update amplifies every rounding (Adamax with lr=10, weight_decay=1). The same for a line
search whose minimum lies in a flat bottom."""

# --- schedules ----------------------------------------------------------------------------------

SCHEDULE_FLOAT64_OF_PEAK = 1e-12
"""Error of a value in double precision, as a share of the schedule's largest magnitude."""

SCHEDULE_FLOAT32_OF_PEAK = 2e-6
"""Error of a traced float32 value, as a share of the schedule's largest magnitude."""

SCHEDULE_FLOAT32_OF_VALUE = 2e-5
"""Error of a traced float32 value, as a share of itself, unless it is small (next line)."""

SCHEDULE_SMALL = 1e-4
"""Values below this share of the peak are held to the peak alone."""

# --- init -------------------------------------------------------------------------------------

INIT_BOUND_RELATIVE = 1e-15
"""Difference of a bound or standard deviation, relative: the formula, in Python double."""

INIT_P_VALUE = 1e-3
"""Smallest p-value of a Kolmogorov-Smirnov test that passes; the seeds are fixed."""

AUGMENTATION_P_VALUE = 1e-3
"""The same, of what an augmentation draws with a key and torchvision without one."""

AUGMENTATION_FLOAT32_OF_MAX = 2e-6
"""Floating-point pixels of equal draws. Resized ones are held against their float64 run."""

AUGMENTATION_LEVELS = 2e-3
"""The share of bytes that may be one level off after equal draws (two after several changes of
colour): where a sum is a whole or half number but for its last bit. Of noise one channel in 256
equals its grey, and PyTorch's fused sum of a part of both is it or just below."""

INIT_ORTHOGONAL = 1e-6
"""Distance of an orthogonal float32 matrix from PyTorch's and from orthogonality, per element."""

INIT_STD_RELATIVE = 0.02
"""Error of a sample's standard deviation, relative: four standard errors of 20,000 numbers."""

# --- normalization, layers, models --------------------------------------------------------------

LAYER_FLOAT64_OF_MAX = 1e-12
"""Error of an output or a gradient in double precision, as a share of the array's maximum."""

LAYER_FLOAT32_OF_MAX = 1e-5
"""The same in single precision: sums of some hundred products, in another order than PyTorch's."""

LAYER_BFLOAT16_OF_MAX = 2.0**-7
"""The same in bfloat16: one unit in the last place, where a float32 result is rounded once."""

FLOAT32_ULP_OF_MAX = 2.0**-23
"""Added to PyTorch's own error where that is of a few numbers only, on which luck can fall: one
unit in the last place of the largest."""

GRADIENT_FLOAT32_CONSTANT = 2.0**-24
"""Error of a gradient in double precision, as a share of its value, where PyTorch's own holds a
constant (1/6 in hardsigmoid, 1/alpha in celu) in single precision."""

MODEL_FLOAT64_OF_MAX = 1e-11
"""Whole networks in double precision: a dozen layers, each of which amplifies."""

MODEL_FLOAT64_ROUNDING = 1e-15
"""Added for a gradient, as a share of the network's largest: a scale in front of another norm has a
gradient that vanishes but for rounding."""

MODEL_FLOAT32_OF_MAX = 1e-4
"""Logits of a whole network in single precision, as a share of the largest: fifty layers, ten times
what one layer is allowed."""

# --- transforms, optax contract, planted bugs ---------------------------------------------------

TRANSFORM_FLOAT64_OF_MAX = 1e-12
"""Error of a clipped gradient or a norm in double precision, as a share of the leaf's maximum."""

CONTRACT_FLOAT64_OF_MAX = 1e-12
"""Error of a transform inside a wrapper, a compiler or a mesh, as a share of the leaf's maximum."""

# --- training, parallelism ----------------------------------------------------------------------

NETWORK_FLOAT64_OF_NORM = 1e-9
"""Error of a tensor after some steps of a whole network in double precision, as 2-norms."""

NETWORK_FLOAT32_OF_PYTORCHS_OWN = 3.0
"""Error of a whole network's float32 run, over the largest of three PyTorch-float32 runs that start
one unit in the last place away: training amplifies every rounding, PyTorch's own as well."""

DEVICES_FLOAT64_OF_MAX = 1e-12
"""Error of many devices against one in double precision, as a share of the leaf's maximum."""

POWER_SGD_FLOAT32_OF_MAX = 5e-6
"""Difference of PowerSGD's float32 runs, PyTorch's and ours, as a share of the leaf's maximum: the
products are summed in other orders, and each step hands its errors on."""

MASK_STD_RELATIVE = 0.05
"""Error of the deviation of means over random masks, relative; the keys are fixed."""

# --- documents ----------------------------------------------------------------------------------

QUOTED_FACTOR = 3.0
"""A number in the documents over the one measured: hardware rounds in other ways, no more."""

QUOTED_AS_FAR = 1e-5
"""Distances above are claims that something is different, and hold from below too."""

# --- L-BFGS -------------------------------------------------------------------------------------

LBFGS_OF_PYTORCHS_OWN = 10.0
"""Distance from PyTorch in double precision, over that of PyTorch started 1e-15 away from itself:
the iteration amplifies every rounding, and the start is where only the first one goes in."""

LBFGS_STANDS_STILL = 1e-10
"""Relative decrease of the loss in one call below which its last digits decide what is counted."""

LBFGS_FEW_ITERATIONS_OF_MAX = 1e-11
"""Distance of two runs of some ten iterations that differ in rounding alone, as a share of the
array's maximum."""

LBFGS_FLOAT32_OF_PYTORCHS_OWN = 3.0
"""RMS error of a float32 run against PyTorch-float64, over the largest of three PyTorch-float32
runs that start one unit in the last place away, and whose loss moves by as much in every
evaluation: two libraries round a logarithm differently, and a line search decides by it. PyTorch
itself then takes the other branch from every third start on some processors (8e-4 away, not
2e-7)."""

LINE_SEARCH_OF_MAX = 1e-11
"""Error of a line search's step, loss and slope, over the larger of 1 and its value: up to two
dozen interpolations, each of which divides differences."""

# --- curvature ----------------------------------------------------------------------------------

HUTCHINSON_STANDARD_ERRORS = 4.0
"""Largest error among some 30 estimated diagonal entries, in their own standard errors; the key is
fixed."""

HUTCHINSON_VARIANCE_RATIO = 2.0
"""Mean square of those errors, from 1: the entries share their random signs."""

AUTOCAST_BFLOAT16_OF_MAX = 0.04
"""Difference between a small program in bfloat16 and in float32, as a share of an array's maximum:
some roundings of 2^-9 in a row, which show that nothing is lost, not how exact it is."""

# --- other libraries ----------------------------------------------------------------------------

DEEPSPEED_FLOAT32_OF_NORM = 3e-6
"""Distance of a float64 run from DeepSpeed's engine in float32 after 20 steps of its Adam, as a
share of the norm: 1.2e-6 measured, and 1e-2 where a number of the configuration is not read."""

REDUCED_IN_FLOAT16_OF_MAX = 4 * 2.0**-11
"""Error of gradients whose parts of eight devices are rounded to float16 and summed in it."""

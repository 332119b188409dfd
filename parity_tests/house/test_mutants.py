"""Planted bugs: the suite's own checks must fail on each, and pass without it.

A wrong formula is seen by the quick tier alone: its row names a function, whose quick tests must
fail. What shows elsewhere names a check of its own and what that is called on.
"""

import jax
import pytest

from parity_tests.harness.planted import Mutant, planted
from parity_tests.harness.quick import PLANTED_BUG, quick_tests
from parity_tests.nn import rows_fused_layers, test_norm_layers
from parity_tests.optimizers import (
    test_contract,
    test_optimizers,
    test_param_groups,
    test_state_dict,
)
from parity_tests.parallel import test_parallel
from parity_tests.precision import test_grad_scaler
from parity_tests.registry import rows
from parity_tests.training import test_scaler

CASES = {f"{case.function.split('.')[0]}.{case.id}": case for case in rows()}


# --- the checks ---------------------------------------------------------------------------------


def quick_tier(function):
    """Run the quick tier's tests of a function, up to the first that fails."""
    for name, test in quick_tests()[function]:
        try:
            test()
        except AssertionError as error:
            raise AssertionError(name) from error


# What the quick tier cannot show: last digits, wrappers, devices, states that come from PyTorch.


def low_precision_run(row):
    test_optimizers.test_low_precision_is_no_worse_than_pytorch(CASES[row])


def mirror_run(row):
    test_optimizers.test_torch_ref_equals_pytorch_at_every_step(CASES[row])


def fused(row):
    case = next(case for case in rows_fused_layers.FUSED if case.id == row)
    test_norm_layers.test_fused_layer_equals_pytorchs(case)


def eight_devices(mode):
    """With ``pmap`` the quick tier's, which has no row."""
    with jax.numpy_dtype_promotion("standard"):
        test_parallel.test_eight_devices_equal_one(test_parallel.perceptron, mode)


def _contract_row(name):
    return next(row for row in test_contract.ROWS if row.case is CASES[name])


def compiled_and_sharded(row):
    test_contract.test_compiled_step_is_traced_once_donates_and_keeps_its_state_in_place(
        _contract_row(row), test_contract.sharded
    )


def inside_scan(row):
    test_contract.test_wrapped_equals_plain(_contract_row(row), test_contract.in_scan)


def frozen_leaf(row):
    test_contract.test_leaf_without_gradient_is_frozen(_contract_row(row))


def many_dtypes(row):
    test_contract.test_many_dtypes_in_one_tree_keep_their_own(_contract_row(row))


def digits_of_decay_factors(_):
    test_param_groups.test_decay_factor_keeps_its_digits_in_float32()


def first_match(_):
    test_param_groups.test_first_match_wins()


def state_there(row):
    case = next(case for case in test_state_dict.CASES if case.why == row)
    test_state_dict.test_state_there_continues_equal(case)


def scales_of(sequence):
    test_grad_scaler.updates.cache_clear()  # compiled from the code as it was
    try:
        test_grad_scaler.test_every_scale_of_ten_thousand_steps_is_pytorchs(sequence)
    finally:
        test_grad_scaler.updates.cache_clear()


def scaled_steps(composition):
    test_scaler.test_parts_and_devices_have_pytorchs_scale_and_weights(composition)


def skipped_step(_):
    test_scaler.test_a_skipped_step_leaves_every_bit_but_the_models_own_state()


def schedules_at_skipped_steps(accelerate):
    test_scaler.test_schedules_go_on_at_skipped_steps_or_not(accelerate)


SGD, ADAM, ADAMW = (f"jaxaccel.optimizers.{name}" for name in ("_sgd", "_adam", "_adamw"))
ADAGRAD, ADADELTA, RMSPROP, ADAFACTOR = (
    f"jaxaccel.optimizers.{name}" for name in ("_adagrad", "_adadelta", "_rmsprop", "_adafactor")
)
TREE, MATH, LAYOUT = (f"jaxaccel.{name}" for name in ("_tree", "_math", "_layout"))
ADAMAX, NADAM, RADAM = (f"jaxaccel.optimizers.{name}" for name in ("_adamax", "_nadam", "_radam"))
ASGD, RPROP, MUON = (f"jaxaccel.optimizers.{name}" for name in ("_asgd", "_rprop", "_muon"))
CLIP_NORM = "jaxaccel.transforms._clip_grad_norm"
BATCH_NORM = "jaxaccel.functional._batch_norm"
SPECTRAL_NORM = "jaxaccel.nn._spectral_norm"
FUSE_BN = "jaxaccel.nn._fuse_bn"
TRANSPOSED = "jaxaccel.functional._conv_transpose"
EMBEDDING_BAG = "jaxaccel.functional._embedding_bag"
TRAIN_STEP = "jaxaccel.training._train_step"
ONE_CYCLE = "jaxaccel.schedules._one_cycle"

MUTANTS = [
    Mutant(
        "eps inside the root",
        ADAM,
        "jnp.sqrt(largest) / jnp.sqrt(bias_correction(beta2, step, dtype)) + eps",
        "jnp.sqrt(largest / bias_correction(beta2, step, dtype) + eps)",
        quick_tier,
        "optimizers.adam",
    ),
    Mutant(
        "eps before the correction",
        ADAM,
        "jnp.sqrt(largest) / jnp.sqrt(bias_correction(beta2, step, dtype)) + eps",
        "(jnp.sqrt(largest) + eps) / jnp.sqrt(bias_correction(beta2, step, dtype))",
        quick_tier,
        "optimizers.adam",
    ),
    Mutant(
        "step off by one",
        ADAM,
        "state[1:], step=step)",
        "state[1:], step=jax.tree.map(lambda s: s + 1, step))",
        quick_tier,
        "optimizers.adam",
    ),
    Mutant(
        "first moment not corrected",
        ADAM,
        "-(lr / bias_correction(beta1, step, dtype))",
        "-lr",
        quick_tier,
        "optimizers.adamw",
    ),
    Mutant(
        "bias correction as one minus a power",
        MATH,
        "return -jnp.expm1(step.astype(dtype) * log_beta)",
        "return 1 - jnp.exp(step.astype(dtype) * log_beta)",
        low_precision_run,
        "optimizers.adam-defaults",
    ),
    Mutant(
        "one minus beta rounded to float32",
        MATH,
        "keep, weight = in_dtype(average.dtype, beta, one_minus(beta))",
        "keep = jnp.asarray(beta, average.dtype); weight = 1 - keep",
        low_precision_run,
        "optimizers.adam-defaults",
    ),
    Mutant(
        "half precision not widened",
        TREE,
        "return _cast(leaf, compute_dtype(leaf.dtype))",
        "return leaf",
        low_precision_run,
        "optimizers.adam-defaults",
    ),
    Mutant(
        "amsgrad's maximum after the correction",
        ADAM,
        "jnp.maximum(max_exp_avg_sq, exp_avg_sq)",
        "jnp.maximum(max_exp_avg_sq, exp_avg_sq / bias_correction(beta2, step, dtype))",
        quick_tier,
        "optimizers.adam",
    ),
    Mutant(
        "coupled decay instead of decoupled",
        ADAMW,
        "maximize=maximize, decoupled_weight_decay=True",
        "maximize=maximize, decoupled_weight_decay=False",
        quick_tier,
        "optimizers.adamw",
    ),
    Mutant(
        "decay not scaled by the learning rate",
        ADAM,
        "update - lr * weight_decay * param",
        "update - weight_decay * param",
        quick_tier,
        "optimizers.adamw",
    ),
    Mutant(
        "maximize after the decay",
        SGD,
        """\
    grad = -grad if maximize else grad
    if not is_zero(weight_decay):
        grad = grad + weight_decay * param
""",
        """\
    if not is_zero(weight_decay):
        grad = grad + weight_decay * param
    grad = -grad if maximize else grad
""",
        quick_tier,
        "optimizers.sgd",
    ),
    Mutant(
        "maximize ignored",
        ADAM,
        "grad = -grad if maximize else grad",
        "del maximize",
        quick_tier,
        "optimizers.adam",
    ),
    Mutant(
        "dampening at the first step",
        SGD,
        "jnp.where(step == 1, grad, damped)",
        "damped",
        quick_tier,
        "optimizers.sgd",
    ),
    Mutant(
        "nesterov ignored",
        SGD,
        "grad + momentum * momentum_buffer if nesterov else momentum_buffer",
        "momentum_buffer",
        quick_tier,
        "optimizers.sgd",
    ),
    Mutant(
        "schedule read after the count",
        ADAM,
        "schedule_step(extra, state.step)",
        "schedule_step(extra, step)",
        quick_tier,
        "optimizers.adamw",
    ),
    Mutant(
        "complex update conjugated",
        MATH,
        "jax.lax.complex(pairs[..., 0], pairs[..., 1])",
        "jax.lax.complex(pairs[..., 0], -pairs[..., 1])",
        quick_tier,
        "optimizers.adam",
    ),
    Mutant(
        "asgd with this step's learning rate",
        ASGD,
        "functools.partial(_first_eta, lr=lr_now), state.eta, step)",
        "functools.partial(_next_eta, lr=lr_now, lambd=now['lambd'], alpha=0.0), state.step)",
        quick_tier,
        "optimizers.asgd",
    ),
    Mutant(
        "asgd averages a step early",
        ASGD,
        "_next_mu, t0=t0_now)",
        "_next_mu, t0=t0_now - 1)",
        quick_tier,
        "optimizers.asgd",
    ),
    Mutant(
        "a group's schedule lags by a step",
        "jaxaccel.optimizers._param_groups",
        "_all_rewritten(in_use, numbers, step)",
        "_all_rewritten(in_use, numbers, state.step)",
        quick_tier,
        "optimizers.adamw",
    ),
    Mutant(
        "the last group that matches wins",
        "jaxaccel.optimizers._param_groups",
        "row.index(True) for row",
        "([i for i, own in enumerate(row[:-1]) if own] or [len(row) - 1])[-1] for row",
        first_match,
        None,
    ),
    Mutant(
        "decay factors held as they are",
        "jaxaccel.optimizers._held",
        "held = Complement(place(one_minus(number))) if kind.decays else place(number)",
        "held = place(number)",
        digits_of_decay_factors,
        None,
    ),
    Mutant(
        "history in the ring's order",
        "jaxaccel.optimizers._torch_flat",
        "for k in range(max(0, stored - size), stored)",
        "for k in range(min(size, stored))",
        state_there,
        "lbfgs",
    ),
    Mutant(
        "asgd's averaging weight left behind",
        "jaxaccel.optimizers._load_entries",
        "for name in counts if entries}",
        "for name in counts[:1] if entries}",
        quick_tier,
        "optimizers.asgd",
    ),
    Mutant(
        "rprop lags by a step",
        RPROP,
        "return _against(grad, step_size)",
        "return _against(prev, step_size)",
        quick_tier,
        "optimizers.rprop",
    ),
    Mutant(
        "rprop remembers a gradient that has turned",
        RPROP,
        "grad = jnp.where(turned, 0, grad)",
        "prev = grad",
        quick_tier,
        "optimizers.rprop",
    ),
    Mutant(
        "muon's ratio of inputs to outputs",
        MUON,
        "outputs, inputs = grad",
        "inputs, outputs = grad",
        quick_tier,
        "optimizers.muon",
    ),
    Mutant(
        "muon adds eps to the norm",
        MATH,
        "jnp.maximum(norm, eps)",
        "(norm + eps)",
        quick_tier,
        "optimizers.muon",
    ),
    Mutant(
        "adagrad's eps inside the root",
        ADAGRAD,
        "jnp.sqrt(sum) + eps",
        "jnp.sqrt(sum + eps)",
        quick_tier,
        "optimizers.adagrad",
    ),
    Mutant(
        "adagrad's decay a step early",
        ADAGRAD,
        "(step - 1).astype(dtype)",
        "step.astype(dtype)",
        quick_tier,
        "optimizers.adagrad",
    ),
    Mutant(
        "adadelta's steps counted after the learning rate",
        ADADELTA,
        "ema_of_square(acc_delta, delta, rho)",
        "ema_of_square(acc_delta, lr * delta, rho)",
        quick_tier,
        "optimizers.adadelta",
    ),
    Mutant(
        "rmsprop's learning rate inside the buffer",
        RMSPROP,
        "momentum * momentum_buffer + direction",
        "momentum * momentum_buffer + lr * direction; lr = 1",
        quick_tier,
        "optimizers.rmsprop",
    ),
    Mutant(
        "adafactor factored over flax's last axes",
        LAYOUT,
        'if layout == "flax" else range(ndim)',
        'if layout == "keras" else range(ndim)',
        quick_tier,
        "optimizers.adafactor",
    ),
    Mutant(
        "adafactor without the relative step",
        ADAFACTOR,
        "jnp.minimum(lr, 1 / jnp.sqrt(count))",
        "lr",
        quick_tier,
        "optimizers.adafactor",
    ),
    Mutant(
        "adafactor's mean not bounded",
        ADAFACTOR,
        "row_var / jnp.maximum(mean, eps1) * col_var",
        "row_var / mean * col_var",
        quick_tier,
        "optimizers.adafactor",
    ),
    Mutant(
        "eps inside the root in the mirror",
        "torch_ref.optimizers._adam",
        "torch.sqrt(largest) / bias_correction(beta2, step) ** 0.5 + eps",
        "torch.sqrt(largest / bias_correction(beta2, step) + eps)",
        mirror_run,
        "optimizers.adam-eps",
    ),
    Mutant(
        "adamax's eps after the maximum",
        ADAMAX,
        "jnp.maximum(exp_inf * keep, jnp.abs(grad) + eps)",
        "jnp.maximum(exp_inf * keep, jnp.abs(grad)) + eps",
        quick_tier,
        "optimizers.adamax",
    ),
    Mutant(
        "nadam's coefficient not rounded to float32",
        NADAM,
        "mu_product.astype(jnp.float32) * mu.astype(jnp.float32)",
        "(mu_product.astype(dtype) * mu).astype(jnp.float32)",
        quick_tier,
        "optimizers.nadam",
    ),
    Mutant(
        "nadam's next coefficient a step late",
        NADAM,
        "coefficient(step + 1)",
        "coefficient(step)",
        quick_tier,
        "optimizers.nadam",
    ),
    Mutant(
        "nadam's product taken from 1 after rounding",
        NADAM,
        "(1 - product) + product * one_minus_mu_next",
        "1 - product * mu_next",
        low_precision_run,
        "optimizers.nadam-momentum-decay-extreme-and-beta1-near-one",
    ),
    Mutant(
        "radam rectified from five on",
        RADAM,
        "return rho > 5,",
        "return rho >= 5,",
        quick_tier,
        "optimizers.radam",
    ),
    Mutant(
        "radam's rho always from rho_inf",
        RADAM,
        "jnp.where(half < 1, early, late)",
        "late",
        low_precision_run,
        "optimizers.radam-beta2-near-one",
    ),
    Mutant(
        "radam's eps after the correction",
        RADAM,
        "scale / (jnp.sqrt(exp_avg_sq) + eps)",
        "scale / (jnp.sqrt(exp_avg_sq) + eps * scale / rectification)",
        quick_tier,
        "optimizers.radam",
    ),
    Mutant(
        "clipping without 1e-6",
        CLIP_NORM,
        "max_norm / (total_norm + 1e-6)",
        "max_norm / total_norm",
        quick_tier,
        "transforms.clip_grad_norm",
    ),
    Mutant(
        "small gradients scaled up",
        CLIP_NORM,
        "jnp.where(coefficient > 1, jnp.ones_like(coefficient), coefficient)",
        "coefficient",
        quick_tier,
        "transforms.clip_grad_norm",
    ),
    Mutant(
        "norm accumulated in half precision",
        CLIP_NORM,
        "return leaf.astype(compute_dtype(leaf.dtype))",
        "return leaf",
        quick_tier,
        "transforms.clip_grad_norm",
    ),
    Mutant(
        "one norm for all slices",
        "jaxaccel.nn._weight_norm",
        "jnp.sum(direction * direction, axes, keepdims=True)",
        "jnp.sum(direction * direction, keepdims=True)",
        quick_tier,
        "nn.weight_norm",
    ),
    Mutant(
        "v moved before u",
        SPECTRAL_NORM,
        "left = _normalized(jnp.dot(matrix, right), eps)",
        "right = _normalized(jnp.dot(matrix.T, left), eps)",
        quick_tier,
        "nn.spectral_norm",
    ),
    Mutant(
        "gradient through the power method",
        SPECTRAL_NORM,
        "u, v = jax.lax.stop_gradient((u, v))",
        "u, v = u, v",
        quick_tier,
        "nn.spectral_norm",
    ),
    Mutant(
        "running variance biased",
        BATCH_NORM,
        "return stats, stats.var * (count / (count - 1))",
        "return stats, stats.var",
        quick_tier,
        "functional.batch_norm",
    ),
    Mutant(
        "output normalized with the unbiased variance",
        BATCH_NORM,
        "scale_and_shift(shifted, delta, var, eps",
        "scale_and_shift(shifted, delta, unbiased if training else var, eps",
        quick_tier,
        "functional.batch_norm",
    ),
    Mutant(
        "momentum weighs the old value",
        "jaxaccel.functional._channels",
        "keep * running.astype(new.dtype) + take * new",
        "take * running.astype(new.dtype) + keep * new",
        quick_tier,
        "functional.batch_norm",
    ),
    Mutant(
        "groups of channels that are not neighbours",
        "jaxaccel.functional._group_norm",
        "if axis != channel_axis)",
        "if axis != channel_axis + 1)",
        quick_tier,
        "functional.group_norm",
    ),
    Mutant(
        "even windows that lean to the right",
        "jaxaccel.functional._local_response_norm",
        "(size // 2, (size - 1) // 2)",
        "((size - 1) // 2, size // 2)",
        quick_tier,
        "functional.local_response_norm",
    ),
    *(
        Mutant(why, f"jaxaccel.functional.{module}", original, mutated, quick_tier, row)
        for why, module, original, mutated, row in [
            (
                "relu's slope at zero is one",
                "_threshold",
                "x <= threshold",
                "x < threshold",
                "functional.relu",
            ),
            (
                "gelu approximated by default",
                "_gelu",
                'approximate == "tanh"',
                "True",
                "functional.gelu",
            ),
        ]
    ),
    *(
        Mutant(why, f"jaxaccel.functional.{module}", original, mutated, quick_tier, row)
        for why, module, original, mutated, row in [
            (
                "weighted mean over the number of targets",
                "_class_indices",
                "total / jnp.sum(weights)",
                "total / weights.size",
                "functional.cross_entropy",
            ),
            (
                "ignored targets are smoothed",
                "_cross_entropy",
                "index == ignore_index, jnp.zeros_like",
                "index < ignore_index, jnp.zeros_like",
                "functional.cross_entropy",
            ),
            (
                "smoothing spread over the other classes",
                "_cross_entropy",
                "label_smoothing / classes",
                "label_smoothing / (classes - 1)",
                "functional.cross_entropy",
            ),
            (
                "absolute error with a slope where it is zero",
                "_l1_loss",
                "difference * jnp.where(jnp.isnan(sign), jnp.zeros_like(sign), sign)",
                "jnp.abs(difference)",
                "functional.l1_loss",
            ),
        ]
    ),
    Mutant(
        "cycle peaks one step late",
        ONE_CYCLE,
        "peak = float(pct_start * total_steps) - 1",
        "peak = float(pct_start * total_steps)",
        quick_tier,
        "schedules.one_cycle_lr",
    ),
    Mutant(
        "cycle ends one step late",
        ONE_CYCLE,
        "float(total_steps - 1)",
        "float(total_steps)",
        quick_tier,
        "schedules.one_cycle_lr",
    ),
    *(
        Mutant(
            why, f"jaxaccel.schedules.{module}", original, mutated, quick_tier, f"schedules.{row}"
        )
        for why, module, original, mutated, row in [
            (
                "drops one step early",
                "_step_lr",
                "power(xp, gamma, k // step_size)",
                "power(xp, gamma, (k + 1) // step_size)",
                "step_lr",
            ),
            (
                "milestone counts one step late",
                "_table",
                'side="right"',
                'side="left"',
                "multi_step_lr",
            ),
            (
                "constant for one step more",
                "_constant_lr",
                "k < total_iters, first, last",
                "k <= total_iters, first, last",
                "constant_lr",
            ),
            (
                "linear factor without its start in a chain",
                "_linear_lr",
                "xp.where(k == 0, start_factor, xp.where(moves",
                "xp.where(k == 0, 1.0, xp.where(moves",
                "sequential_lr",
            ),
            (
                "polynomial never ends",
                "_polynomial_lr",
                "xp.maximum(total_iters - k, 0).astype(float)",
                "abs(total_iters - k).astype(float)",
                "polynomial_lr",
            ),
            (
                "restarts find the next cycle's length",
                "_cosine_annealing_warm_restarts",
                "length = read_table(xp, lengths, cycle)",
                "length = read_table(xp, lengths, cycle + 1)",
                "cosine_annealing_warm_restarts",
            ),
            (
                "cycles counted from zero",
                "_cyclic",
                "scale(xp, 1 + k // total, k)",
                "scale(xp, k // total, k)",
                "cyclic_lr",
            ),
            (
                "swa starts from the first rate",
                "_swa_lr",
                "between(xp, start.lr, start.group.swa_lr, k)",
                "between(xp, start.base_lr, start.group.swa_lr, k)",
                "sequential_lr",
            ),
            (
                "cosine rises one step early in a chain",
                "_cosine_annealing_lr",
                "rises = before == T_max",
                "rises = before == T_max - 1",
                "chained_scheduler",
            ),
            (
                "members forget what a one cycle wrote",
                "_combine",
                "bases.append(group.initial_lr)",
                "bases.append(lr)",
                "sequential_lr",
            ),
            (
                "nested members are not stepped back",
                "_recursion",
                "run.epoch[inner] -= 1",
                "run.epoch[inner] -= 0",
                "sequential_lr",
            ),
            (
                "a chain behind a fixed rate multiplies all factors",
                "_chained_scheduler",
                "value = leaf.next(start)(xp, k, value)",
                "value = leaf.values(start._replace(lr=value))(xp, k)",
                "chained_scheduler",
            ),
        ]
    ),
    Mutant(
        "plateau counts one metric less",
        "jaxaccel.schedules._reduce_lr_on_plateau",
        "reduces = bad > most_bad",
        "reduces = bad >= most_bad",
        quick_tier,
        "schedules.reduce_lr_on_plateau",
    ),
    Mutant(
        "fans swapped",
        LAYOUT,
        "return shape[input_axis(layout)] * window, shape[output_axis(layout)] * window",
        "return shape[output_axis(layout)] * window, shape[input_axis(layout)] * window",
        quick_tier,
        "init.kaiming_uniform",
    ),
    Mutant(
        "xavier with one fan",
        "jaxaccel.init._xavier",
        "2.0 / float(fan_in + fan_out)",
        "1.0 / float(fan_in)",
        quick_tier,
        "init.xavier_normal",
    ),
    Mutant(
        "sum over devices instead of the mean",
        "jaxaccel.parallel._per_device",
        "jax.lax.pmean(leaf, axes)",
        "jax.lax.psum(leaf, axes)",
        eight_devices,
        "pmap",
    ),
    Mutant(
        "step counted outside the state",
        ADAM,
        "step = next_counts(state.step, updates)",
        "update.calls = getattr(update, 'calls', 0) + 1; step = jnp.int32(update.calls)",
        inside_scan,
        "optimizers.adam-defaults",
    ),
    Mutant(
        "two state slots in one buffer",
        ADAM,
        "exp_avg=zeros_like(params),\n            exp_avg_sq=zeros_like(params),",
        "exp_avg=(zeros := zeros_like(params)),\n            exp_avg_sq=zeros,",
        compiled_and_sharded,
        "optimizers.adam-defaults",
    ),
    Mutant(
        "step counter not on the mesh",
        TREE,
        "if isinstance(leaf.sharding, NamedSharding):",
        "if False:",
        compiled_and_sharded,
        "optimizers.sgd-defaults",
    ),
    Mutant(
        "frozen leaf loses the sign of zero",
        TREE,
        "jnp.full_like(param, complex(-0.0, -0.0) if jnp.iscomplexobj(param) else -0.0)",
        "jnp.zeros_like(param)",
        frozen_leaf,
        "optimizers.adam-defaults",
    ),
    Mutant(
        "kernel of a transposed convolution not turned round",
        TRANSPOSED,
        "jnp.flip(weight, range(axes))",
        "weight",
        quick_tier,
        "functional.conv_transpose2d",
    ),
    Mutant(
        "groups of a transposed convolution mixed up",
        TRANSPOSED,
        "outputs, groups, inputs // groups)",
        "outputs, inputs // groups, groups)",
        quick_tier,
        "functional.conv_transpose2d",
    ),
    Mutant(
        "first integer of a bag in the bag before",
        EMBEDDING_BAG,
        'side="right"',
        'side="left"',
        quick_tier,
        "functional.embedding_bag",
    ),
    Mutant(
        "fused bias not centred",
        FUSE_BN,
        "(-mean if bias is None else bias - mean)",
        "(jnp.zeros_like(mean) if bias is None else bias)",
        quick_tier,
        "nn.Conv2d",
    ),
    Mutant(
        "fused groups of a transposed convolution mixed up",
        FUSE_BN,
        "of_group = scale.reshape(conv.groups, -1)",
        "of_group = scale.reshape(-1, conv.groups).T",
        fused,
        "ConvTranspose2d-fused-groups",
    ),
    Mutant(
        "bins of an adaptive pool that do not overlap",
        "jaxaccel.functional._pool_bins",
        "-(-(index + 1) * length // max(size, 1))",
        "(index + 1) * length // max(size, 1)",
        quick_tier,
        "functional.adaptive_avg_pool1d",
    ),
    Mutant(
        "dilation ignored",
        "jaxaccel.functional._conv_gradient",
        "rhs_dilation=dilation",
        "rhs_dilation=(1,) * len(stride)",
        quick_tier,
        "functional.conv2d",
    ),
    Mutant(
        "zeros of the padding counted the other way round",
        "jaxaccel.functional._avg_pool",
        "if not count_include_pad:",
        "if count_include_pad:",
        quick_tier,
        "functional.avg_pool2d",
    ),
    Mutant(
        "pairs of padding from the first axis on",
        "jaxaccel.functional._pad",
        "[input.ndim - 2 - i for i in range(spatial)]",
        "[i + 1 for i in range(spatial)]",
        quick_tier,
        "functional.pad",
    ),
    Mutant(
        "dropout without its scale",
        "jaxaccel.functional._dropout",
        "jnp.asarray(factor, input.dtype)",
        "jnp.ones((), input.dtype)",
        quick_tier,
        "functional.dropout",
    ),
    Mutant(
        "factor of an interpolation recomputed from the sizes",
        "jaxaccel.functional._interpolate_taps",
        "ratio = 1 / scale_factor if scale_factor else length / size",
        "ratio = length / size",
        quick_tier,
        "functional.interpolate",
    ),
    Mutant(
        "everything in float32",
        TREE,
        "return _cast(leaf, compute_dtype(leaf.dtype))",
        "return leaf.astype(jnp.float32)",
        quick_tier,
        "optimizers.adam",
    ),
    Mutant(
        "updates in the dtype of the arithmetic",
        TREE,
        "return _cast(result, jnp.result_type(target))",
        "return result",
        many_dtypes,
        "optimizers.adam-defaults",
    ),
    Mutant(
        "scale grown one step late",
        "jaxaccel.precision._loss_scale",
        "grows = successful == growth_interval",
        "grows = growth_tracker == growth_interval",
        scales_of,
        "at random",
    ),
    Mutant(
        "subnormal scales taken for 0",
        "jaxaccel.precision._loss_scale",
        "jnp.where(magnitude < _ONE, small, plain)",
        "plain",
        scales_of,
        "through subnormal numbers and back",
    ),
    Mutant(
        "gradients unscaled after clipping",
        TRAIN_STEP,
        "clip_grads_with_norm(grads, max_grad_norm, norm)",
        "clip_grads_with_norm(grads, max_grad_norm, norm * state.scaler.scale.astype(norm.dtype))",
        scaled_steps,
        "in parts",
    ),
    Mutant(
        "skipped step that advances the optimizer's count",
        TRAIN_STEP,
        "opt_state=opt_state, scaler=of_scaler",
        "opt_state=new.opt_state, scaler=of_scaler",
        skipped_step,
        None,
    ),
    Mutant(
        "schedules that stand still at skipped steps",
        "jaxaccel._counts",
        "return own if skipped is None else own +",
        "return own if True else own +",
        schedules_at_skipped_steps,
        False,
    ),
]


passed = set()


def assert_passes_without(mutant, first):
    """Assert that what has failed passes when the bug is gone; once for mutants that share it.

    Of the quick tier that is the test which has caught the bug: the suite runs the others.
    """
    if (mutant.check, mutant.row, first) not in passed:
        if mutant.check is quick_tier:
            dict(quick_tests()[mutant.row])[first]()
        else:
            mutant.check(mutant.row)
        passed.add((mutant.check, mutant.row, first))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.why.replace(" ", "-"))
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_planted_bug_is_caught(mutant, record_property):
    """``pytest -s parity_tests/house/test_mutants.py`` ends with a table of who catches what."""
    with planted(mutant), pytest.raises(AssertionError) as caught:
        mutant.check(mutant.row)
    by_itself = f"{mutant.check.__name__}[{mutant.row}]"
    first = str(caught.value) if mutant.check is quick_tier else by_itself
    assert_passes_without(mutant, first)
    record_property(PLANTED_BUG, [mutant.why, first])

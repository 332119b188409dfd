"""``"auto"`` in a DeepSpeed configuration, as Transformers fills it in."""

from __future__ import annotations

from typing import Any

from jaxaccel.interop._deepspeed_keys import KEYS

SOURCES = {
    "train_micro_batch_size_per_gpu": "per_device_train_batch_size",
    "gradient_accumulation_steps": "gradient_accumulation_steps",
    "gradient_clipping": "max_grad_norm",
    "optimizer.params.lr": "learning_rate",
    "optimizer.params.betas": "adam_beta1 adam_beta2",
    "optimizer.params.eps": "adam_epsilon",
    "optimizer.params.weight_decay": "weight_decay",
    "scheduler.params.warmup_max_lr": "learning_rate",
    "scheduler.params.warmup_num_steps": "warmup_steps",
    "scheduler.params.total_num_steps": "num_training_steps",
    "fp16.enabled": "fp16",
    "bf16.enabled": "bf16",
}
"""Key -> the argument that fills it in, in Transformers' words, or the two."""

CONSTANTS = {"scheduler.params.warmup_min_lr": 0.0}
"""Key -> what Transformers fills in whatever it is given."""

COMPUTED = ("train_batch_size",)
"""Keys that follow from others, as if they were not there."""

AUTO = "auto"

_THRESHOLD = "stage3_param_persistence_threshold"


def filled_in(config: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration with what is ``"auto"`` filled in from arguments.

    Raises:
        ValueError: An argument is missing, or says something else than the configuration.
    """
    if given["fp16"] is None and given["bf16"] is not None:
        given = {**given, "fp16": False}
    elif given["bf16"] is None and given["fp16"] is not None:
        given = {**given, "bf16": False}
    missing: list[str] = []
    differ: list[str] = []
    filled = _filled(config, "", given, missing, differ)
    if missing:
        raise ValueError(
            f"'auto' in the configuration, and nothing to fill in: {'; '.join(missing)}"
        )
    if differ:
        raise ValueError(
            "Please correct the following DeepSpeed config values that mismatch TrainingArguments "
            "values:\n" + "\n".join(differ) + "\nThe easiest method is to set these DeepSpeed "
            "config values to 'auto'.\nOr leave the arguments out"
        )
    return filled


def _filled(
    config: dict[str, Any],
    before: str,
    given: dict[str, Any],
    missing: list[str],
    differ: list[str],
) -> dict[str, Any]:
    found = {}
    for name, value in config.items():
        path = f"{before}{name}"
        if isinstance(value, dict):
            value = _filled(value, f"{path}.", given, missing, differ)
        source = SOURCES.get(path)
        if value == AUTO:
            if path in COMPUTED:
                continue
            value = CONSTANTS.get(path, None if source is None else _given(source, given))
            if value is None and _is_left(path):
                continue
            if value is None:
                names = " and ".join(f"{each}=" for each in (source or "").split())
                how = f"pass {names}" if source else "write a value"
                missing.append(f"{path} ({how})")
        elif source is not None and value is not None:
            differ += _contradictions(path, value, source, given)
        found[name] = value
    return found


def _given(source: str, given: dict[str, Any]) -> Any:
    """Return what an argument says, or two of them together; None where one is not given."""
    values = tuple(given[name] for name in source.split())
    if any(value is None for value in values):
        return None
    return values[0] if len(values) == 1 else values


def _contradictions(path: str, value: Any, source: str, given: dict[str, Any]) -> list[str]:
    """Return a line for each argument that says something else; of two, one alone may."""
    names = source.split()
    written = [value] if len(names) == 1 else value
    if len(names) > 1 and not (isinstance(value, (list, tuple)) and len(value) == len(names)):
        return []  # which the optimizer refuses
    return [
        f"- ds {path}={value} vs hf {name}={given[name]}"
        for name, own in zip(names, written, strict=True)
        if given[name] is not None and own != given[name]
    ]


def notes_on_auto(config: dict[str, Any]) -> tuple[str, ...]:
    """Return a line where ``"auto"`` is filled in otherwise than by Transformers."""
    zero = config.get("zero_optimization") or {}
    if zero.get(_THRESHOLD) != AUTO or zero.get("stage") != 3:
        return ()
    return (
        f"zero_optimization.{_THRESHOLD}: 'auto' is DeepSpeed's default of 100,000 here; "
        "Transformers' is 10 times the model's hidden_size, which no argument holds: write it "
        "where it matters",
    )


def _is_left(path: str) -> bool:
    """Return whether the value does not matter, or the default is DeepSpeed's own."""
    key = KEYS.get(path)
    return path.endswith(_THRESHOLD) or (key is not None and key.kind == "noted")

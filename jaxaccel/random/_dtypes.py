"""The dtypes that PyTorch draws, with the names that its errors give them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

FLOATING = ("Half", "BFloat16", "Float", "Double")
COMPLEX = ("ComplexFloat", "ComplexDouble")
PARTS = {"complex64": "float32", "complex128": "float64"}
"""The dtype of a complex number's real and imaginary part."""

UNSIGNED = ("UInt16", "UInt32", "UInt64")


class ScalarType(NamedTuple):
    """A dtype as PyTorch knows it."""

    dtype: np.dtype
    name: str
    """PyTorch's name of the scalar type."""
    cpp_name: str
    """What the compiler calls it."""
    digits: int
    """Bits of a number: the largest integer up to which all are exact is 2**digits."""

    @property
    def is_floating(self) -> bool:
        """Whether it is a floating-point type."""
        return self.name in FLOATING

    @property
    def largest(self) -> float:
        """The largest finite number of a floating-point type."""
        # NumPy's finfo does not know bfloat16: 8 bits of the mantissa, float32's exponents.
        if self.name == "BFloat16":
            return (2 - 2.0**-7) * 2.0**127
        return float(np.finfo(self.dtype).max)


_SCALAR_TYPES = {
    "bool": ("Bool", "bool", 1),
    "uint8": ("Byte", "unsigned char", 8),
    "uint16": ("UInt16", "short unsigned int", 16),
    "uint32": ("UInt32", "unsigned int", 32),
    "uint64": ("UInt64", "long unsigned int", 64),
    "int8": ("Char", "signed char", 7),
    "int16": ("Short", "short int", 15),
    "int32": ("Int", "int", 31),
    "int64": ("Long", "long int", 63),
    "float16": ("Half", "c10::Half", 11),
    "bfloat16": ("BFloat16", "c10::BFloat16", 8),
    "float32": ("Float", "float", 24),
    "float64": ("Double", "double", 53),
    "complex64": ("ComplexFloat", "c10::complex<float>", 24),
    "complex128": ("ComplexDouble", "c10::complex<double>", 53),
}


def scalar_type(dtype: Any) -> ScalarType:
    """Return the scalar type of a NumPy or JAX dtype."""
    dtype = np.dtype(dtype)
    if dtype.name not in _SCALAR_TYPES:
        raise TypeError(f"dtype must be one that PyTorch draws, got {dtype.name}")
    return ScalarType(dtype, *_SCALAR_TYPES[dtype.name])


def check_supported(scalar: ScalarType, names: tuple[str, ...], kernel: str) -> None:
    """Raise PyTorch's error unless the scalar type is one of those that a kernel draws."""
    if scalar.name not in names:
        raise NotImplementedError(f'"{kernel}" not implemented for {scalar.name!r}')


def rounded(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return floating-point numbers in a dtype; half precision is reached through float32."""
    with np.errstate(over="ignore"):
        if dtype.itemsize == 2:
            values = values.astype(np.float32)
        return values.astype(dtype, copy=False)


def names_but(*names: str) -> tuple[str, ...]:
    """Return PyTorch's names of all scalar types but these."""
    return tuple(name for name, _, _ in _SCALAR_TYPES.values() if name not in names)

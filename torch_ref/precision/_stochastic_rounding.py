"""Stochastic rounding: bfloat16 numbers that move by less than their last digit, on average."""

import torch


def rounded_at_random(x, bits):
    """Return float32 numbers in bfloat16, rounded away from 0 where ``bits`` carry.

    bfloat16 is the upper half of float32. 16 random bits are added to the lower half: they carry
    over into the upper one in as many of 65,536 cases as the lower half says.
    """
    whole = x.view(torch.int32)
    upper = (whole + bits.to(torch.int32)) & -0x10000
    found = upper.view(torch.float32)
    return torch.where(torch.isfinite(x), found, x).to(torch.bfloat16)

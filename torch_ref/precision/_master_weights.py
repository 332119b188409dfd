"""float32 copies of parameters in half precision."""

import torch


def _moved(master, move):
    """Return the copy after an update."""
    return master if master is None or move is None else torch.add(master, move)


def _update(param, moved, move):
    """Return the update that leads a parameter to its rounded copy."""
    if moved is None or move is None:
        return move
    return moved.to(param.dtype).to(moved.dtype) - param.to(moved.dtype)

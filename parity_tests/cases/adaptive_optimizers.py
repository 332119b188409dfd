"""Rows for optimizers that divide by a running size of the gradient, without Adam's moments."""

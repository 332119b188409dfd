"""A small GPT-2 of Hugging Face's own, written once into the folder ``gpt2`` beside this file.

``python -m parity_tests.interop.gpt2_by_transformers`` needs ``transformers`` (5.24), which the
tests do without. Its weights are random, biases and norms too, its logits are computed in float64.
"""

from pathlib import Path

import numpy as np
import torch

import parity_tests.harness.torchvision  # noqa: F401  (which transformers imports, where it is)

FOLDER = Path(__file__).with_name("gpt2")
SIZES = {"vocab_size": 13, "n_positions": 8, "n_embd": 12, "n_layer": 2, "n_head": 3}


def main():
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(**SIZES)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(FOLDER)
    for other in ("config.json", "generation_config.json"):
        (FOLDER / other).unlink(missing_ok=True)
    tokens = torch.randint(0, SIZES["vocab_size"], (3, SIZES["n_positions"]))
    with torch.no_grad():
        logits = model.double()(tokens).logits
    np.savez(FOLDER / "logits.npz", tokens=tokens.numpy(), logits=logits.numpy())
    print({name: tuple(tensor.shape) for name, tensor in model.state_dict().items()})


if __name__ == "__main__":
    main()

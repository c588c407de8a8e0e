"""The model: what examples/train-job has learned, in torch, on the GPU where there is one."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

WEIGHTS = Path(__file__).parent / "weights" / "digits.safetensors"


class Reader:
    def __init__(self, weights: Path = WEIGHTS) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        tensors = load_file(weights)
        hidden = tensors["0.bias"].shape[0]
        network = nn.ModuleList([nn.Linear(64, hidden), nn.Linear(hidden, 10)])
        network.load_state_dict(tensors)
        self._network = nn.Sequential(network[0], nn.ReLU(), network[1], nn.Softmax(dim=1)).eval().to(self.device)

    @torch.inference_mode()
    def read(self, images: list[list[float]]) -> list[tuple[int, float]]:
        """For each image, 64 pixels of 0 to 16: the likeliest digit, and how sure that is."""
        pixels = torch.tensor(images, dtype=torch.float32, device=self.device) / 16
        sure, digits = self._network(pixels).max(dim=1)
        return list(zip(digits.tolist(), sure.tolist()))

"""Each test starts with accelerate as in a fresh process, and computes on one thread."""

import pytest
import torch
from accelerate.state import AcceleratorState


@pytest.fixture(autouse=True)
def fresh_accelerate():
    torch.set_num_threads(1)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)

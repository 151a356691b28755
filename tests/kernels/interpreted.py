"""Runs functions of kernels in Triton's interpreter: reads a pickle of calls, writes one of results.

    TRITON_INTERPRET=1 python tests/kernels/interpreted.py CALLS RESULTS

Calls are (module, function, arguments). The variable is read when Triton is imported, hence a process of its own.
"""

import importlib
import pickle
import sys
from pathlib import Path

import torch

calls = pickle.loads(Path(sys.argv[1]).read_bytes())
with torch.inference_mode():
    results = [getattr(importlib.import_module(module), name)(*arguments) for module, name, arguments in calls]
Path(sys.argv[2]).write_bytes(pickle.dumps(results))

"""What torch.compile needs of a machine.

The text of this module travels to machines where paretune may be missing: it imports nothing of it.
"""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path

WAY_OUT = "or leave --compile out"
SAMPLE = "#include <Python.h>\n#include <vector>\nstd::vector<long> none;\n"
"""What a compiler has to understand that is whole."""


def cannot_compile() -> str | None:
    """Why torch cannot compile on this machine, then ``; `` and the way out; ``None`` if it can."""
    import torch
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler
    from torch.utils._triton import has_triton

    try:
        compiler = get_cpp_compiler()
    except InvalidCxxCompiler:
        return (
            "--compile: torch.compile needs a C++ compiler and there is none; install g++, name"
            f" another compiler in CXX, {WAY_OUT}"
        )
    include = sysconfig.get_paths()["include"]
    if not (Path(include) / "Python.h").is_file():
        return (
            "--compile: torch.compile needs the headers of this Python, which are not there;"
            f" install them (python3-dev, or python3-devel), {WAY_OUT}"
        )
    words = [compiler, "-x", "c++", "-fsyntax-only", f"-I{include}", "-"]
    tried = subprocess.run(words, input=SAMPLE, capture_output=True, text=True, check=False)
    if tried.returncode:
        said = next(iter(tried.stderr.strip().splitlines()), "it says nothing").replace(";", ",")
        return (
            f"--compile: the C++ compiler {compiler} does not work: {said}; install g++ anew, name"
            f" another compiler in CXX, {WAY_OUT}"
        )
    if torch.cuda.is_available() and not has_triton():
        return f"--compile: torch.compile needs triton for a GPU; install it, {WAY_OUT}"
    return None

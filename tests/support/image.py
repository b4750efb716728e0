"""The container image, built from its Dockerfile and run without an engine: buildah builds it, namespaces of the kernel run it.

The image that it stands on cannot be had without a registry. In its place stands the Debian whose Python has the same version, as
``debootstrap`` makes it from the packages of this machine's own archive.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from support.due import unavailable

PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
"""Where the tools are, also for who is root without those folders in his own."""
ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("buildah", "debootstrap", "apt-get", "unshare", "nsenter", "setpriv", "chroot")
SUITES = {"3.11": "bookworm", "3.13": "trixie"}
"""The Debian that has a Python."""
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
INSIDE = """
set -e
root=$1 user=$2; shift 2
mount --bind "$root" "$root"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -t tmpfs -o size=64m,mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o "size=512m,uid=${user%:*},gid=${user#*:},mode=0700" tmpfs "$root/data"
mount -o remount,bind,ro "$root"
exec setpriv --no-new-privs chroot --userspec="$user" "$root" env -i "$@"
"""
"""What compose and Kubernetes give a container: a root that nobody writes to, two temporary folders, no way to more rights."""


def ready() -> None:
    """Skip, or fail where it is due, when an image cannot be built here."""
    missing = [tool for tool in TOOLS if shutil.which(tool, path=PATH) is None]
    if missing:
        unavailable("image", f"no {', '.join(missing)} here (Debian: apt-get install buildah debootstrap)")
    if os.geteuid() != 0:
        unavailable("image", "an image is built without an engine by root alone")


def said(*command: str, patience: float = 600, **environment: str) -> str:
    """What a command says on standard output; it must succeed."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PATH": PATH, "LC_ALL": "C.UTF-8", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=patience,
        check=False,
    )
    assert done.returncode == 0, f"{command[:6]}: {(done.stdout + done.stderr)[-3000:]}"
    return done.stdout


class Image:
    """The image, in a store of its own.

    Args:
        folder: of the store.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _buildah(self, *arguments: str) -> str:
        store = ("--root", str(self._folder / "store"), "--runroot", str(self._folder / "run"))
        return said("buildah", *store, *arguments, BUILDAH_ISOLATION="chroot").strip()

    def build(self, dockerfile: Path) -> None:
        """Build it, and unpack it."""
        self._stand_in(dockerfile.read_text(encoding="utf-8"))
        self._buildah(
            "bud", "--pull=never", "--network=host", "--format=docker", "-f", str(dockerfile), "-t", "sengol-api", str(ROOT)
        )
        self.root = Path(self._buildah("mount", self._buildah("from", "--pull=never", "localhost/sengol-api")))

    def _stand_in(self, dockerfile: str) -> None:
        (name,) = set(re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE))
        version = name.partition(":")[2].partition("-")[0]
        system = self._folder / "system"
        archive = said("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Origin: Debian").split()[0]
        packages = "--include=python3,python3-venv,ca-certificates"
        said("debootstrap", "--variant=minbase", packages, SUITES[version], str(system), archive)
        shutil.copy(CERTIFICATES, system / CERTIFICATES.lstrip("/"))  # a proxy of this machine may have one of its own
        (system / "usr/local/bin/python").symlink_to("/usr/bin/python3")
        container = self._buildah("from", "scratch")
        self._buildah("add", "--quiet", container, str(system), "/")
        shutil.rmtree(system)
        self._buildah("config", "--env", f"PIP_CERT={CERTIFICATES}", container)
        self._buildah("config", "--env", "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", container)
        self._buildah("commit", "--quiet", container, name)
        self._buildah("rm", container)

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """How it is run, as engines read it."""
        told = json.loads(self._buildah("inspect", "--type", "image", "localhost/sengol-api"))
        found: Mapping[str, Any] = told["Docker"]["config"]
        return found

    def command(self, **environment: str) -> Sequence[str]:
        """The command that runs it as an engine would, on this machine's network; it is the first process of its namespace."""
        given = [*self.config["Env"], *(f"{name}={value}" for name, value in environment.items())]
        alone = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", INSIDE, "sh")
        return (*alone, str(self.root), self.config["User"], *given, *self.config["Entrypoint"], *self.config["Cmd"])

    def within(self, pid: int, *command: str) -> subprocess.CompletedProcess[str]:
        """Run something beside a running one, with its user and its environment.

        Args:
            pid: of the running one's first process.
            command: the program has a path.
        """
        user, _, group = self.config["User"].partition(":")
        there = ("nsenter", "--target", str(pid), "--mount", "--pid", "--root", "--wd", "--setuid", user, "--setgid", group)
        given = Path(f"/proc/{pid}/environ").read_text(encoding="utf-8").rstrip("\0").split("\0")
        return subprocess.run(
            [*there, "/usr/bin/env", "-i", *given, *command], capture_output=True, text=True, timeout=60, check=False
        )

    def close(self) -> None:
        """Leave nothing of it: a store takes gigabytes."""
        for what in ("umount", "rm"):
            self._buildah(what, "--all")
        shutil.rmtree(self._folder)


@contextmanager
def image(folder: Path) -> Iterator[Image]:
    """The built image."""
    ready()
    made = Image(folder)
    try:
        made.build(ROOT / "deploy/Dockerfile")
        yield made
    finally:
        made.close()

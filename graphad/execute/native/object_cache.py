"""Object code kept by content: in this process while somebody uses it, and on disk.

A module is kept in parts, one for each function, so that what two modules have in common is compiled once. What is
compiled depends on the LLVM IR, the optimisation level, the processor, LLVM's version and graphad's; the name of an
entry is the SHA-256 of all of these. A file holds its own checksum: one that is damaged, cut short or not this
user's own is not used. Writing is a service, never a duty: where it fails, nothing is kept.

GRAPHAD_CACHE=0 keeps nothing on disk. GRAPHAD_CACHE_DIR names the directory; else it is the platform's for caches.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import graphad
from graphad.execute.native.compilation import object_codes
from graphad.execute.native.target import FULL, Loaded, host, version
from graphad.ir.frozen import frozen

BOUND: Final = 256 << 20
"""Most bytes kept on disk; what was used longest ago goes first."""
_MAGIC: Final = b"graphad object 1\n"
_DIGEST: Final = hashlib.sha256().digest_size
_SUFFIX: Final = ".object"
_ABANDONED: Final = 3_600.0
"""Seconds after which a temporary file has no writer any more."""


def key(module_text: str, level: int) -> str:
    """Return the name of the object code of a module: what it depends on, as SHA-256 in hexadecimal."""
    found = host()
    parts = (
        module_text,
        str(level),
        found.triple,
        found.cpu,
        found.features,
        version(),
        graphad.__version__,
    )
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode()
        digest.update(len(content).to_bytes(8, "little"))
        digest.update(content)
    return digest.hexdigest()


@frozen(slots=True, eq=False, weakref_slot=True)
class _Image:
    """An object file, which can be referred to weakly, as `bytes` cannot."""

    content: bytes


class _Linked(Loaded):
    """Loaded code that keeps the object files it was made of, for other modules that share some of them."""

    def __init__(self, images: Sequence[_Image]) -> None:
        super().__init__(image.content for image in images)
        self.images = images


_loaded: weakref.WeakValueDictionary[str, Loaded] = weakref.WeakValueDictionary()
_images: weakref.WeakValueDictionary[str, _Image] = weakref.WeakValueDictionary()
_compiling: dict[str, threading.Lock] = {}
_guard = threading.Lock()


def compiled(*parts: str, level: int = FULL, threads: int = 1) -> Loaded:
    """Return the code of a module, given as parts that are modules themselves, linked and loaded.

    Each part is taken from this process, from disk, or compiled now, by at most `threads` threads, and kept. Callers
    that want the same module at the same time wait for one of them to compile it. Symbols that the code declares must
    have been given to `target.define` before; code that is in this process already keeps the addresses it has.
    """
    names = [key(part, level) for part in parts]
    name = "".join(names)
    with _guard:
        found = _loaded.get(name)
        if found is not None:
            return found
        lock = _compiling.setdefault(name, threading.Lock())
    with lock:
        with _guard:
            found = _loaded.get(name)
        try:
            if found is None:
                found = _Linked(_kept_or_compiled(names, parts, level, threads))
        finally:
            with _guard:
                if found is not None:
                    _loaded[name] = found
                _compiling.pop(name, None)
    return found


def _kept_or_compiled(names: Sequence[str], parts: Sequence[str], level: int, threads: int) -> list[_Image]:
    """Return the object file of each part; what must be compiled is compiled together."""
    place = directory()
    found = {name: _kept(name, place) for name in names}
    missing = {name: part for name, part in zip(names, parts, strict=True) if found[name] is None}
    if missing:
        for name, code in zip(missing, object_codes(list(missing.values()), level, threads), strict=True):
            found[name] = _Image(code)
            if place:
                write(place, name, code)
    images = {name: image for name, image in found.items() if image is not None}
    with _guard:
        _images.update(images)
    return list(images.values())


def _kept(name: str, place: Path | None) -> _Image | None:
    with _guard:
        found = _images.get(name)
    if found is None and place is not None:
        image = read(place, name)
        found = None if image is None else _Image(image)
    return found


def _after_fork() -> None:
    """Make the locks anew: a thread of the parent may have held them."""
    global _guard, _room
    _guard = threading.Lock()
    _room = _Room()
    _compiling.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


# On disk.


def directory() -> Path | None:
    """Return where object code is kept, None where it is not."""
    if os.environ.get("GRAPHAD_CACHE", "").strip() == "0":
        return None
    named = os.environ.get("GRAPHAD_CACHE_DIR")
    if named:
        return Path(named)
    try:
        if sys.platform == "win32":
            return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "graphad" / "Cache"
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches" / "graphad"
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "graphad"
    except RuntimeError:  # no home directory
        return None


def read(place: Path, name: str) -> bytes | None:
    """Return the object code of that name in a directory; None where it is missing, damaged or somebody else's."""
    path = place / (name + _SUFFIX)
    try:
        if not _own(place.stat()):
            return None
        opened = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(opened, "rb") as file:
            content = file.read() if _own(os.fstat(opened)) else b""
        head = len(_MAGIC) + _DIGEST
        image = content[head:]
        if content[:head] != _MAGIC + _checksum(name, image):
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
    except OSError:
        return None
    return image


def write(place: Path, name: str, image: bytes) -> None:
    """Keep object code under that name: whole or not at all, also beside other processes; errors are passed over."""
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _own(place.stat()):
            return
        opened, temporary = tempfile.mkstemp(prefix=name[:16], suffix=".writing", dir=place)
        try:
            with os.fdopen(opened, "wb") as file:
                file.write(_MAGIC + _checksum(name, image) + image)
            Path(temporary).replace(place / (name + _SUFFIX))
        except BaseException:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
            raise
        _room.used(place, len(image))
    except OSError:
        return


def _checksum(name: str, image: bytes) -> bytes:
    return hashlib.sha256(name.encode() + image).digest()


def _own(found: os.stat_result) -> bool:
    """Tell whether a file or directory is this user's and nobody else may write to it, where the platform tells."""
    if not hasattr(os, "geteuid"):
        return True
    return found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


class _Room:
    """How much each directory holds, as far as this process knows; it looks again before anything goes."""

    def __init__(self) -> None:
        self._held: dict[Path, int] = {}
        self._lock = threading.Lock()

    def used(self, place: Path, count: int) -> None:
        """Note bytes written, and make room when there are too many. Raises OSError."""
        with self._lock:
            held = self._held.get(place)
            held = tidy(place) if held is None else held + count
            if held > BOUND:
                held = tidy(place)
            self._held[place] = held


_room = _Room()


def tidy(place: Path, bound: int | None = None) -> int:
    """Remove what was used longest ago until a directory holds at most `bound` bytes, and what writers left behind.

    Returns the bytes that are left; at the first that must go, a tenth more goes, so that this is not done each time.
    Raises OSError where the directory cannot be read.
    """
    most = BOUND if bound is None else bound
    files = []
    with os.scandir(place) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                found = entry.stat(follow_symlinks=False)
                if entry.name.endswith(".writing") and time.time() - found.st_mtime > _ABANDONED:
                    Path(entry.path).unlink()
                elif entry.name.endswith(_SUFFIX):
                    files.append((found.st_mtime_ns, found.st_size, entry.path))
    held = sum(size for _, size, _ in files)
    if held <= most:
        return held
    for _, size, path in sorted(files):
        if held <= most * 9 // 10:
            break
        with contextlib.suppress(OSError):
            Path(path).unlink()
        held -= size
    return held

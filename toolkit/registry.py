"""What there is to use: collectors, policy packs and notebooks, found by file name.

Entry points name *packages* (groups `toolkit.collectors`, `toolkit.policies`, `toolkit.notebooks`); a file in such a
package is registered by lying there. Nothing is imported until it is used.

Refuses to: pick one of two things of one name; both are named in the error.

>>> "keyfiles" in entries("collectors")
True
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal

from toolkit.errors import RegistryError
from toolkit.protocols import Collector

Kind = Literal["collectors", "policies", "notebooks"]
_ENDING: Final = {"policies": ".toml", "notebooks": ".ipynb"}
_ONE: Final = {"collectors": "collector", "policies": "policy pack", "notebooks": "report"}
_HERE: Final = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Entry:
    """One registered thing: its name, the distribution and package that ship it, and its file."""

    name: str
    distribution: str
    package: str
    path: Path


def entries(kind: Kind) -> dict[str, Entry]:
    """Everything of a kind by name, sorted.

    Raises:
        RegistryError: two have one name, or an entry point names a package that is not there.
    """
    found: dict[str, Entry] = {}
    for point in _points(kind):
        for entry in _entries_in(kind, point):
            other = found.setdefault(entry.name, entry)
            if other.path != entry.path:
                raise RegistryError(
                    f"two {kind} are called {entry.name}: {other.path} ({other.distribution}) "
                    f"and {entry.path} ({entry.distribution})",
                    advice="uninstall one of the two distributions, or rename one of the files",
                )
    return dict(sorted(found.items()))


def described() -> dict[str, str]:
    """The collectors there are, with the first line of what each says of itself."""
    told = {}
    for name, found in entries("collectors").items():
        said = (importlib.import_module(f"{found.package}.{name}").__doc__ or "").strip()
        told[name] = said.split("\n")[0]
    return told


def entry(kind: Kind, name: str) -> Entry:
    """The thing of that name.

    Raises:
        RegistryError: there is none; the error lists those there are.
    """
    known = entries(kind)
    if name not in known:
        raise RegistryError(f"there is no {_ONE[kind]} {name}", advice=f"use one of: {', '.join(known)}")
    return known[name]


def collector_class(name: str) -> type[Collector]:
    """The collector of that name, imported.

    Raises:
        RegistryError: there is none, its extra is not installed, or the file has no class of the expected name.
    """
    found = entry("collectors", name)
    try:
        module = importlib.import_module(f"{found.package}.{name}")
    except ModuleNotFoundError as missing:
        extra = name.split("_")[0]
        raise RegistryError(
            f"collector {name} needs the module {missing.name}", advice=f"pip install '{found.distribution}[{extra}]'"
        ) from missing
    expected = "".join(part.capitalize() for part in name.split("_"))
    if not hasattr(module, expected):
        raise RegistryError(f"{found.path} has no class {expected}", advice="name the class after the file")
    chosen: type[Collector] = getattr(module, expected)
    return chosen


def _points(kind: Kind) -> list[EntryPoint]:
    # An editable install beside an old wheel shows one entry point twice; that is no clash of names.
    unique = {(point.value, _distribution(point)): point for point in entry_points(group=f"toolkit.{kind}")}
    return [unique[key] for key in sorted(unique)]


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "?"


def _entries_in(kind: Kind, point: EntryPoint) -> Iterator[Entry]:
    for folder in _folders(kind, point):
        if kind == "collectors":
            names = (m.name for m in pkgutil.iter_modules([str(folder)]) if not m.name.startswith("_"))
            files = ((name, folder / name) for name in names if name != "actions")
        else:
            files = ((path.stem, path) for path in folder.glob(f"*{_ENDING[kind]}"))
        for name, path in files:
            yield Entry(name, _distribution(point), point.value, path)


def _folders(kind: Kind, point: EntryPoint) -> list[Path]:
    try:
        spec = find_spec(point.value)
    except ModuleNotFoundError:
        spec = None
    if spec and spec.submodule_search_locations:
        folders = [Path(place).resolve() for place in spec.submodule_search_locations]
    elif point.value == "toolkit.notebooks":
        # The wheel carries the notebooks inside the package; in a checkout they lie beside it.
        folders = [_HERE.parent / "notebooks"]
    else:
        raise RegistryError(
            f"{_distribution(point)} registers {kind} in {point.value}, which is no package here",
            advice=f"reinstall {_distribution(point)}",
        )
    if point.value == "collectors" and folders != [_HERE.parent / "collectors"]:
        # Other distributions are called `collectors` too; theirs must not be run in place of ours.
        raise RegistryError(
            f"the package `collectors` that Python finds is not keyatlas's: {folders[0]}",
            advice="uninstall the other distribution, or install keyatlas in an environment of its own",
        )
    return folders

"""Import modules with other source than is on disk, in this process. The files stay as they are."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any


class _PatchedLoader(SourceFileLoader):
    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self._source = source.encode()

    def get_data(self, path: str) -> bytes:
        return self._source if path == self.path else super().get_data(path)

    def path_stats(self, path: str) -> Any:
        # Without them the import system neither reads nor writes a cached `.pyc`.
        raise OSError("a patched module is never cached")


class PatchedFinder(MetaPathFinder):
    """Finds the modules of `sources` first."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = sources

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        source = self._sources.get(fullname)
        if source is None:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        assert spec is not None and spec.origin is not None
        spec.loader = _PatchedLoader(fullname, spec.origin, source)
        return spec


def install(sources: Mapping[str, str]) -> None:
    """From now on these modules have this source. Raises RuntimeError if one is imported already."""
    early = [name for name in sources if name in sys.modules]
    if early:
        raise RuntimeError(f"imported before they were patched: {early}")
    sys.meta_path.insert(0, PatchedFinder(sources))

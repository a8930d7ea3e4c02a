"""The trivial model that the mount and the SDK are compared with: what a server of artifacts holds,
as Python values. It knows nothing of files, requests or caches.

A version that is linked into a portfolio is the same object there, so its fields are the same in
both places; numbers and aliases belong to the collection.
"""

from __future__ import annotations

import dataclasses
import errno

LATEST = "latest"


class Refused(Exception):
    """What must not happen, and the errnos that say so."""

    def __init__(self, *errnos: int):
        super().__init__(" or ".join(errno.errorcode[number] for number in errnos))
        self.errnos = errnos


@dataclasses.dataclass
class Version:
    text: str
    description: str = ""
    metadata: dict = dataclasses.field(default_factory=dict)
    tags: set = dataclasses.field(default_factory=set)
    ttl: int | None = None

    def shown(self) -> dict:
        return dict(text=self.text, description=self.description, metadata=self.metadata,
                    tags=sorted(self.tags), ttl=self.ttl)


@dataclasses.dataclass
class Collection:
    type: str
    is_sequence: bool
    description: str = ""
    tags: set = dataclasses.field(default_factory=set)
    versions: dict[int, Version] = dataclasses.field(default_factory=dict)
    aliases: dict[str, int] = dataclasses.field(default_factory=dict)
    next: int = 0

    def add(self, version: Version) -> int:
        index, self.next = self.next, self.next + 1
        self.versions[index] = version
        self.aliases[LATEST] = index
        return index

    def drop(self, index: int, *, heir: bool) -> None:
        """Takes a version out; with an heir, `latest` goes to the newest that is left."""
        del self.versions[index]
        had = self.aliases.get(LATEST) == index
        self.aliases = {alias: held for alias, held in self.aliases.items() if held != index}
        if heir and had and self.versions:
            self.aliases[LATEST] = max(self.versions)

    def of(self, index: int) -> set[str]:
        return {alias for alias, held in self.aliases.items() if held == index}

    def number_of(self, version: Version) -> int | None:
        return next((n for n, held in self.versions.items() if held is version), None)

    def shown(self) -> dict:
        return dict(
            is_sequence=self.is_sequence, description=self.description, tags=sorted(self.tags),
            aliases={alias: f"v{index}" for alias, index in sorted(self.aliases.items())},
            versions={f"v{index}": dict(version.shown(), aliases=sorted(self.of(index)))
                      for index, version in sorted(self.versions.items())})


@dataclasses.dataclass
class Project:
    """One project: its types, and its collections by name, which is unique whatever the type."""

    types: list[str]
    collections: dict[str, Collection] = dataclasses.field(default_factory=dict)

    def shown(self) -> dict:
        return {kind: {name: held.shown() for name, held in sorted(self.collections.items())
                       if held.type == kind} for kind in self.types}

    # -- what is there --

    def named(self, kind: str, name: str) -> Collection:
        held = self.collections.get(name)
        if held is None or held.type != kind:
            raise Refused(errno.ENOENT)
        return held

    def version(self, kind: str, name: str, index: int) -> tuple[Collection, Version]:
        held = self.named(kind, name)
        if index not in held.versions:
            raise Refused(errno.ENOENT)
        return held, held.versions[index]

    # -- what happens --

    def log(self, kind: str, name: str, text: str) -> None:
        self.collections.setdefault(name, Collection(kind, True)).add(Version(text))

    def make(self, kind: str, name: str) -> None:
        if name in self.collections:
            raise Refused(errno.EEXIST, errno.EINVAL, errno.EBUSY)
        self.collections[name] = Collection(kind, False)

    def describe(self, kind: str, name: str, description=None, tags=None) -> None:
        held = self.named(kind, name)
        if description is not None:
            held.description = description
        if tags is not None:
            held.tags = set(tags)

    def move(self, kind: str, name: str, new_kind: str, new_name: str) -> None:
        held = self.named(kind, name)
        if new_name != name and new_name in self.collections:
            raise Refused(errno.ENOTEMPTY, errno.EEXIST, errno.EINVAL, errno.EBUSY)
        if new_kind != kind and not held.is_sequence:
            raise Refused(errno.EINVAL)
        held.type = new_kind
        self.collections[new_name] = self.collections.pop(name)

    def delete(self, kind: str, name: str) -> None:
        held = self.named(kind, name)
        del self.collections[name]
        if held.is_sequence:
            for version in held.versions.values():
                self._unlink_everywhere(version, heir=False)

    def edit(self, kind: str, name: str, index: int, *, description=None, metadata=None, tags=None,
             ttl="as it is", aliases=None) -> None:
        held, version = self.version(kind, name, index)
        if aliases is not None:
            for alias in held.of(index) - set(aliases):
                del held.aliases[alias]
            held.aliases.update({alias: index for alias in aliases})
        if description is not None:
            version.description = description
        if metadata is not None:
            version.metadata = metadata
        if tags is not None:
            version.tags = set(tags)
        if ttl != "as it is":
            version.ttl = ttl

    def point(self, kind: str, name: str, alias: str, index: int, *, new: bool = False) -> None:
        held, _ = self.version(kind, name, index)
        if new and alias in held.aliases:
            raise Refused(errno.EEXIST)
        held.aliases[alias] = index

    def rename_alias(self, kind: str, name: str, old: str, alias: str) -> None:
        held = self.named(kind, name)
        if old not in held.aliases:
            raise Refused(errno.ENOENT)
        held.aliases[alias] = held.aliases[old]
        if alias != old:
            del held.aliases[old]

    def remove_alias(self, kind: str, name: str, alias: str) -> None:
        held = self.named(kind, name)
        if alias not in held.aliases:
            raise Refused(errno.ENOENT)
        del held.aliases[alias]

    def remove(self, kind: str, name: str, index: int, *, with_aliases: bool = False) -> None:
        """Deletes a version of a sequence; takes a link out of a portfolio."""
        held, version = self.version(kind, name, index)
        if not held.is_sequence:
            held.drop(index, heir=True)
            return
        elsewhere = [alias for other in self.collections.values() if other is not held
                     for alias in other.of(other.number_of(version))]
        if not with_aliases and (held.of(index) - {LATEST} or elsewhere):
            raise Refused(errno.EBUSY)
        held.drop(index, heir=True)
        self._unlink_everywhere(version, heir=False)

    def link(self, source: tuple[str, str, int], kind: str, name: str, alias: str | None, *,
             new: bool = False) -> None:
        """Links a version into a portfolio; one that is there already keeps its number."""
        origin, version = self.version(*source)
        held = self.named(kind, name)
        if new and alias in held.aliases:
            raise Refused(errno.EEXIST)
        if held.is_sequence or origin.type != kind:
            raise Refused(errno.EINVAL, errno.EBUSY)
        index = held.number_of(version)
        if index is None:
            index = held.add(version)
        if alias is not None:
            held.aliases[alias] = index

    def _unlink_everywhere(self, version: Version, *, heir: bool) -> None:
        for other in self.collections.values():
            index = None if other.is_sequence else other.number_of(version)
            if index is not None:
                other.drop(index, heir=heir)

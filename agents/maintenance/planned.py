"""What a rebuild would do with the collections that there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from infra.postgres.collections import CollectionState, SearchCollection

#: A rebuild has begun it, and goes on with it when it is started again.
BEGUN: Final = (CollectionState.PLANNED, CollectionState.BUILDING)
_LEFT: Final = (CollectionState.RETIRING, CollectionState.DROPPING)


@dataclass(frozen=True, slots=True)
class Plan:
    """``collection`` is what would be filled (None: a new one), or what serves if nothing ``would_build``."""

    would_build: bool
    collection: str | None
    would_drop: list[str]


def of_model(known: Sequence[SearchCollection], model: str) -> list[SearchCollection]:
    """Those of one model."""
    return [one for one in known if one.model == model]


def rebuilding(known: Sequence[SearchCollection], model: str, built_before: str | None) -> Plan:
    """``built_before``: what an interrupted rebuild has let serve, if it was interrupted after that."""
    mine = of_model(known, model)
    if built_before is not None:
        return Plan(False, built_before, [one.name for one in mine if one.state in _LEFT])
    begun = [one.name for one in mine if one.state in BEGUN]
    replaced = [one.name for one in mine if one.state in (CollectionState.SERVING, *_LEFT)]
    return Plan(True, begun[-1] if begun else None, replaced)


def given_up(known: Sequence[SearchCollection], model: str) -> list[SearchCollection]:
    """What was built so far for a model."""
    return [one for one in of_model(known, model) if one.state in (*BEGUN, CollectionState.DROPPING)]


def of_other_models(known: Sequence[SearchCollection], model: str) -> list[SearchCollection]:
    """Those of all other models, once there is one that serves for this one."""
    if any(one.state is CollectionState.SERVING for one in of_model(known, model)):
        return [one for one in known if one.model != model]
    return []

"""From bodies that search or list to queries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from gateway.http.bodies import refuse, validated
from gateway.http.problems import invalid
from gateway.search.searcher import Query
from gateway.search.selection import Selection, parse_selection
from schemas.times import Instant

TOP_K_MAX: Final = 1000
PAGE_SIZE_MAX: Final = 1000
_OFFSET_MAX: Final = 2**31

#: Fields of mem0 that are not supported here.
SEARCH_UNSUPPORTED: Final = (
    "enable_graph",
    "keyword_search",
    "keywords",
    "latest_only",
    "reference_date",
    "rerank",
)
LIST_UNSUPPORTED: Final = ("enable_graph", "fields", "keywords", "latest_only")


class SearchOptions(BaseModel):
    """What to look for, and how much of what is found to give."""

    model_config = ConfigDict(str_strip_whitespace=True)

    query: str = Field(min_length=1, description="What is looked for.")
    top_k: int = Field(10, ge=1, le=TOP_K_MAX, description="How many memories at most.")
    threshold: float = Field(0.1, ge=0, le=1, description="Only memories with this score; 0 for any.")
    show_expired: bool = Field(False, description="Expired memories too.")
    fields: list[str] = Field([], description="What to give of each memory beside id and score; none named: all.")


class Moment(BaseModel):
    """What to show of what there is: ``as_of`` asks for what stood at a past moment."""

    show_expired: bool = Field(False, description="Expired memories too.")
    as_of: Instant | None = Field(None, description="As it was at this moment.")


class Paging(BaseModel):
    """Which part of a list."""

    page: int = Field(1, ge=1, description="Which page, from 1.")
    page_size: int = Field(100, ge=1, le=PAGE_SIZE_MAX, description="How many a page.")


class Page(Moment, Paging):
    """Which part of a list of memories."""

    @property
    def offset(self) -> int:
        return (self.page - 1) * self.page_size


def parse_search(project: str, body: Mapping[str, Any]) -> tuple[Query, list[str]]:
    """The query of a body, and the fields that its results should have (none named: all)."""
    refuse(body, SEARCH_UNSUPPORTED)
    selection = parse_selection(project, body)
    # Older clients say limit.
    search = validated(SearchOptions, {"top_k": body["limit"], **body} if "limit" in body else body)
    query = Query(
        search.query, selection.scope, search.top_k, search.threshold, search.show_expired, selection.where
    )
    return query, search.fields


def parse_list(project: str, body: Mapping[str, Any], query: Mapping[str, str]) -> tuple[Selection, Page]:
    """What to list, and which page of it; the page may stand in the URL's query or the body."""
    refuse(body, LIST_UNSUPPORTED)
    selection = parse_selection(project, body)
    return selection, parse_page({**body, **query})


def parse_page(fields: Mapping[str, Any]) -> Page:
    """The page that these fields ask for."""
    page = validated(Page, {name: fields[name] for name in Page.model_fields if name in fields})
    if page.offset > _OFFSET_MAX:
        raise invalid("page", "is far beyond any list")
    return page

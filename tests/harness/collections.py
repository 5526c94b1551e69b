"""Collections of a test's own in a Weaviate that others use as well."""

from __future__ import annotations

import httpx

from infra.weaviate import WeaviateSettings


def drop_collections(settings: WeaviateSettings) -> None:
    """Remove the collections of a test's index: that of its name, and those that a rebuild made."""
    headers = {"Authorization": f"Bearer {settings.api_key.get_secret_value()}"} if settings.api_key else {}
    with httpx.Client(base_url=settings.url, headers=headers, timeout=30) as weaviate:
        for one in weaviate.get("/v1/schema").raise_for_status().json()["classes"]:
            if one["class"].startswith(settings.collection):
                weaviate.delete(f"/v1/schema/{one['class']}").raise_for_status()

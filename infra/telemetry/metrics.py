"""Every metric: of the worker, of the gateway, and those that say what runs.

Names follow Prometheus's conventions: base units, ``_total`` for counters.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from schemas.models import ModelIdentity

# From a batch that finds all at hand to one that waits out an outage, in seconds.
_STAGE_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0)
_BATCH_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

RECORDS: Final = Counter(
    "agentmem_worker_records_total",
    "Records done with: applied, repeated, dead_lettered, or dropped at a rebalance to be read again.",
    ("result",),
)
BATCH_RECORDS: Final = Histogram("agentmem_worker_batch_records", "Records in a batch.", buckets=_BATCH_BUCKETS)
STAGE_SECONDS: Final = Histogram(
    "agentmem_worker_stage_seconds",
    "How long a stage took for a batch, waiting for a store included.",
    ("stage",),
    buckets=_STAGE_BUCKETS,
)
STORE_RETRIES: Final = Counter(
    "agentmem_worker_store_retries_total", "Tries that found a store unavailable.", ("stage",)
)
STORE_UP: Final = Gauge(
    "agentmem_worker_component_up",
    "Whether a component answered the worker's last look at it (1) or not (0).",
    ("component",),
)
DEAD_LETTERS: Final = Counter(
    "agentmem_worker_dead_letters_total", "Records sent to the dead-letter topic.", ("reason", "stage")
)
LAG: Final = Gauge(
    "agentmem_worker_lag_records", "Records of a partition of this worker that are not committed.", ("partition",)
)
EVENT_LATENCY: Final = Histogram(
    "agentmem_worker_event_latency_seconds",
    "From a request's timestamp in Kafka to the acknowledgement of its events.",
    buckets=_STAGE_BUCKETS,
)
QUEUE: Final = Gauge("agentmem_worker_queue_records", "Records fetched that wait for a batch.")
UNKEYED: Final = Counter(
    "agentmem_worker_unkeyed_records_total", "Records whose key is not their scope: order is not promised."
)
TRUNCATED: Final = Counter(
    "agentmem_worker_truncated_texts_total", "Texts longer than the model takes, embedded in part."
)
EXPIRED_DELETES: Final = Counter(
    "agentmem_worker_expired_deletes_total", "Delete requests published for memories that expired long ago."
)
SWEEP_MENDED: Final = Counter(
    "agentmem_worker_sweep_mended_total", "Memories whose entry in the search index the sweep had to mend."
)
VERIFY_CHECKED: Final = Counter(
    "agentmem_worker_verify_checked_total", "Memories that the verification compared with the search index."
)
VERIFY_DRIFT: Final = Counter(
    "agentmem_worker_verify_drift_total",
    "Memories that differed: missing, extra, stale, no_vector or unsearchable.",
    ("drift",),
)
VERIFY_REPAIRED: Final = Counter("agentmem_worker_verify_repaired_total", "Those that were mended.")
VERIFY_LAST_PASS: Final = Gauge(
    "agentmem_worker_verify_last_pass_timestamp_seconds", "When all memories had been compared the last time."
)
MODEL: Final = Gauge(
    "agentmem_model_info", "The model in use; always 1.", ("model", "revision", "variant", "dimension")
)
SETTINGS_RELOADS: Final = Counter(
    "agentmem_settings_reloads_total", "New settings for a running process: applied, or refused.", ("result",)
)
SETTINGS_PENDING: Final = Gauge("agentmem_settings_pending", "Changed settings that wait for a restart.")
BUILD: Final = Gauge("agentmem_build_info", "The version that runs; always 1.", ("version",))
WEBHOOK_ATTEMPTS: Final = Counter(
    "agentmem_worker_webhook_attempts_total", "Posts to webhooks, by result: delivered or failed.", ("result",)
)
WEBHOOKS_DISABLED: Final = Counter(
    "agentmem_worker_webhooks_disabled_total", "Webhooks made inactive, as they failed for too long or are gone."
)

# The gateway.

_FAST: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

HTTP_REQUESTS: Final = Counter(
    "agentmem_gateway_http_requests_total", "Calls answered.", ("method", "route", "status")
)
HTTP_SECONDS: Final = Histogram(
    "agentmem_gateway_http_request_duration_seconds", "From a call to its answer.", ("route",), buckets=_FAST
)
AUTH_FAILURES: Final = Counter("agentmem_gateway_auth_failures_total", "Calls without a valid API key.")
RATE_LIMITED: Final = Counter(
    "agentmem_gateway_rate_limited_total",
    "Calls refused as there were too many, by policy: key, project or address.",
    ("policy",),
)
RATE_LIMIT_LOCAL: Final = Counter(
    "agentmem_gateway_rate_limit_local_total", "Calls counted by this gateway alone, as Redis did not answer."
)
CONNECTIONS: Final = Gauge("agentmem_gateway_connections", "Open connections.")
CONNECTIONS_REFUSED: Final = Counter(
    "agentmem_gateway_connections_refused_total", "Connections refused as there were too many."
)
CONNECTIONS_SLOW: Final = Counter(
    "agentmem_gateway_connections_slow_total", "Connections closed as a request's header or body took too long."
)
PUBLISHED: Final = Counter(
    "agentmem_gateway_published_total", "Requests published to Kafka, by result.", ("result",)
)
WAITS: Final = Counter(
    "agentmem_gateway_waits_total",
    "Calls that waited for their request: answered by its events, by the outcome in Postgres, or not in time.",
    ("answered_by",),
)
SEARCH_SECONDS: Final = Histogram(
    "agentmem_gateway_search_stage_duration_seconds",
    "The stages of a search: embed, rank, hydrate.",
    ("stage",),
    buckets=_FAST,
)
SEARCH_STALE_HITS: Final = Counter(
    "agentmem_gateway_search_stale_hits_total", "Hits of the index that are no longer live in Postgres."
)
QUERIES_TRUNCATED: Final = Counter(
    "agentmem_gateway_queries_truncated_total", "Queries longer than the model takes."
)
EVENTS_RECEIVED: Final = Counter("agentmem_gateway_events_received_total", "Events read from Kafka.")
EVENTS_UNREADABLE: Final = Counter(
    "agentmem_gateway_events_unreadable_total", "Records of the event topic that are not events of ours."
)
FEEDS: Final = Gauge("agentmem_gateway_feeds", "Open event streams.")
CATCH_UPS: Final = Gauge("agentmem_gateway_catch_ups", "Event streams that read the past from Kafka themselves.")
FEEDS_CUT_OFF: Final = Counter("agentmem_gateway_feeds_cut_off_total", "Streams ended as their reader was slow.")
COMPONENT_UP: Final = Gauge(
    "agentmem_gateway_component_up", "Whether the gateway reaches a component (1) or not (0).", ("component",)
)


def tell_what_runs(model: ModelIdentity) -> None:
    """Of every worker and gateway: the release and the model, by which a mixture is seen."""
    BUILD.labels(version("agentmem")).set(1)
    MODEL.labels(model.model, model.revision, model.variant, model.dimension).set(1)

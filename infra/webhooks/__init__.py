"""The receivers of webhooks: which addresses they may have, and how events are posted to them, signed."""

from infra.webhooks.addresses import check_url
from infra.webhooks.settings import WebhookSettings
from infra.webhooks.signing import new_secret

__all__ = ["WebhookSettings", "check_url", "new_secret"]

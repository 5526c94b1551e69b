"""The receivers of webhooks: which addresses they may have, and how events are posted to them, signed."""

from typing import TYPE_CHECKING

from infra.webhooks.settings import WebhookSettings

if TYPE_CHECKING:
    from infra.webhooks.addresses import check_url
    from infra.webhooks.signing import new_secret
else:
    from infra.lazy import exports

    __getattr__ = exports(__name__, {"check_url": "addresses", "new_secret": "signing"})

__all__ = ["WebhookSettings", "check_url", "new_secret"]

"""Somebody is told: Prefect automations that post to a web address when a source falls silent or a run fails."""

from datetime import timedelta
from typing import Any, cast

from prefect.automations import AutomationCore, EventTrigger, SendNotification
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.events.schemas.automations import Posture

BLOCK = "baren-notify"
BODY = "{{ event.event }}: {{ event.resource.id }} {{ event.payload }}"
OCCASIONS = {
    "baren: a source fell silent": {"baren.source.silent"},
    "baren: a run failed": {"prefect.flow-run.Failed", "prefect.flow-run.Crashed"},
}


def notify(url: str) -> list[str]:
    """Make the configured server post to `url` (any webhook that takes JSON) on each occasion; gives their names.

    What was set before is replaced. A chat of your own wants another block: see prefect.blocks.notifications.
    """
    form = {"name": BLOCK, "url": url, "json_data": {"title": "{{subject}}", "text": "{{body}}"}}
    block = cast(Any, CustomWebhookNotificationBlock.model_validate(form))
    block_id = block.save(BLOCK, overwrite=True)
    for name, events in OCCASIONS.items():
        automation = AutomationCore(
            name=name,
            trigger=EventTrigger(expect=events, posture=Posture.Reactive, threshold=1, within=timedelta(0)),
            actions=[SendNotification(block_document_id=block_id, subject=name, body=BODY)],
        )
        _replace(automation)
    return list(OCCASIONS)


def _replace(automation: AutomationCore) -> None:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        for old in client.read_automations_by_name(automation.name):
            client.delete_automation(old.id)
        client.create_automation(automation)

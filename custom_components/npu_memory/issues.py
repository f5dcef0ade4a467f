"""What only the user can put right, told where the user sees it."""

from collections.abc import Sequence

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir

from .const import DOMAIN
from .wire import NpuReport, NpuState

AGENT_MISSING = "agent_missing"
NOT_TAKEN = "not_taken"
NPU_FAILED = "npu_failed"
NPU_RESTING = "npu_resting"
PROPOSALS = "proposals"


@callback
def raise_agent_missing(hass: HomeAssistant, subentry_id: str, assistant: str, agent: str) -> None:
    """Say that the agent behind an assistant does not exist any more."""
    ir.async_create_issue(
        hass,
        DOMAIN,
        f"{AGENT_MISSING}_{subentry_id}",
        is_fixable=False,
        severity=ir.IssueSeverity.ERROR,
        translation_key=AGENT_MISSING,
        translation_placeholders={"assistant": assistant, "agent": agent},
    )


@callback
def raise_not_taken(hass: HomeAssistant, entry_id: str, subentry_id: str, assistant: str) -> None:
    """Say that an agent does not put before its model what memory has for it."""
    ir.async_create_issue(
        hass,
        DOMAIN,
        f"{NOT_TAKEN}_{subentry_id}",
        is_fixable=True,
        severity=ir.IssueSeverity.WARNING,
        translation_key=NOT_TAKEN,
        translation_placeholders={"assistant": assistant},
        data={"entry_id": entry_id, "subentry_id": subentry_id, "assistant": assistant},
    )


@callback
def tell_of_npu(hass: HomeAssistant, entry_id: str, reports: Sequence[NpuReport]) -> None:
    """Say that the server's NPU has failed, or rests after it has, and take that back when it works again.

    There is a report for each of its uses: one for the embedder, and one for each reranker.
    """
    for issue, state, severity in (
        (NPU_FAILED, NpuState.FAILED, ir.IssueSeverity.ERROR),
        (NPU_RESTING, NpuState.RESTING, ir.IssueSeverity.WARNING),
    ):
        npu = next((one for one in reports if one.state is state), None)
        if npu is None:
            settle(hass, issue, entry_id)
            continue
        ir.async_create_issue(
            hass,
            DOMAIN,
            f"{issue}_{entry_id}",
            is_fixable=False,
            severity=severity,
            translation_key=issue,
            translation_placeholders={"reason": npu.reason},
        )


@callback
def tell_of_proposals(hass: HomeAssistant, entry_id: str, count: int) -> None:
    """Say that facts wait for somebody's yes, as long as some do."""
    if not count:
        settle(hass, PROPOSALS, entry_id)
        return
    ir.async_create_issue(
        hass,
        DOMAIN,
        f"{PROPOSALS}_{entry_id}",
        is_fixable=True,
        severity=ir.IssueSeverity.WARNING,
        translation_key=PROPOSALS,
        translation_placeholders={"count": str(count)},
        data={"entry_id": entry_id},
    )


@callback
def settle(hass: HomeAssistant, issue: str, whose: str) -> None:
    """Take back what was told of an entry or a subentry."""
    ir.async_delete_issue(hass, DOMAIN, f"{issue}_{whose}")

"""The dialogs that put right, or settle, what is told as an issue."""

from typing import Any

from homeassistant.components.repairs import RepairsFlow, RepairsFlowResult
from homeassistant.core import HomeAssistant
from homeassistant.helpers.http import current_request
from homeassistant.helpers.selector import SelectOptionDict, SelectSelector, SelectSelectorConfig, SelectSelectorMode
import probatio

from .client import MemoryClient
from .connection import MemoryClientError, RequestFailed
from .const import CONF_INJECTION, Injection
from .issues import PROPOSALS, tell_of_proposals
from .prompt import one_line
from .speaking import PERSON, who_speaks
from .wire import ErrorCode, Proposal, ProposalsRequest, SettleProposalRequest

CONF_REMEMBER = "remember"
HASS_USER = "hass_user"
SETTLE_SECONDS = 30.0
MAX_SOURCE_CHARACTERS = 200


class PutBelowTheMessage(RepairsFlow):
    """Offer the other place for memories, which every agent reads."""

    def __init__(self, data: dict[str, str]) -> None:
        """Keep which assistant it is about."""
        self._data = data

    async def async_step_init(self, user_input: dict[str, str] | None = None) -> RepairsFlowResult:
        """Begin by asking."""
        return await self.async_step_confirm()

    async def async_step_confirm(self, user_input: dict[str, str] | None = None) -> RepairsFlowResult:
        """Ask, and change the assistant; it loads again by itself."""
        if user_input is None:
            return self.async_show_form(
                step_id="confirm",
                data_schema=probatio.Schema({}),
                description_placeholders={"assistant": self._data["assistant"]},
            )
        entry = self.hass.config_entries.async_get_entry(self._data["entry_id"])
        subentry = entry.subentries.get(self._data["subentry_id"]) if entry else None
        if entry is None or subentry is None:
            return self.async_abort(reason="assistant_gone")
        data = {**subentry.data, CONF_INJECTION: Injection.USER_MESSAGE.value}
        self.hass.config_entries.async_update_subentry(entry, subentry, data=data)
        return self.async_create_entry(data={})


class SettleFacts(RepairsFlow):
    """Show the facts that were made of conversations, page after page, and have them remembered or dropped."""

    def __init__(self, data: dict[str, str]) -> None:
        """Keep which server it is about."""
        self._data = data
        self._shown: list[Proposal] = []

    async def async_step_init(self, user_input: dict[str, Any] | None = None) -> RepairsFlowResult:
        """Begin with the first page."""
        return await self.async_step_confirm()

    async def async_step_confirm(self, user_input: dict[str, Any] | None = None) -> RepairsFlowResult:
        """Do what was chosen, and show what is left; an administrator sees nothing that is another person's alone."""
        entry = self.hass.config_entries.async_get_entry(self._data["entry_id"])
        if entry is None:
            return self.async_abort(reason="entry_gone")
        if not hasattr(entry, "runtime_data"):
            return self.async_abort(reason="not_reached")
        client: MemoryClient = entry.runtime_data.client
        try:
            if user_input is not None:
                await self._settle(client, user_input.get(CONF_REMEMBER, []))
            left, self._shown = await _waiting(client, await self._own_scope())
        except MemoryClientError:
            return self.async_abort(reason="not_reached")
        if left == 0:
            tell_of_proposals(self.hass, entry.entry_id, 0)
        if not self._shown:
            if user_input is None or left:
                return self.async_abort(reason="nothing_to_show")
            return self.async_create_entry(data={})
        options = [SelectOptionDict(value=one.fact.id, label=_label(one)) for one in self._shown]
        everything = [option["value"] for option in options]
        selector = SelectSelector(SelectSelectorConfig(options=options, multiple=True, mode=SelectSelectorMode.LIST))
        return self.async_show_form(
            step_id="confirm",
            data_schema=probatio.Schema({probatio.Optional(CONF_REMEMBER, default=everything): selector}),
            description_placeholders={"count": str(left)},
        )

    async def _settle(self, client: MemoryClient, accepted: list[str]) -> None:
        for one in self._shown:
            request = SettleProposalRequest(memory_id=one.fact.id, accept=one.fact.id in accepted)
            try:
                await client.settle_proposal(request, SETTLE_SECONDS)
            except RequestFailed as error:
                if error.code is not ErrorCode.NOT_FOUND:  # somebody else has settled it, or it was forgotten
                    raise

    async def _own_scope(self) -> str | None:
        request = current_request.get()
        user = request.get(HASS_USER) if request else None
        return (await who_speaks(self.hass, user.id, None, None, {})).private_scope if user else None


async def _waiting(client: MemoryClient, own: str | None) -> tuple[int, list[Proposal]]:
    """Return how many facts wait, and a page of those that whoever asks may see."""
    cursor = None
    while True:
        page = await client.proposals(ProposalsRequest(cursor=cursor), SETTLE_SECONDS)
        for_them = [p for p in page.proposals if not p.fact.scope.startswith(f"{PERSON}:") or p.fact.scope == own]
        if for_them or page.next_cursor is None:
            return page.total, for_them
        cursor = page.next_cursor


def _label(proposal: Proposal) -> str:
    said = " / ".join(one_line(source.text) for source in proposal.sources)
    return f"{one_line(proposal.fact.text)} ({said[:MAX_SOURCE_CHARACTERS]})"


async def async_create_fix_flow(hass: HomeAssistant, issue_id: str, data: dict[str, str]) -> RepairsFlow:
    """Return the dialog of an issue."""
    return SettleFacts(data) if issue_id.startswith(PROPOSALS) else PutBelowTheMessage(data)

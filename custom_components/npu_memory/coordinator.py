"""The state of the memory server, and the way its errors are told to Home Assistant."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
import logging
from typing import override

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import CONF_HOST, CONF_PORT, CONF_TOKEN, EVENT_HOMEASSISTANT_STOP
from homeassistant.core import Event, HomeAssistant, callback
from homeassistant.exceptions import ConfigEntryAuthFailed
from homeassistant.helpers.update_coordinator import DataUpdateCoordinator, UpdateFailed

from .capture import CaptureQueue
from .client import MemoryClient
from .connection import MemoryClientError, WrongToken
from .const import DOMAIN
from .errors import setup_error, translated
from .issues import tell_of_npu, tell_of_proposals
from .keeping import Keeper
from .options import ServerOptions
from .overheard import Overheard
from .report import TurnReport
from .tools import ShownInConversations
from .voice.exchanges import Exchanges
from .wire import Context, Status

_LOGGER = logging.getLogger(__name__)

SCAN_INTERVAL = timedelta(seconds=60)
STATUS_SECONDS = 10.0

type NpuMemoryConfigEntry = ConfigEntry[NpuMemoryData]


@dataclass(frozen=True, slots=True)
class NpuMemoryData:
    """What belongs to a loaded entry."""

    client: MemoryClient
    coordinator: NpuMemoryCoordinator
    captured: CaptureQueue
    options: ServerOptions
    keeper: Keeper
    overheard: Overheard
    turns: dict[str, TurnReport] = field(default_factory=dict)
    """By subentry: the last turn of an assistant."""
    exchanges: Exchanges = field(default_factory=Exchanges)
    shown: ShownInConversations = field(default_factory=ShownInConversations)


class NpuMemoryCoordinator(DataUpdateCoordinator[Status | None]):
    """Keeps the server's status, and notices at once when the connection goes or comes back."""

    config_entry: NpuMemoryConfigEntry

    def __init__(self, hass: HomeAssistant, entry: NpuMemoryConfigEntry) -> None:
        """Prepare the client; nothing is opened yet."""
        super().__init__(hass, _LOGGER, config_entry=entry, name=entry.title, update_interval=SCAN_INTERVAL)
        self.client = MemoryClient(
            entry.data[CONF_HOST], entry.data[CONF_PORT], entry.data[CONF_TOKEN], self._connection_changed
        )
        entry.async_on_unload(hass.bus.async_listen_once(EVENT_HOMEASSISTANT_STOP, self._stop))

    async def connect(self) -> None:
        """Make the first connection and fetch the first status. Raises what setting up an entry may raise."""
        try:
            await self.client.connect()
        except MemoryClientError as error:
            raise setup_error(error) from error
        await self.async_config_entry_first_refresh()

    async def connect_later(self, error: Exception) -> None:
        """Go on without the server, and use it as soon as it is there."""
        await self.client.close()
        self.last_update_success = True
        self.async_set_update_error(error)
        if isinstance(error, ConfigEntryAuthFailed):
            self.config_entry.async_start_reauth(self.hass)
        else:
            self.client.connect_later()

    @callback
    def recalled(self, context: Context) -> None:
        """Take the times of a recall over at once, instead of at the next look at the server."""
        if self.data is not None and self.last_update_success:
            recalls = self.data.recalls + 1
            self.data = replace(self.data, last_recall=context.timings, backend=context.backend, recalls=recalls)
            self.async_update_listeners()

    @override
    async def async_shutdown(self) -> None:
        """Stop refreshing, and close the connection."""
        await super().async_shutdown()
        await self.client.close()

    async def _stop(self, _event: Event) -> None:
        await self.async_shutdown()

    @override
    async def _async_update_data(self) -> Status:
        try:
            status = await self.client.status(STATUS_SECONDS)
        except MemoryClientError as error:
            raise translated(UpdateFailed, error) from error
        reports = [*([status.npu] if status.npu else []), *(one.npu for one in status.rerankers)]
        tell_of_npu(self.hass, self.config_entry.entry_id, reports)
        tell_of_proposals(self.hass, self.config_entry.entry_id, status.proposals)
        return status

    @callback
    def _connection_changed(self, error: MemoryClientError | None) -> None:
        if error is None:
            self.config_entry.async_create_background_task(
                self.hass, self.async_refresh(), name=f"{DOMAIN} refresh after reconnecting"
            )
            return
        self.async_set_update_error(setup_error(error))
        if isinstance(error, WrongToken):
            self.config_entry.async_start_reauth(self.hass)

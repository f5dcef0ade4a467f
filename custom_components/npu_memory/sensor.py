"""How the memory server is, and what memory did for the last turn of an assistant."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import override

from homeassistant.components.sensor import SensorDeviceClass, SensorEntity, SensorEntityDescription, SensorStateClass
from homeassistant.config_entries import ConfigSubentry
from homeassistant.const import EntityCategory, UnitOfInformation, UnitOfTime
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.typing import StateType

from .const import SUBENTRY_CONVERSATION
from .coordinator import NpuMemoryConfigEntry
from .entity import NpuMemoryAssistantEntity, NpuMemoryServerEntity
from .report import Outcome, TurnReport
from .wire import NpuState, Status, Timings

PARALLEL_UPDATES = 0


@dataclass(frozen=True, kw_only=True)
class ServerSensorDescription(SensorEntityDescription):
    """A number or a word of the server's status."""

    value_fn: Callable[[Status], StateType]


@dataclass(frozen=True, kw_only=True)
class StageSensorDescription(SensorEntityDescription):
    """A stage of the last recall."""

    value_fn: Callable[[Timings], float]


@dataclass(frozen=True, kw_only=True)
class TurnSensorDescription(SensorEntityDescription):
    """What memory did for the last turn of an assistant."""

    value_fn: Callable[[TurnReport], StateType]


SERVER_SENSORS = (
    ServerSensorDescription(
        key="memories",
        translation_key="memories",
        state_class=SensorStateClass.MEASUREMENT,
        value_fn=lambda status: status.memories,
    ),
    ServerSensorDescription(
        key="past",
        translation_key="past",
        state_class=SensorStateClass.MEASUREMENT,
        entity_category=EntityCategory.DIAGNOSTIC,
        entity_registry_enabled_default=False,
        value_fn=lambda status: status.past,
    ),
    ServerSensorDescription(
        key="pending_embeddings",
        translation_key="pending_embeddings",
        state_class=SensorStateClass.MEASUREMENT,
        entity_category=EntityCategory.DIAGNOSTIC,
        entity_registry_enabled_default=False,
        value_fn=lambda status: status.pending_embeddings,
    ),
    ServerSensorDescription(
        key="backend",
        translation_key="backend",
        entity_category=EntityCategory.DIAGNOSTIC,
        value_fn=lambda status: status.backend,
    ),
    ServerSensorDescription(
        key="npu",
        translation_key="npu",
        device_class=SensorDeviceClass.ENUM,
        options=[state.value for state in NpuState],
        entity_category=EntityCategory.DIAGNOSTIC,
        value_fn=lambda status: status.npu.state.value if status.npu else None,
    ),
    ServerSensorDescription(
        key="database_size",
        translation_key="database_size",
        device_class=SensorDeviceClass.DATA_SIZE,
        native_unit_of_measurement=UnitOfInformation.BYTES,
        suggested_unit_of_measurement=UnitOfInformation.MEGABYTES,
        suggested_display_precision=1,
        state_class=SensorStateClass.MEASUREMENT,
        entity_category=EntityCategory.DIAGNOSTIC,
        entity_registry_enabled_default=False,
        value_fn=lambda status: status.database_bytes,
    ),
    ServerSensorDescription(
        key="recalls",
        translation_key="recalls",
        state_class=SensorStateClass.TOTAL_INCREASING,
        entity_category=EntityCategory.DIAGNOSTIC,
        entity_registry_enabled_default=False,
        value_fn=lambda status: status.recalls,
    ),
)


def _stage(key: str, value_fn: Callable[[Timings], float], *, enabled: bool = False) -> StageSensorDescription:
    return StageSensorDescription(
        key=f"recall_{key}",
        translation_key=f"recall_{key}",
        device_class=SensorDeviceClass.DURATION,
        native_unit_of_measurement=UnitOfTime.MILLISECONDS,
        suggested_display_precision=1,
        state_class=SensorStateClass.MEASUREMENT,
        entity_category=EntityCategory.DIAGNOSTIC,
        entity_registry_enabled_default=enabled,
        value_fn=value_fn,
    )


STAGE_SENSORS = (
    _stage("total", lambda timings: timings.total, enabled=True),
    _stage("wait", lambda timings: timings.wait),
    _stage("tokenize", lambda timings: timings.tokenize),
    _stage("inference", lambda timings: timings.inference),
    _stage("pooling", lambda timings: timings.pooling),
    _stage("lexical", lambda timings: timings.lexical),
    _stage("vector", lambda timings: timings.vector),
    _stage("fusion", lambda timings: timings.fusion),
    _stage("rerank", lambda timings: timings.rerank),
    _stage("context", lambda timings: timings.context),
)

TURN_SENSORS = (
    TurnSensorDescription(
        key="last_turn",
        translation_key="last_turn",
        device_class=SensorDeviceClass.ENUM,
        options=[outcome.value for outcome in Outcome],
        value_fn=lambda report: report.outcome.value,
    ),
    TurnSensorDescription(
        key="given",
        translation_key="given",
        state_class=SensorStateClass.MEASUREMENT,
        value_fn=lambda report: report.given,
    ),
    TurnSensorDescription(
        key="tokens",
        translation_key="tokens",
        state_class=SensorStateClass.MEASUREMENT,
        entity_category=EntityCategory.DIAGNOSTIC,
        entity_registry_enabled_default=False,
        value_fn=lambda report: report.tokens,
    ),
    TurnSensorDescription(
        key="waited",
        translation_key="waited",
        device_class=SensorDeviceClass.DURATION,
        native_unit_of_measurement=UnitOfTime.MILLISECONDS,
        suggested_display_precision=0,
        state_class=SensorStateClass.MEASUREMENT,
        entity_category=EntityCategory.DIAGNOSTIC,
        value_fn=lambda report: report.waited_ms,
    ),
)


async def async_setup_entry(
    hass: HomeAssistant, entry: NpuMemoryConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Set up the sensors of the server and of each assistant."""
    async_add_entities(
        [*(ServerSensor(entry, d) for d in SERVER_SENSORS), *(StageSensor(entry, d) for d in STAGE_SENSORS)]
    )
    for subentry in entry.subentries.values():
        if subentry.subentry_type == SUBENTRY_CONVERSATION:
            async_add_entities(
                [TurnSensor(entry, subentry, description) for description in TURN_SENSORS],
                config_subentry_id=subentry.subentry_id,
            )


class ServerSensor(NpuMemoryServerEntity, SensorEntity):
    """A number or a word of the server's status."""

    entity_description: ServerSensorDescription

    @property
    @override
    def native_value(self) -> StateType:
        return self.entity_description.value_fn(self.coordinator.data) if self.coordinator.data else None


class StageSensor(NpuMemoryServerEntity, SensorEntity):
    """How long a stage of the last recall took; unknown until somebody has asked something."""

    entity_description: StageSensorDescription

    @property
    @override
    def native_value(self) -> StateType:
        timings = self.coordinator.data.last_recall if self.coordinator.data else None
        return self.entity_description.value_fn(timings) if timings else None


class TurnSensor(NpuMemoryAssistantEntity, SensorEntity):
    """What memory did for the last turn; unknown until there was one."""

    entity_description: TurnSensorDescription

    def __init__(
        self, entry: NpuMemoryConfigEntry, subentry: ConfigSubentry, description: TurnSensorDescription
    ) -> None:
        """Describe the sensor."""
        super().__init__(entry, subentry)
        self.entity_description = description
        self._attr_unique_id = f"{subentry.subentry_id}_{description.key}"

    @override
    async def async_added_to_hass(self) -> None:
        self.async_on_remove(async_dispatcher_connect(self.hass, self.turn_signal, self._turn_ended))

    @callback
    def _turn_ended(self, report: TurnReport) -> None:
        self._attr_native_value = self.entity_description.value_fn(report)
        self.async_write_ha_state()

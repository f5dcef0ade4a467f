"""Speaks to pipelines over the websocket, as the frontend and the satellites do."""

from typing import Any

from tests.integration.agent import ASSISTANT

type Event = dict[str, Any]


class Speaker:
    """Runs pipelines over one websocket connection."""

    def __init__(self, websocket: Any) -> None:
        self.websocket = websocket

    async def pipeline(self, **settings: Any) -> str:
        await self.websocket.send_json_auto_id(
            {
                "type": "assist_pipeline/pipeline/create",
                "name": "Memory",
                "language": "en",
                "conversation_engine": ASSISTANT,
                "conversation_language": "en",
                "stt_engine": None,
                "stt_language": None,
                "tts_engine": None,
                "tts_language": None,
                "tts_voice": None,
                "wake_word_entity": None,
                "wake_word_id": None,
                **settings,
            }
        )
        answer = await self.websocket.receive_json()
        assert answer["success"], answer
        return str(answer["result"]["id"])

    async def say(self, pipeline: str, text: str, conversation_id: str | None = None) -> list[Event]:
        await self.websocket.send_json_auto_id(
            {
                "type": "assist_pipeline/run",
                "start_stage": "intent",
                "end_stage": "intent",
                "pipeline": pipeline,
                "input": {"text": text},
                "conversation_id": conversation_id,
            }
        )
        assert (await self.websocket.receive_json())["success"]
        events: list[Event] = []
        while not events or events[-1]["type"] != "run-end":
            events.append((await self.websocket.receive_json())["event"])
        return events


def ended(events: list[Event]) -> Event:
    (event,) = (event["data"]["intent_output"] for event in events if event["type"] == "intent-end")
    return dict(event)

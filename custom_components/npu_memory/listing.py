"""All the memories that a filter lets through, page after page."""

from collections.abc import AsyncIterator
from dataclasses import replace

from .client import MemoryClient
from .wire import MAX_PAGE, ListRequest, MemoryItem

PAGE_SECONDS = 30.0


async def listed(client: MemoryClient, filters: ListRequest) -> AsyncIterator[MemoryItem]:
    """Yield memories, newest first; `filters` says which. Raises `MemoryClientError`."""
    page = await client.list(replace(filters, limit=MAX_PAGE), PAGE_SECONDS)
    while True:
        for memory in page.memories:
            yield memory
        if page.next_cursor is None:
            return
        page = await client.list(replace(filters, limit=MAX_PAGE, cursor=page.next_cursor), PAGE_SECONDS)

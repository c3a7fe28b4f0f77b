"""An MCP server, over its standard streams, whose results are large: words, and pictures with words."""

from __future__ import annotations

import random
import struct
import zlib
from typing import Any

from mcp.server.mcpserver import Image, MCPServer

server = MCPServer("large", log_level="ERROR")


def words(characters: int) -> str:
    """So many characters, each place in them telling itself."""
    lines = (f"{place:07} words and words\n" for place in range(0, characters, 24))
    return "".join(lines)[:characters]


def png(side: int) -> bytes:
    """A picture of noise, which no compression makes small."""
    noise = random.Random(side)
    rows = b"".join(b"\0" + noise.randbytes(3 * side) for _ in range(side))
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@server.tool(structured_output=False)
def tell(characters: int) -> str:
    """Tell so many characters."""
    return words(characters)


@server.tool(structured_output=False)
def show(side: int, characters: int = 0) -> list[Any]:
    """Show a picture, and say so many characters before and after it."""
    return [f"Before. {words(characters)}", Image(data=png(side), format="png"), "After."]


if __name__ == "__main__":
    server.run("stdio")

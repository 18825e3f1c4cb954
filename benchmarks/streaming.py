"""Decoding as clients of a server see it: `python streaming.py URL MODEL CLIENTS PROMPT GEN`.

Each client asks /v1/completions for a stream of GEN tokens after PROMPT random ids, all at once;
prints tokens/s of all after the last client's first token, as `inferflow bench` counts.
"""

import json
import random
import selectors
import socket
import sys
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

PIECE, USAGE = b'data: {"', b'"completion_tokens":'


@dataclass
class Client:
    socket: socket.socket
    times: list[float] = field(default_factory=list)
    tail: bytes = b""
    tokens: int = 0

    def take(self, data: bytes, now: float) -> bool:
        """Whether the stream has ended. What was cut in two stays in the tail."""
        text = self.tail + data
        *whole, self.tail = text.split(b"\n\n")
        for event in whole:
            if USAGE in event:
                digits = event.split(USAGE)[1].lstrip()
                self.tokens = int(digits.split(b",")[0].split(b"}")[0])
            elif PIECE in event:
                self.times.append(now)
            elif b"[DONE]" in event:
                return True
        return not data


def main(url: str, model: str, clients: str, prompt: str, gen: str) -> None:
    generator = random.Random(0)
    count, length = int(clients), int(prompt)
    tried = [[generator.randrange(100, 30000) for _ in range(length)] for _ in range(count + 4)]
    # An end token would cut an answer short: prompts are tried before, which warms up as well.
    whole = [
        ids
        for ids, client in zip(tried, ask(url, model, tried, int(gen)), strict=True)
        if client.tokens == int(gen)
    ]
    if len(whole) < count:
        raise SystemExit(f"only {len(whole)} of {len(tried)} answers had {gen} tokens")
    found = ask(url, model, whole[:count], int(gen))
    begin = max(client.times[0] for client in found)
    end = max(client.times[-1] for client in found)
    later = 0.0
    for client in found:
        events = sum(1 for moment in client.times if moment > begin)
        later += events * client.tokens / len(client.times)  # an event may hold two tokens
    print(later / (end - begin))


def ask(url: str, model: str, prompts: list[list[int]], gen: int) -> list[Client]:
    place = urlsplit(url)
    waiting = selectors.DefaultSelector()
    clients: list[Client] = []
    for ids in prompts:
        body = json.dumps(
            {
                "model": model,
                "prompt": ids,
                "max_tokens": gen,
                "temperature": 0,
                "stream": True,
                "stream_options": {"include_usage": True},
            }
        ).encode()
        head = f"POST /v1/completions HTTP/1.1\r\nHost: {place.netloc}\r\nConnection: close\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        client = Client(socket.create_connection((place.hostname or "", place.port or 80)))
        client.socket.sendall(head.encode() + body)
        waiting.register(client.socket, selectors.EVENT_READ, client)
        clients.append(client)
    left = len(clients)
    while left:
        for key, _ in waiting.select():
            data, now = key.data.socket.recv(1 << 16), time.perf_counter()
            if key.data.take(data, now):
                waiting.unregister(key.data.socket)
                left -= 1
    return clients


if __name__ == "__main__":
    main(*sys.argv[1:])

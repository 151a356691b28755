#!/usr/bin/env python
"""What common batches save: requests of one short text each, by many threads, alone and through the queue.

CPU time of the whole process is what is compared, since other work on the machine does not change it much; both ways
run in turns in one process. Prints a table; nothing is stored.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor

from lodex.embed.registry import load_encoder
from lodex.embed.tokens.framing import TokenRow
from lodex.service.embed_queue import EmbedQueue
from lodex.types import TextKind

TEXT = "how do I read a large file line by line in python without loading all of it into memory at once"


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=32, help="threads that ask, each for one text at a time")
    parser.add_argument("--requests", type=int, default=400, help="requests of each round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    encoder = load_encoder()
    words = TEXT.split()
    texts = [" ".join(words[: 3 + i % 12]) for i in range(options.requests)]
    rows = [row for row in encoder.tokenize(texts, TextKind.QUERY) if isinstance(row, TokenRow)]
    queue = EmbedQueue(encoder, max_queued_tokens=1 << 20)

    def alone(row: TokenRow) -> None:
        encoder.embed_tokens([row])

    def queued(row: TokenRow) -> None:
        queue.submit([row]).result()

    tokens = sum(len(row.ids) for row in rows) / len(rows)
    print(f"{len(rows)} requests of {tokens:.1f} tokens, {options.clients} clients")
    spent: dict[str, list[float]] = {"alone": [], "queued": []}
    with ThreadPoolExecutor(options.clients) as clients:
        for _ in range(options.rounds):
            for name, ask in (("alone", alone), ("queued", queued)):
                begun_s = time.process_time()
                list(clients.map(ask, rows))
                spent[name].append(time.process_time() - begun_s)
    done = queue.statistics
    queue.close()
    for name, seconds in spent.items():
        print(f"{name:8} {min(seconds) / len(rows) * 1e3:7.2f} ms of CPU a text, best of {options.rounds}")
    saved = min(spent["alone"]) / min(spent["queued"])
    print(f"{done.texts / done.batches:.1f} texts a batch; {saved:.2f} times less CPU")


if __name__ == "__main__":
    main()

"""How much of their prompts replicas evaluate again, by how requests are spread over them.

    python -m benchmarks.routing

A simulation, not a measurement: each replica evaluates prompts one after the other at a fixed rate
and keeps the latest conversations, up to a number of tokens.  All conversations share a system
prompt, which every replica soon knows.  It answers one question: what a load balancer gains that
sends a conversation to where its beginning was evaluated.
"""

from __future__ import annotations

import random
import statistics
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

REPLICAS = 8
CHATS = 160
TURNS = 6
SYSTEM_TOKENS = 500
TURN_TOKENS = (80, 400)  # Of a question and the answer before it, together.
REQUESTS_A_SECOND = 3.2
PROMPT_TOKENS_A_SECOND = 400.0
SEEDS = range(3)

Route = Callable[[int, list["Replica"], random.Random], int]


@dataclass
class Replica:
    """One server: the conversations that it holds, and when it is free."""

    capacity: int
    free_at: float = 0.0
    knows_system: bool = False
    held: OrderedDict[int, int] = field(default_factory=OrderedDict)  # Tokens by conversation.

    def evaluate(self, chat: int, tokens: int) -> int:
        """Take a prompt of so many tokens; return how many of them have to be evaluated."""
        known = self.held.pop(chat, SYSTEM_TOKENS if self.knows_system else 0)
        self.knows_system = True
        self.held[chat] = tokens
        while sum(self.held.values()) > self.capacity and len(self.held) > 1:
            self.held.popitem(last=False)
        return tokens - known


def at_random(_: int, replicas: list[Replica], rng: random.Random) -> int:
    """Any of them."""
    return rng.randrange(len(replicas))


def least_loaded_of_two(_: int, replicas: list[Replica], rng: random.Random) -> int:
    """The one of any two that is free sooner."""
    pair = rng.sample(range(len(replicas)), 2)
    return min(pair, key=lambda i: replicas[i].free_at)


def by_conversation(chat: int, replicas: list[Replica], _: random.Random) -> int:
    """The same one for all turns of a conversation."""
    return zlib.crc32(str(chat).encode()) % len(replicas)


@dataclass(frozen=True)
class Figures:
    """What came out.

    Attributes:
        again: The share of prompt tokens that some replica had evaluated before.
        first_token_s: Median time to the first token, in seconds.
        slow_first_token_s: The same for the slowest twentieth.
    """

    again: float
    first_token_s: float
    slow_first_token_s: float


def simulate(route: Route, capacity: int, seed: int) -> Figures:
    """Run all conversations once."""
    rng = random.Random(seed)
    replicas = [Replica(capacity) for _ in range(REPLICAS)]
    tokens = dict.fromkeys(range(CHATS), SYSTEM_TOKENS)
    seen: dict[int, int] = {}
    turns = [chat for chat in range(CHATS) for _ in range(TURNS)]
    rng.shuffle(turns)
    now, asked, evaluated, new = 0.0, 0, 0, 0
    waits = []
    for chat in turns:
        now += rng.expovariate(REQUESTS_A_SECOND)
        tokens[chat] += rng.randint(*TURN_TOKENS)
        replica = replicas[route(chat, replicas, rng)]
        cost = replica.evaluate(chat, tokens[chat])
        replica.free_at = max(replica.free_at, now) + cost / PROMPT_TOKENS_A_SECOND
        waits.append(replica.free_at - now)
        asked += tokens[chat]
        evaluated += cost
        new += tokens[chat] - seen.get(chat, SYSTEM_TOKENS if seen else 0)
        seen[chat] = tokens[chat]
    waits.sort()
    slow = waits[int(len(waits) * 0.95)]
    return Figures((evaluated - new) / asked, statistics.median(waits), slow)


def main() -> None:
    """Print a table."""
    print(f"{'routing':<22}{'holds':>8}{'evaluated again':>18}{'first token p50':>17}{'p95':>8}")
    for capacity in (64_000, 16_000):
        for name, route in (
            ("at random", at_random),
            ("less loaded of two", least_loaded_of_two),
            ("by conversation", by_conversation),
        ):
            runs = [simulate(route, capacity, seed) for seed in SEEDS]
            again = statistics.mean(run.again for run in runs)
            p50 = statistics.mean(run.first_token_s for run in runs)
            p95 = statistics.mean(run.slow_first_token_s for run in runs)
            print(f"{name:<22}{capacity:>8}{again:>17.0%} {p50:>15.2f} s{p95:>6.1f} s")


if __name__ == "__main__":
    main()

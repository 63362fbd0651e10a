"""A first agent: `quarterdeck server` in one terminal, this in another, then
`quarterdeck task submit greet --input '{"name": "Ada"}' --wait` in a third."""

from __future__ import annotations

from dataclasses import dataclass

import quarterdeck

agent = quarterdeck.Agent("greeter", slots=4)


@dataclass
class Guest:
    name: str


@agent.task
async def greet(run: quarterdeck.Run, guest: Guest) -> str:
    run.log.info("greeting %s", guest.name)
    return f"Hello, {guest.name}!"


if __name__ == "__main__":
    quarterdeck.serve(agent)

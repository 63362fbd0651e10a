"""The line of waiting claims."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from quarterdeck_server.engine.commands import Claim, Profile
from quarterdeck_server.engine.flow.book import Term
from quarterdeck_server.engine.flow.claim import Waiting
from quarterdeck_server.engine.model import Payload, Task
from quarterdeck_server.engine.world import QueueKey

Given = list[tuple[Task, Payload | None]]


class Line:
    """Claims that wait for ready tasks, and what is known of the queues they wait for.

    What it knows of ready tasks is a hint, refreshed by every group; whether a task is ready is decided in the store's
    transaction.
    """

    def __init__(self) -> None:
        self._profiles: dict[Profile, dict[Claim, asyncio.Future[Given]]] = {}
        self._of_queue: dict[QueueKey, set[Profile]] = {}
        self._terms: dict[str, dict[Term, dict[Claim, None]]] = {}
        """By namespace, the claims whose agents have a label, or an id, which stands under the empty name."""
        self._ready: dict[QueueKey, dict[str, int]] = {}
        self._candidates: set[QueueKey] = set()
        self._place = 0
        self._expired: list[Claim] = []
        self._seen = 0
        """Claims up to this place are known to the group that is being carried out."""

    def __len__(self) -> int:
        return sum(len(claims) for claims in self._profiles.values())

    @property
    def servable(self) -> bool:
        """Some waiting claim may be given something."""
        return bool(self._candidates)

    def start(self, ready: Mapping[QueueKey, dict[str, int]]) -> None:
        """Begin with what the store has."""
        self._ready = dict(ready)

    def park(self, claim: Claim) -> asyncio.Future[Given]:
        """Put a claim at the end of the line; the future gets what it is given, or nothing."""
        self._place += 1
        claim.place = self._place
        future: asyncio.Future[Given] = asyncio.get_running_loop().create_future()
        profile = claim.profile
        if profile not in self._profiles:
            self._profiles[profile] = {}
            for key in _keys(profile):
                self._of_queue.setdefault(key, set()).add(profile)
        self._profiles[profile][claim] = future
        terms = self._terms.setdefault(profile.namespace, {})
        for term in _terms(claim):
            terms.setdefault(term, {})[claim] = None
        self._candidates.update(key for key in _keys(profile) if self._serves(key, profile))
        return future

    def _serves(self, key: QueueKey, profile: Profile) -> bool:
        names = self._ready.get(key)
        if not names:
            return False
        return profile.names is None or not profile.names.isdisjoint(names)

    def of_agent(self, namespace: str, agent_id: str) -> list[Claim]:
        """Return an agent's waiting claims."""
        return list(self._terms.get(namespace, {}).get(("", agent_id), ()))

    def reopen(self, key: QueueKey) -> None:
        """Let the next group look at a queue, if somebody waits for it."""
        if key in self._of_queue:
            self._candidates.add(key)

    def withdraw(self, claim: Claim, *, busy: bool) -> None:
        """End a claim's wait: at once, or after the group that may be giving it something.

        Args:
            claim: A claim whose future may be done already.
            busy: A group is being carried out, or about to be.
        """
        if busy:
            self._expired.append(claim)
        else:
            self._answer(claim, [])

    def abandon(self, claim: Claim) -> None:
        """Remove a claim whose caller is gone; what a running group gives it must be given back."""
        self._remove(claim)

    def empty(self) -> None:
        """Answer every waiting claim with nothing."""
        for claims in list(self._profiles.values()):
            for claim in list(claims):
                self._answer(claim, [])

    def snapshot(self) -> Waiting:
        """Return what the next group may serve. A queue stays a candidate only if the group makes it one again."""
        candidates, self._candidates = self._candidates, set()
        self._seen = self._place
        return Waiting(self._profiles, self._of_queue, candidates, self._terms)

    def settle(
        self,
        claims: Iterable[Claim],
        inputs: Mapping[int, Payload],
        ready: Mapping[QueueKey, dict[str, int]],
    ) -> list[Claim]:
        """Answer the claims that a group served; return those whose callers were gone."""
        orphans, served = [], False
        for claim in claims:
            served = True
            given = [(task, inputs.get(task.id)) for task in claim.taken]
            if not self._answer(claim, given):
                orphans.append(claim)
        for key, names in ready.items():
            before = self._ready.get(key)
            self._ready[key] = names
            if names and key in self._of_queue and (served or names != before):
                self._candidates.add(key)
        self._answer_expired()
        return orphans

    def _answer_expired(self) -> None:
        late, self._expired = self._expired, []
        for claim in late:
            if claim.place <= self._seen:
                self._answer(claim, [])
            else:
                self._expired.append(claim)

    def retry(self) -> None:
        """Try every queue again: a group that was to serve them was lost."""
        self._candidates = {
            key for key, names in self._ready.items() if names and key in self._of_queue
        }

    def release_expired(self) -> None:
        """Answer the claims whose wait is over although no group ran for them."""
        late, self._expired = self._expired, []
        for claim in late:
            self._answer(claim, [])

    def _answer(self, claim: Claim, given: Given) -> bool:
        """Answer a claim and take it out of the line; False when nobody waits for the answer."""
        future = self._remove(claim)
        if future is None or future.done():
            return not given
        future.set_result(given)
        return True

    def _remove(self, claim: Claim) -> asyncio.Future[Given] | None:
        claims = self._profiles.get(claim.profile)
        if claims is None:
            return None
        future = claims.pop(claim, None)
        if future is not None:
            self._forget_terms(claim)
        if not claims:
            del self._profiles[claim.profile]
            for key in _keys(claim.profile):
                profiles = self._of_queue.get(key)
                if profiles is not None:
                    profiles.discard(claim.profile)
                    if not profiles:
                        del self._of_queue[key]
        return future

    def _forget_terms(self, claim: Claim) -> None:
        terms = self._terms[claim.profile.namespace]
        for term in _terms(claim):
            claims = terms[term]
            del claims[claim]
            if not claims:
                del terms[term]


def _terms(claim: Claim) -> list[Term]:
    return [("", claim.agent_id), *claim.labels]


def _keys(profile: Profile) -> list[QueueKey]:
    return [(profile.namespace, queue) for queue in profile.queues]

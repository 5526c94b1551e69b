"""Turns of made-up conversations: varied and about as long as people's, the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Final

_NAMES: Final = (
    "Ada",
    "Bruno",
    "Chiara",
    "Dmitri",
    "Elif",
    "Farid",
    "Greta",
    "Hugo",
    "Ines",
    "Jonas",
    "Kaori",
    "Luis",
)
_CONVERSATIONS: Final = 64

# A sentence is one of these with its slots filled.
_SENTENCES: Final = (
    "I {did} {thing} {when}.",
    "{when}, {who} and I {did} {thing} {place}.",
    "Did you know that {who} {did} {thing}?",
    "What do you think of {thing}, should I keep it for {when}?",
    "{who} told me that {thing} {place} was {opinion}, and I {feel} that.",
    "We are going to {plan} {place} {when}, if {who} has the time.",
    "Honestly, {thing} turned out {opinion}.",
    "My plan is to {plan} before {who} comes back {when}.",
    "That sounds {opinion}!",
    "No, it was {who} who {did} {thing}, not me.",
    "I {feel} that we could {plan} together {when}.",
    "Remember {thing} {place}? It is {opinion} now.",
)
_WORDS: Final = {
    "did": ("bought|repaired|lost|painted|borrowed|finally found|gave away|sold|cleaned|photographed|ordered"),
    "thing": (
        "a used bicycle|the kitchen shelf|my grandmother's recipe book|an old camera|"
        "three pots of basil|the red kayak|a ticket for the jazz festival|the leaking tap|"
        "a pair of hiking boots|the draft of my thesis|a rescue dog|the piano in the hall|"
        "a jar of plum jam|two chapters of the novel|the broken laptop|a map of the coast"
    ),
    "when": (
        "last Tuesday|in the spring of 2019|on my birthday|after the meeting|this weekend|"
        "at half past six|during the holidays|a month ago|next Friday evening|on the 14th of March|"
        "before breakfast|some day soon"
    ),
    "place": (
        "at the harbour|in Porto|behind the library|at my sister's place|near the old mill|"
        "in the community garden|at the climbing hall|on the night train|by the lake|"
        "in the office downtown|at the flea market"
    ),
    "who": ("my brother|our neighbour|Samira|the new vet|my boss|aunt Rosa|Tom from work|the whole choir|Mei"),
    "opinion": (
        "wonderful|a little too expensive|better than expected|really exhausting|"
        "not worth the trouble|very kind|hard to explain|surprisingly quiet|almost perfect|"
        "rather strange"
    ),
    "feel": "was glad about|still regret|am not sure about|keep thinking|would be happy to hear|doubt",
    "plan": (
        "bake bread|learn to sail|visit the museum|start a reading group|cook for twelve people|"
        "plant tomatoes|run ten kilometres|write to the landlord|fix the roof|practise Spanish|"
        "see the dentist"
    ),
}
_SLOTS: Final = {name: tuple(words.split("|")) for name, words in _WORDS.items()}
# How many sentences a turn has, and how often.
_LENGTHS: Final = {1: 4, 2: 4, 3: 2, 4: 1}


@dataclass(frozen=True, slots=True)
class Turn:
    """What one person says in one conversation."""

    conversation: str
    name: str
    text: str


def turns(seed: int) -> Iterator[Turn]:
    """Turns without end, no two alike, dealt out to the conversations in no order."""
    chance = random.Random(seed)
    seen: set[str] = set()
    for _ in count():
        sentences = chance.choices(list(_LENGTHS), list(_LENGTHS.values()))[0]
        text = " ".join(_sentence(chance) for _ in range(sentences))
        if text not in seen:
            seen.add(text)
            yield Turn(f"conversation-{chance.randrange(_CONVERSATIONS)}", chance.choice(_NAMES), text)


def _sentence(chance: random.Random) -> str:
    slots = {name: chance.choice(choices) for name, choices in _SLOTS.items()}
    text = chance.choice(_SENTENCES).format(**slots)
    return text[0].upper() + text[1:]

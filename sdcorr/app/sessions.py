"""What the server remembers of each open page: its pictures and its matches, in memory, up to fixed limits.

Only the event loop's thread uses a session. The session that was idle for longest is forgotten first.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass, field

from sdcorr.app.matching import Found
from sdcorr.app.refusal import Refusal
from sdcorr.pictures import Counterparts, Picture

MOST_SESSIONS = 64
MOST_PICTURES = 12  # per session
MOST_FOUND = 512  # matches per session
MOST_BYTES = 2**30  # all sessions together

FoundKey = tuple[str, str, str, float, float]  # the way it was found, keys of source and target, x, y
SidesKey = tuple[str, str, tuple[tuple[float, float], ...]]  # the way, the source's key, all its points


@dataclass(frozen=True)
class Held:
    """A picture that a page has sent."""

    picture: Picture
    shown: bytes  # the image file that the page shows
    media_type: str  # of `shown`

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        width, height = self.picture.image.size
        return 3 * width * height + len(self.shown)


@dataclass(eq=False)
class Session:
    """The pictures and matches of one page."""

    id: str
    pictures: OrderedDict[str, Held] = field(default_factory=OrderedDict)
    found: OrderedDict[FoundKey, Found] = field(default_factory=OrderedDict)
    sides: OrderedDict[SidesKey, Counterparts] = field(default_factory=OrderedDict)

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return sum(held.nbytes for held in self.pictures.values()) + sum(each.nbytes for each in self.found.values())

    def picture(self, name: str) -> Held:
        """Return a picture by its name.

        Raises:
            Refusal: if it was forgotten, or belongs to another page.
        """
        if name not in self.pictures:
            raise Refusal("The server no longer has this picture, as many others came after it: choose it again.", 410)
        self.pictures.move_to_end(name)
        return self.pictures[name]


class Sessions:
    """The sessions of all open pages, up to a number of pages and of bytes.

    Args:
        budget: bytes of pictures and matches that are kept, for all sessions together.
    """

    def __init__(self, budget: int = MOST_BYTES) -> None:
        self._budget = budget
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self) -> Session:
        """Start a session, whose id nobody can guess."""
        session = Session(secrets.token_urlsafe(24))
        self._sessions[session.id] = session
        while len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return session

    def get(self, id: str) -> Session:
        """Return the session of that id, which is then no longer idle.

        Raises:
            Refusal: if there is none, or none any more.
        """
        if id not in self._sessions:
            raise Refusal("The server was restarted or has forgotten this page: choose your pictures again.", 410)
        self._sessions.move_to_end(id)
        return self._sessions[id]

    def hold(self, session: Session, held: Held) -> str:
        """Keep a picture for a session, dropping the oldest if there are too many, and return its unguessable name."""
        name = secrets.token_urlsafe(16)
        session.pictures[name] = held
        while len(session.pictures) > MOST_PICTURES:
            session.pictures.popitem(last=False)
        self._make_room(session)
        return name

    def keep(self, session: Session, found: dict[FoundKey, Found]) -> None:
        """Keep matches for a session, dropping the oldest if there are too many."""
        session.found |= found
        while len(session.found) > MOST_FOUND:
            session.found.popitem(last=False)
        self._make_room(session)

    def keep_sides(self, session: Session, key: SidesKey, pairs: Counterparts) -> None:
        """Keep which of some points are counterparts, dropping the oldest if there are too many."""
        session.sides[key] = pairs
        while len(session.sides) > MOST_FOUND:
            session.sides.popitem(last=False)

    def shown(self, name: str) -> Held:
        """Return a picture by its name alone, which only its page knows.

        Raises:
            Refusal: if there is none, or none any more.
        """
        for session in self._sessions.values():
            if name in session.pictures:
                return session.pictures[name]
        raise Refusal("The server has forgotten this picture.", 404)

    def _make_room(self, session: Session) -> None:
        """Keep to the budget: forget other sessions, then this one's oldest pictures (not the last two) and matches."""
        total = sum(each.nbytes for each in self._sessions.values())
        for other in [each for each in self._sessions.values() if each is not session]:
            if total <= self._budget:
                return
            total -= self._sessions.pop(other.id).nbytes
        while session.nbytes > self._budget and len(session.pictures) > 2:
            session.pictures.popitem(last=False)
        while session.nbytes > self._budget and len(session.found) > 1:
            session.found.popitem(last=False)

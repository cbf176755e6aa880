"""Who is connected, counted: a user has gone when his last connection has. Of this process; with several it would be in Redis."""

from collections import Counter

in_tenant: Counter[int] = Counter()
in_channel: Counter[tuple[str, int]] = Counter()


def enter(channel_id: str, person_id: int) -> tuple[bool, bool]:
    """Whether this is his first connection to the channel, and at all."""
    in_channel[channel_id, person_id] += 1
    in_tenant[person_id] += 1
    return in_channel[channel_id, person_id] == 1, in_tenant[person_id] == 1


def leave(channel_id: str, person_id: int) -> tuple[bool, bool]:
    """Whether this was his last connection to the channel, and at all."""
    in_channel[channel_id, person_id] -= 1
    in_tenant[person_id] -= 1
    return in_channel[channel_id, person_id] == 0, in_tenant[person_id] == 0


def is_online(person_id: int) -> bool:
    return in_tenant[person_id] > 0

"""A cable between two TUN devices on which packets are late."""

import heapq
import itertools
import os
import select
import struct
import time

TUNSETIFF, IFF_TUN_NO_PI = 0x400454CA, 0x1001  # from linux/if_tun.h


def open_tun(name):
    """Make a TUN device; return the descriptor from which its packets are read."""
    import fcntl  # Windows has none.

    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN_NO_PI))
    return tun


def carry(ends, seconds, bytes_per_second):
    """Carry packets between the devices, each late, for ever."""
    other, free = dict(zip(ends, ends[::-1])), dict.fromkeys(ends, 0)
    order, late = itertools.count(), []
    while True:
        wait = max(0, late[0][0] - time.monotonic()) if late else None
        for end in select.select(ends, [], [], wait)[0]:
            packet = os.read(end, 4096)
            free[end] = max(free[end], time.monotonic()) + len(packet) / bytes_per_second
            heapq.heappush(late, (free[end] + seconds, next(order), other[end], packet))
        while late and late[0][0] <= time.monotonic():
            _, _, end, packet = heapq.heappop(late)
            os.write(end, packet)

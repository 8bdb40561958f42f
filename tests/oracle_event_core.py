"""The twin of kernels/event_core.py: one core as an object with a queue, in plain Python."""

from __future__ import annotations

from collections import deque


class Core:
    def __init__(self, weight, potential, threshold, leak, silent, closed, capacity=128):
        self.weight, self.v, self.threshold, self.leak = weight, list(potential), threshold, leak
        self.silent, self.closed, self.capacity = silent, closed, capacity
        self.queue: deque[int] = deque()
        self.spikes: list[int] = []
        self.lost = 0

    def add(self, k, w):
        self.set(k, min(max(self.v[k] + int(w), -2048), 2047))

    def decay(self, k):
        size = max(abs(self.v[k]) - int(self.leak[k]), 0)
        self.set(k, size if self.v[k] >= 0 else -size)

    def set(self, k, v):
        self.v[k] = v
        if v < 0 or v < self.threshold[k]:
            return
        self.v[k] = 0
        if self.silent[k]:
            return
        self.spikes.append(k)
        if self.closed and len(self.queue) < self.capacity:
            self.queue.append(k)
        elif self.closed:
            self.lost += 1

    def spike(self, p):
        self.queue.append(p)
        self.settle()

    def settle(self):
        while self.queue:
            for k in range(len(self.v)):
                self.add(k, self.weight[self.queue[0]][k])
            self.queue.popleft()

    def virtual(self, k, w):
        self.add(k, w)
        self.settle()

    def leak_one(self, k):
        self.decay(k)
        self.settle()

    def leak_all(self):
        for k in range(len(self.v)):
            self.decay(k)
        self.settle()

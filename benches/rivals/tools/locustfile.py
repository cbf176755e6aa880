"""Sessions of `echo` under locust: one message of 64 bytes per second and user, and its answer as a request of locust's statistics."""

import itertools
import os
import time

import websocket
from locust import User, constant_pacing, task

TEXT = "sixty-four bytes of text that come back as they are, and no more"
NUMBERS = itertools.count()


class Talker(User):
    wait_time = constant_pacing(1)

    def on_start(self):
        name = f"locust-{os.getpid()}-{next(NUMBERS)}"
        self.socket = websocket.create_connection(f"{self.host}/ws/chat/?session={name}")

    @task
    def say(self):
        begun = time.perf_counter()
        self.socket.send(TEXT)
        answer = self.socket.recv()
        self.environment.events.request.fire(
            request_type="WS",
            name="say",
            response_time=(time.perf_counter() - begun) * 1000,
            response_length=len(answer),
            exception=None,
            context={},
        )

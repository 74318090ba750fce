"""What takes hosts, made of network namespaces. TEST_REAL_TIMES asks for times of real ones."""

import os
import signal
import subprocess
import sys
import time
from unittest import mock

from tests.programs import PROMPT, UNSURE, ProgramTest, changed
from tests.slow import carry, open_tun

REAL_TIMES = os.environ.get("TEST_REAL_TIMES")
MINUTE = 60
# The shortest times that the system takes.
SHORT_TIMES = dict.fromkeys(("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT"), 1)
SHORT_TIMES["TCP_USER_TIMEOUT"] = 1000


def ip(*arguments):
    subprocess.run(["ip", *arguments], capture_output=True, text=True, check=True)


class NamespaceTest(ProgramTest):
    def setUp(self):
        """Make two hosts, near and far."""
        self.near, self.far = f"near{os.getpid()}", f"far{os.getpid()}"
        try:
            for host in (self.near, self.far):
                ip("netns", "add", host)
                self.addCleanup(ip, "netns", "delete", host)
                ip("-n", host, "link", "set", "lo", "up")
        except (OSError, subprocess.CalledProcessError) as error:
            self.skipTest(f"no network namespace can be made here: {error}")

    def plug_in(self):
        """Give both hosts their addresses at the cable, and wake it up."""
        for number, host in enumerate((self.near, self.far), 1):
            # The system's own link-local address could become the source of a connection.
            ip("-n", host, "link", "set", "cable", "addrgenmode", "none")
            ip("-n", host, "address", "add", f"192.0.2.{number}/24", "dev", "cable")
            ip("-n", host, "address", "add", f"fe80::{number}/64", "dev", "cable", "nodad")
            ip("-n", host, "link", "set", "cable", "up")

    def connect_hosts(self):
        """Connect the hosts by a cable."""
        cable = ("type", "veth", "peer", "name", "cable", "netns", self.far)
        ip("-n", self.near, "link", "add", "cable", *cable)
        self.plug_in()

    def connect_hosts_slowly(self, seconds, bytes_per_second):
        """Connect the hosts by a cable on which packets are late."""
        if not os.path.exists("/dev/net/tun"):
            self.skipTest("no TUN device can be made here")
        ends = [open_tun(host) for host in (self.near, self.far)]
        for host, end in zip((self.near, self.far), ends):
            self.addCleanup(os.close, end)
            ip("link", "set", host, "netns", host, "name", "cable")
        self.plug_in()
        carrier = os.fork()
        if not carrier:
            try:
                carry(ends, seconds, bytes_per_second)
            finally:
                os._exit(1)  # Whatever happens, the child runs no tests.
        self.addCleanup(os.waitpid, carrier, 0)
        self.addCleanup(os.kill, carrier, signal.SIGKILL)

    def start_on(self, host, *command):
        return self.ends(self.kind("ip", "netns", "exec", host, sys.executable, *command))

    def test_a_link_local_address_is_printed_with_its_scope_and_taken_so(self):
        self.connect_hosts()
        server = self.start_on(self.near, "server.py", "--host", "fe80::1%cable")
        server.until("Listening on [fe80::1%cable]:3720\n")
        client = self.start_on(self.far, "client.py", "--host", "[fe80::1%cable]")
        client.until("Connected to [fe80::1%cable]:3720\n")
        server.until("Connected by [fe80::2%cable]:")

    def start_pair(self, port):
        """Start a server on the near host and a client on the far one."""
        times = {} if REAL_TIMES else SHORT_TIMES
        change = f"import protocol; protocol.KEEP_ALIVE_OPTIONS.update({times})"
        address = ("--host", "192.0.2.1", "--port", port)
        server = self.start_on(self.near, *changed(change, "server", *address))
        server.until("Waiting for a client")
        client = self.start_on(self.far, *changed(change, "client", *address))
        client.type("x")
        server.type("y")
        client.until(PROMPT)
        return server, client

    def test_a_cut_cable_is_noticed_waiting_and_sending(self):
        self.connect_hosts()
        server_waits, client_sends = self.start_pair("1001")
        server_sends, client_waits = self.start_pair("1002")
        client_waits.write("z\n")
        server_sends.until(PROMPT)
        ip("-n", self.far, "link", "set", "cable", "down")
        cut = time.monotonic()
        client_sends.write("into the void\n")
        server_sends.write("into the void\n")
        lost = "{}.py: error: the connection to the {} was lost" + UNSURE
        with mock.patch("tests.programs.SECONDS", MINUTE):
            for end in (server_waits, server_sends):
                self.assert_ends(end, 1, lost.format("server", "client"))
            for end in (client_waits, client_sends):
                self.assert_ends(end, 1, lost.format("client", "server"))
        self.assertLess(time.monotonic() - cut, MINUTE)

    def test_150_bytes_a_second_and_a_round_trip_of_three_seconds_are_enough(self):
        self.connect_hosts_slowly(*((1.5, 150) if REAL_TIMES else (0.05, 5000)))
        server = self.start_on(self.near, "server.py", "--host", "192.0.2.1")
        server.until("Waiting for a client")
        client = self.start_on(self.far, "client.py", "--host", "192.0.2.1")
        with mock.patch("tests.programs.SECONDS", MINUTE):
            client.type("hello")
            self.play_to_the_end(server, client)

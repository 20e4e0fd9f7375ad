"""A terminal with a screen: a pseudo-terminal, a process in it, and just enough of an emulator to know what is shown. What it does not
know is an error, so that nothing is passed over."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
import unicodedata

# Far longer than anything takes.
LONG = 60
# One control sequence: CSI, a charset, or a two-letter escape.
ESCAPE = re.compile(r"\x1b(?:\[([?>=]?)([0-9;]*)([@-~])|[()][A-Z0-9]|([78=>Mc]))")
COLOURS = {*range(30, 38), *range(40, 48), *range(90, 98), *range(100, 108)}


class Screen:
    """What a terminal of that size shows."""

    def __init__(self, columns, lines):
        self.cursor_shown, self.other, self.unread, self.coloured = True, False, "", False
        self.resize(columns, lines)

    def resize(self, columns, lines):
        self.columns, self.lines, self.x, self.y = columns, lines, 0, 0
        self.rows = [[" "] * columns for _ in range(lines)]

    def text(self):
        return ["".join(row).rstrip() for row in self.rows]

    def feed(self, text):
        text, at = self.unread + text, 0
        self.unread = ""
        while at < len(text):
            if text[at] == "\x1b":
                found = ESCAPE.match(text, at)
                if not found:
                    assert len(text) - at < 32, f"an escape that nobody knows: {text[at:at + 32]!r}"
                    self.unread = text[at:]  # the rest comes with the next bytes
                    return
                if found[3]:
                    self._control(found[1], [int(n or 0) for n in found[2].split(";")], found[3])
                at = found.end()
            else:
                self._put(text[at])
                at += 1

    def _control(self, mark, numbers, letter):
        first = numbers[0]
        if mark == "?":
            on = letter == "h"
            assert letter in "hl", f"CSI ? {numbers} {letter}"
            for number in numbers:
                if number == 25:
                    self.cursor_shown = on
                elif number == 1049:
                    self.other = on
                    self.rows = [[" "] * self.columns for _ in range(self.lines)]
        elif letter == "H":
            self.y = min(max(first, 1), self.lines) - 1
            self.x = min(max((numbers + [1])[1], 1), self.columns) - 1
        elif letter in "ABCD":
            step = max(first, 1)
            self.y = min(max(self.y + {"A": -step, "B": step}.get(letter, 0), 0), self.lines - 1)
            self.x = min(max(self.x + {"C": step, "D": -step}.get(letter, 0), 0), self.columns - 1)
        elif letter == "J":
            assert first == 2, f"CSI {numbers} J"
            self.rows = [[" "] * self.columns for _ in range(self.lines)]
        elif letter == "K":
            self.rows[self.y][self.x:] = [" "] * (self.columns - self.x)
        elif letter == "m":
            self.coloured |= bool(COLOURS & set(numbers)) or (len(numbers) > 1 and numbers[0] in (38, 48))
        else:
            assert letter in "n", f"CSI {mark} {numbers} {letter} is not known"

    def _put(self, c):
        if c == "\r":
            self.x = 0
        elif c == "\n":
            self.y = min(self.y + 1, self.lines - 1)
        elif c == "\b":
            self.x = max(self.x - 1, 0)
        elif c >= " ":
            wide = 2 if unicodedata.east_asian_width(c) in "WF" else 1
            if self.x + wide > self.columns:
                self.x, self.y = 0, min(self.y + 1, self.lines - 1)
            self.rows[self.y][self.x] = c
            if wide == 2:
                self.rows[self.y][self.x + 1] = ""
            self.x += wide


class Terminal:
    """A process in a pseudo-terminal. `with` ends it."""

    def __init__(self, command, columns=80, lines=24, **env):
        self.screen, self.raw = Screen(columns, lines), b""
        self.main, self.other = pty.openpty()
        self._size(columns, lines)
        # What a shell finds before and has to find again.
        self.before = termios.tcgetattr(self.other)
        everything = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "TERM": "xterm-256color", **env}
        self.process = subprocess.Popen(
            command, stdin=self.other, stdout=self.other, stderr=self.other, env=everything, close_fds=True,
            start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self._rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.main)
        os.close(self.other)

    def _size(self, columns, lines):
        fcntl.ioctl(self.other, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def resize(self, columns, lines):
        self.screen.resize(columns, lines)
        self._size(columns, lines)
        self.process.send_signal(signal.SIGWINCH)

    def type(self, text):
        os.write(self.main, text.encode())

    def read(self, wait=0.1):
        """Takes what has come; whether anything did."""
        if not select.select([self.main], [], [], wait)[0]:
            return False
        try:
            data = os.read(self.main, 65536)
        except OSError:
            return False
        self.raw += data
        data = self._rest + data
        end = len(data)
        while end and end > len(data) - 4:  # a character may be cut in two
            try:
                text = data[:end].decode()
                break
            except UnicodeDecodeError:
                end -= 1
        else:
            text, end = data.decode(errors="replace"), len(data)
        self._rest = data[end:]
        self.screen.feed(text)
        return bool(data)

    def wait(self, holds, what):
        """Until the screen is as wanted; its lines."""
        until = time.monotonic() + LONG
        while True:
            lines = self.screen.text()
            if holds(lines):
                return lines
            if self.process.poll() is not None and not self.read(0):
                raise AssertionError(f"it ended with {self.process.returncode} before {what}:\n" + "\n".join(lines))
            if time.monotonic() > until:
                raise AssertionError(f"never {what}:\n" + "\n".join(lines))
            self.read()

    def ends(self):
        """Waits for its end; the exit code. What it said last is read."""
        until = time.monotonic() + LONG
        while self.process.poll() is None:
            assert time.monotonic() < until, "it does not end:\n" + "\n".join(self.screen.text())
            self.read()
        while self.read(0.05):
            pass
        return self.process.returncode

    def is_sane(self):
        """What is not as a shell left it."""
        wrong = []
        after = termios.tcgetattr(self.other)
        if after[:4] != self.before[:4]:
            wrong.append(f"the modes of the terminal are {after[:4]}, and were {self.before[:4]}")
        if self.screen.other:
            wrong.append("the other screen is still shown")
        if not self.screen.cursor_shown:
            wrong.append("the cursor is hidden")
        return wrong

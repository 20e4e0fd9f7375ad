"""A gRPC client that speaks as the SDKs do: just enough HTTP/2 and protobuf, on one TCP connection that can be cut.

It announces no header table, so nothing has to be remembered of the server's headers; statuses are not read: an answer is a
message, anything else an error.
"""

import asyncio
import json
import re
import socket
import struct

HOST = "127.0.0.1"
TIMEOUT = 30
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4
WINDOW = (1 << 31) - 1
REFILL = 1 << 24
REQUEST_ID = re.compile(rb'"requestId":"([^"]*)"')
UNARY, STREAM = "/Request/request", "/BiRequestStream/requestBiStream"


class Gone(ConnectionError):
    """The connection or the stream has ended."""


# ------------------------------------------------------------------------------------------------------------ protobuf

def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out) + bytes([number])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def fields(data):
    """(number, bytes) of every field that has a length; others do not occur."""
    at = 0
    while at < len(data):
        key, at = read_varint(data, at)
        length, at = read_varint(data, at)
        yield key >> 3, data[at:at + length]
        at += length


def read_varint(data, at):
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
        shift += 7


def pack(kind, body):
    """Payload{metadata=2 {type=3}, body=3 {value=2}}, with the length that gRPC puts in front."""
    message = field(2, field(3, kind.encode())) + field(3, field(2, json.dumps(body).encode()))
    return struct.pack(">BI", 0, len(message)) + message


def unpack(message, unread=()):
    """Type and body. Of types that nobody reads only the request's number is looked for: lists are long."""
    parts = dict(fields(message))
    kind = dict(fields(parts.get(2, b""))).get(3, b"").decode()
    text = dict(fields(parts.get(3, b""))).get(2, b"{}") or b"{}"
    if kind in unread:
        return kind, {"requestId": REQUEST_ID.search(text).group(1).decode()}
    return kind, json.loads(text)


# -------------------------------------------------------------------------------------------------------------- HTTP/2

def frame(kind, flags, stream, data=b""):
    return struct.pack(">I", len(data))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + data


def headers(path):
    out = bytearray()
    for name, value in ((":method", "POST"), (":scheme", "http"), (":path", path), (":authority", HOST),
                        ("content-type", "application/grpc"), ("te", "trailers")):
        # Literal, not indexed, not compressed; lengths stay below 127.
        out += bytes([0, len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
    return bytes(out)


class Client(asyncio.Protocol):
    """One connection. `on_push(kind, body)` hears every push and may answer what the acknowledgement says; it is called
    before the acknowledgement is sent."""

    def __init__(self, on_push=None):
        self.on_push = on_push or (lambda kind, body: None)
        self.transport, self.buffer, self.taken = None, bytearray(), 0
        self.next, self.messages, self.waiting = 1, {}, {}
        self.stream = None
        self.ended = asyncio.get_running_loop().create_future()
        self.set_up = asyncio.get_running_loop().create_future()
        self.acknowledges = True
        self.unread = ()
        self.id = None

    @classmethod
    async def connect(cls, port, module="naming", on_push=None, version="Nacos-Java-Client:v3.1.0", unread=(),
                      source=None):
        """A client that is set up; `source` is the address it comes from."""
        loop = asyncio.get_running_loop()
        connecting = loop.create_connection(lambda: cls(on_push), HOST, port, local_addr=(source, 0) if source else None)
        _, client = await asyncio.wait_for(connecting, TIMEOUT)
        client.unread = unread
        try:
            check = await client.call("ServerCheckRequest", {})
            if "connectionId" not in check:
                raise Gone(f"not served yet: {check}")  # a server that starts says so
            client.id = check["connectionId"]
            client._open()
            client.say("ConnectionSetupRequest", {"clientVersion": version, "abilityTable": {"a": True}, "tenant": "",
                                                  "labels": {"source": "sdk", "module": module}})
            await asyncio.wait_for(client.set_up, TIMEOUT)
        except BaseException:
            client.abort()
            raise
        return client

    # -- from the transport

    def connection_made(self, transport):
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        settings = struct.pack(">HIHIHI", 1, 0, 4, WINDOW, 5, (1 << 24) - 1)
        transport.write(PREFACE + frame(SETTINGS, 0, 0, settings)
                        + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", WINDOW - 65535)))

    def data_received(self, data):
        self.buffer += data
        at = 0
        while len(self.buffer) - at >= 9:
            length = int.from_bytes(self.buffer[at:at + 3], "big")
            if len(self.buffer) - at < 9 + length:
                break
            kind, flags = self.buffer[at + 3], self.buffer[at + 4]
            stream = int.from_bytes(self.buffer[at + 5:at + 9], "big") & WINDOW
            self._frame(kind, flags, stream, bytes(self.buffer[at + 9:at + 9 + length]))
            at += 9 + length
        del self.buffer[:at]

    def connection_lost(self, error):
        self._end(Gone(str(error or "closed by the server")))

    def _end(self, error):
        for waiting in [*self.waiting.values(), self.set_up]:
            if not waiting.done():
                waiting.set_exception(error)
                waiting.exception()  # whoever waits hears of it; a set-up nobody waits for is no failure
        self.waiting.clear()
        if not self.ended.done():
            self.ended.set_result(str(error))

    def _frame(self, kind, flags, stream, data):
        if kind == SETTINGS and not flags & ACK:
            self.transport.write(frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self.transport.write(frame(PING, ACK, 0, data))
        elif kind == DATA:
            self._refill(stream, len(data))
            self._data(stream, data)
        elif kind == RST_STREAM:
            self._stream_ended(stream, "reset")
        elif kind == GOAWAY:
            self._end(Gone("the server says good-bye"))
            self.transport.close()
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            self._stream_ended(stream, "ended")

    def _refill(self, stream, length):
        """Windows are as large as they can be; what was taken from the connection's is given back in large steps."""
        self.taken += length
        if self.taken >= REFILL:
            self.transport.write(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", self.taken)))
            if stream == self.stream:
                self.transport.write(frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", self.taken)))
            self.taken = 0

    def _data(self, stream, data):
        held = self.messages.setdefault(stream, bytearray())
        held += data
        while len(held) >= 5:
            length = int.from_bytes(held[1:5], "big")
            if len(held) < 5 + length:
                return
            message = bytes(held[5:5 + length])
            del held[:5 + length]
            self._message(stream, *unpack(message, self.unread))

    def _message(self, stream, kind, body):
        if stream != self.stream:
            waiting = self.waiting.pop(stream, None)
            if waiting and not waiting.done():
                waiting.set_result((kind, body))
            return
        if kind == "SetupAckRequest":
            if not self.set_up.done():
                self.set_up.set_result(None)
            return
        more = self.on_push(kind, body) or {}
        if self.acknowledges:
            answer = {"resultCode": 200, "errorCode": 0, "requestId": body.get("requestId"), **more}
            self.say(kind.replace("Request", "Response"), answer)

    def _stream_ended(self, stream, how):
        self.messages.pop(stream, None)
        waiting = self.waiting.pop(stream, None)
        if waiting and not waiting.done():
            waiting.set_exception(Gone(f"the stream was {how} without an answer"))
        if stream == self.stream:
            self._end(Gone(f"the stream was {how}"))

    # -- for callers

    def _stream_id(self):
        self.next += 2
        return self.next - 2

    def _open(self):
        self.stream = self._stream_id()
        self.transport.write(frame(HEADERS, END_HEADERS, self.stream, headers(STREAM)))

    def say(self, kind, body):
        if not self.transport.is_closing():
            self.transport.write(frame(DATA, 0, self.stream, pack(kind, body)))

    async def call(self, kind, body):
        """The answer's body; refusals are answers, too."""
        if self.transport.is_closing() or self.ended.done():
            raise Gone("closed")
        stream = self._stream_id()
        waiting = self.waiting[stream] = asyncio.get_running_loop().create_future()
        self.transport.write(frame(HEADERS, END_HEADERS, stream, headers(UNARY))
                             + frame(DATA, END_STREAM, stream, pack(kind, body)))
        try:
            _, answer = await asyncio.wait_for(waiting, TIMEOUT)
        finally:
            self.waiting.pop(stream, None)
        return answer

    async def ask(self, kind, body):
        """As `call`, for what must succeed."""
        answer = await self.call(kind, body)
        assert answer.get("resultCode") == 200, f"{kind} answered {answer}"
        return answer

    def alive(self):
        return not self.ended.done()

    async def close(self):
        """FIN: the client's good-bye."""
        self.transport.close()
        await self.ended

    def abort(self):
        """RST: as after kill -9 with unread data, or a router that cuts."""
        if not self.transport.is_closing():
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    # -- what SDKs ask

    async def register(self, service, ip, port, kind="registerInstance", ephemeral=True, **more):
        instance = {"ip": ip, "port": port, "ephemeral": ephemeral, "clusterName": "DEFAULT", **more}
        request = "InstanceRequest" if ephemeral else "PersistentInstanceRequest"
        return await self.ask(request, {"namespace": "public", "serviceName": service, "groupName": "DEFAULT_GROUP",
                                        "type": kind, "instance": instance})

    async def subscribe(self, service, subscribe=True):
        return await self.ask("SubscribeServiceRequest", {
            "namespace": "public", "serviceName": service, "groupName": "DEFAULT_GROUP", "subscribe": subscribe,
            "clusters": ""})

    async def listen(self, data_id, group, md5, listen=True):
        return await self.ask("ConfigBatchListenRequest", {"listen": listen, "configListenContexts": [
            {"dataId": data_id, "group": group, "tenant": "", "md5": md5}]})

    async def config(self, data_id, group):
        """Content and md5; both None when there is none."""
        answer = await self.call("ConfigQueryRequest", {"dataId": data_id, "group": group, "tenant": ""})
        if answer.get("resultCode") == 200:
            return answer["content"], answer["md5"]
        assert answer.get("errorCode") == 300, answer
        return None, None

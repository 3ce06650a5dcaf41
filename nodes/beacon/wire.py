"""
gRPC: the one module of the node that uses grpc.

Owns: listeners with their limits, channels to others, and what gRPC calls codes. Refuses: messages
longer than MESSAGE_BYTES_AT_MOST, bytes that are no message, methods that nobody answers, more
calls at a time than CALLS_AT_MOST. Meaning is the handlers'.

Rules: every call that is answered with one message ends within a limit, whatever its caller says.
A channel never tries a call again; it redials by itself, with gRPC's own back-off (1 s, growing to
two minutes). No proxy of the environment is used and no service configuration is looked up.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc import aio

from nodes.beacon.calls import (
    Answered,
    Asked,
    CallFailed,
    CallRefused,
    Code,
    Message,
    Method,
    Stream,
)
from nodes.beacon.meters import Meters
from nodes.beacon.options import Certificate
from nodes.beacon.surface_view import ConnectionState

MESSAGE_BYTES_AT_MOST = 1 << 20
STREAMS_OF_A_CONNECTION_AT_MOST = 256
CALLS_AT_MOST = 2048
_METADATA_BYTES_AT_MOST = 8192
_SILENT_MS = 30_000
_LIMITS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_AT_MOST),
    ("grpc.max_send_message_length", MESSAGE_BYTES_AT_MOST),
    ("grpc.max_metadata_size", _METADATA_BYTES_AT_MOST),
)
_LISTENING: tuple[tuple[str, Any], ...] = (
    *_LIMITS,
    # A port that is taken is an error, never shared.
    ("grpc.so_reuseport", 0),
    ("grpc.max_concurrent_streams", STREAMS_OF_A_CONNECTION_AT_MOST),
    # Who has vanished without a word gives back its streams.
    ("grpc.keepalive_time_ms", _SILENT_MS),
    ("grpc.keepalive_timeout_ms", _SILENT_MS),
)
_DIALLING: tuple[tuple[str, Any], ...] = (
    *_LIMITS,
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.service_config_disable_resolution", 1),
    # Channels of one process to one address are each other's business in nothing.
    ("grpc.use_local_subchannel_pool", 1),
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the address that the connection shows, which may be a proxy's, and no identity."""

    address: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A method that is answered here within `limit_s`; `handle` raises CallRefused."""

    method: Method[Any, Any]
    handle: Callable[[Any, Caller], Awaitable[Message]]
    limit_s: float


@dataclass(frozen=True, slots=True)
class Flow:
    """A stream that is answered here; `handle` raises CallRefused, before or while it yields."""

    method: Stream[Any, Any]
    handle: Callable[[Any, Caller], AsyncGenerator[Message, None]]


def silence_library() -> None:
    """Keep gRPC's own lines, which are not of our log's form, off stderr; before its first use."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")


# ---- listening ---------------------------------------------------------------------------------


class Listener:
    """A server at one address."""

    def __init__(self, answers: tuple[Answer | Flow, ...], meters: Meters) -> None:
        self._server = aio.server(options=_LISTENING, maximum_concurrent_rpcs=CALLS_AT_MOST)
        self._server.add_generic_rpc_handlers((_Dispatch(answers, meters),))
        self.port = 0

    async def start(self, address: str, certificate: Certificate | None) -> None:
        """Listen at host:port, port 0 for any; raises OSError where it cannot be had."""
        try:
            if certificate is None:
                self.port = self._server.add_insecure_port(address)
            else:
                self.port = self._server.add_secure_port(address, _shown(certificate))
        except RuntimeError as error:
            raise OSError(f"cannot listen at {address}: is the port taken?") from error
        await self._server.start()

    async def stop(self, grace_s: float) -> None:
        """Take no more calls, and end those that last longer than this."""
        await self._server.stop(grace_s)


def _shown(certificate: Certificate) -> grpc.ServerCredentials:
    pair = (certificate.key.read_bytes(), certificate.chain.read_bytes())
    return grpc.ssl_server_credentials([pair])


class _Dispatch(grpc.GenericRpcHandler):
    """Finds who answers, and counts every call that arrives."""

    def __init__(self, answers: tuple[Answer | Flow, ...], meters: Meters) -> None:
        self._meters = meters
        self._services = {answer.method.service for answer in answers}
        self._answered = {answer.method.path: self._answering(answer) for answer in answers}

    def _answering(self, answer: Answer | Flow) -> Any:
        if isinstance(answer, Answer):
            return grpc.unary_unary_rpc_method_handler(self._unary(answer))
        return grpc.unary_stream_rpc_method_handler(self._streaming(answer))

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """What gRPC asks for each call."""
        path = handler_call_details.method
        known = self._answered.get(path)
        return known or grpc.unary_unary_rpc_method_handler(self._unanswered(path))

    def _unary(self, answer: Answer) -> Callable[[bytes, Any], Awaitable[bytes]]:
        method, handle, meters = answer.method, answer.handle, self._meters

        async def call(data: bytes, context: Any) -> bytes:
            meters.call_started(method.service, method.name)
            code = Code.UNKNOWN
            try:
                async with asyncio.timeout(answer.limit_s):
                    answered = await handle(_parsed(method, data), _caller(context))
                code = Code.OK
                return answered.SerializeToString()
            except CallRefused as refused:
                code = refused.code
                await context.abort(_STATUS[code], str(refused))
                raise
            except TimeoutError:
                code = Code.DEADLINE_EXCEEDED
                await context.abort(_STATUS[code], f"not answered within {answer.limit_s:g} s")
                raise
            except asyncio.CancelledError:
                code = Code.CANCELED
                raise
            finally:
                meters.call_answered(method.service, method.name, code.spelt)

        return call

    def _streaming(self, flow: Flow) -> Callable[[bytes, Any], AsyncIterator[bytes]]:
        method, handle, meters = flow.method, flow.handle, self._meters

        async def call(data: bytes, context: Any) -> AsyncIterator[bytes]:
            meters.call_started(method.service, method.name)
            code = Code.UNKNOWN
            try:
                async with aclosing(handle(_parsed(method, data), _caller(context))) as answers:
                    async for answered in answers:
                        yield answered.SerializeToString()
                code = Code.OK
            except CallRefused as refused:
                code = refused.code
                await context.abort(_STATUS[code], str(refused))
            except (asyncio.CancelledError, GeneratorExit):
                code = Code.CANCELED
                raise
            finally:
                meters.call_answered(method.service, method.name, code.spelt)

        return call

    def _unanswered(self, path: str) -> Callable[[bytes, Any], Awaitable[bytes]]:
        service, _, name = path.lstrip("/").rpartition("/")
        known = service in self._services
        why = (
            f"unknown method {name} for service {service}"
            if known
            else f"unknown service {service}"
        )

        async def call(_: bytes, context: Any) -> bytes:
            await context.abort(_STATUS[Code.UNIMPLEMENTED], why[:200])
            return b""

        return call


def _parsed(method: Method[Any, Any] | Stream[Any, Any], data: bytes) -> Any:
    message = method.asked()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise CallRefused(
            Code.INTERNAL, f"grpc: error unmarshalling request: no {method.asked.__name__}"
        ) from error
    return message


def _caller(context: Any) -> Caller:
    # "ipv4:127.0.0.1:4444" or, quoted, "ipv6:%5B::1%5D:4444".
    return Caller(context.peer().partition(":")[2])


_STATUS: Mapping[Code, grpc.StatusCode] = {
    Code(status.value[0]): status for status in grpc.StatusCode
}


# ---- dialling ----------------------------------------------------------------------------------


class Channel:
    """
    A connection to one address, made when it is first needed, kept, and redialled when lost.

    `tls`: whether to speak TLS; `trusted`: authorities in PEM, None for the system's.
    """

    def __init__(self, address: str, *, tls: bool, trusted: bytes | None) -> None:
        self.address = address
        self.tls = tls
        if tls:
            credentials = grpc.ssl_channel_credentials(root_certificates=trusted)
            self._channel = aio.secure_channel(address, credentials, options=_DIALLING)
        else:
            self._channel = aio.insecure_channel(address, options=_DIALLING)
        self._unary: dict[str, Any] = {}

    @property
    def state(self) -> ConnectionState:
        """How the connection stands."""
        return ConnectionState(self._channel.get_state().value[0])

    async def changes(self) -> AsyncGenerator[ConnectionState, None]:
        """How the connection comes to stand, each time that changes; ends when it is closed."""
        last = self._channel.get_state()
        while last is not grpc.ChannelConnectivity.SHUTDOWN:
            await self._channel.wait_for_state_change(last)
            last = self._channel.get_state()
            yield ConnectionState(last.value[0])

    async def call(
        self, method: Method[Asked, Answered], message: Asked, *, timeout_s: float
    ) -> Answered:
        """Ask and await the answer; raises CallFailed."""
        path = method.path
        if path not in self._unary:
            self._unary[path] = self._channel.unary_unary(path)
        try:
            data = await self._unary[path](message.SerializeToString(), timeout=timeout_s)
        except aio.AioRpcError as error:
            raise _failed(error) from error
        return _answered(method, data)

    async def stream(
        self, method: Stream[Asked, Answered], message: Asked
    ) -> AsyncGenerator[Answered, None]:
        """Ask and yield what comes, until either side ends it; raises CallFailed."""
        ask: Any = self._channel.unary_stream(method.path)
        call = ask(message.SerializeToString())
        try:
            async for data in call:
                yield _answered(method, data)
        except aio.AioRpcError as error:
            raise _failed(error) from error
        finally:
            call.cancel()

    async def close(self) -> None:
        """End what is under way and the connection."""
        await self._channel.close()


def _failed(error: aio.AioRpcError) -> CallFailed:
    return CallFailed(Code(error.code().value[0]), error.details() or "")


def _answered(method: Method[Any, Answered] | Stream[Any, Answered], data: bytes) -> Answered:
    message = method.answered()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise CallFailed(Code.INTERNAL, f"the answer is no {method.answered.__name__}") from error
    return message

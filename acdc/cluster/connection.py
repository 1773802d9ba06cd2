"""Reaching a Ray cluster: the one that runs here, one at an address, or else one that is started for this process."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from acdc import machine
from acdc.asked import shown
from acdc.errors import ClusterError, SettingsError
from acdc.wording import first_line, quoted

if TYPE_CHECKING:
    import grpc

HERE, AT = "ray", "ray://"
#: Where a head listens for those that aren't nodes of its cluster.
CLIENT_PORT = 10001
_HEAD_PORT = 6379  # and for the nodes
_MOST_SECONDS = 8  # that an address may take to answer, and as much again to say what it is
_MOST_SECONDS_FOR_A_TASK = 120  # the smallest; a cluster may start a machine for it
#: Of a cluster that is started here, whose nodes read and write the same files: little goes through Ray. Ray would
#: take 30 % of the memory.
OBJECT_STORE_BYTES = 256_000_000


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster that this process is connected to.

    Attributes:
        given: what it was asked for by.
        cpus: of all nodes.
        gpus: of all nodes.
        nodes: machines.
        ours: whether it was started for this process, and ends with it.
    """

    given: str
    cpus: int
    gpus: int
    nodes: int
    ours: bool


def checked_cluster(given: Any) -> str:
    """What is meant by ``cluster``: ``ray``, or ``ray://host:port``.

    Raises:
        SettingsError: it is something else.
    """
    if not isinstance(given, str):
        raise SettingsError(f"`cluster` must be text, ray or ray://host:port, not {shown(given)}.")
    if given == HERE:
        return given
    host, colon, port = given.removeprefix(AT).rpartition(":") if given.count(":") > 1 else (given[len(AT) :], "", "")
    if not given.startswith(AT) or not host or any(mark in host for mark in " /@?#"):
        raise SettingsError(
            f"`cluster` can't be {quoted(given)}: say ray for the cluster that runs here (or is started), or "
            f"ray://host:port of a cluster's head; its port is {CLIENT_PORT} as a rule."
        )
    if colon and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise SettingsError(f"`cluster` {quoted(given)} has the port {quoted(port)}; a port is a number below 65536.")
    return f"{AT}{host}:{port or CLIENT_PORT}"


@contextmanager
def connected(given: str, *, cpus: int | None = None) -> Iterator[Cluster]:
    """Connect to a cluster for as long as the block runs; a cluster that was there before stays as it was.

    Where this process is connected already, as a notebook may be, ``ray`` means that cluster.

    Args:
        given: ``ray`` or ``ray://host:port``, see :func:`checked_cluster`.
        cpus: of a cluster that has to be started here; as many as this process may use by default.

    Raises:
        SettingsError: it isn't an address.
        ClusterError: Ray isn't installed, nothing answers there (within 20 seconds), or it isn't a cluster that this
            process can use.
    """
    address = checked_cluster(given)
    ray = imported_ray()
    if ray.is_initialized():
        if address != HERE:
            raise ClusterError(
                f"this process is connected to a Ray cluster already; say cluster='ray' to use that one, or call "
                f"ray.shutdown() before {address}."
            )
        _check_workers(ray, given)
        yield _described(ray, given, ours=False)
        return
    with _silent():
        ours = _connect(ray, address, cpus)
        try:
            _check_workers(ray, given)
            yield _described(ray, given, ours=ours)
        finally:
            ray.shutdown()


def _described(ray: Any, given: str, *, ours: bool) -> Cluster:
    has = ray.cluster_resources()
    nodes = sum(bool(node["Alive"]) for node in ray.nodes())
    return Cluster(given, int(has.get("CPU", 0)), int(has.get("GPU", 0)), nodes, ours)


@contextmanager
def _silent() -> Iterator[None]:
    """Keep what Ray says of workers that died off standard output, where it stands whatever it is asked to log."""
    from ray._private import worker

    printing = getattr(worker, "print_to_stdstream", None)
    if printing is None:  # another version of Ray
        yield
        return
    worker.print_to_stdstream = lambda *args, **kwargs: None
    try:
        yield
    finally:
        worker.print_to_stdstream = printing


def imported_ray() -> Any:
    """The package. Raises :class:`ClusterError` that says how to install it."""
    # No figures of how Ray is used go to its makers from a cluster that nobody set up by hand.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise ClusterError(
            f"a cluster takes Ray, which can't be imported ({error}): pip install 'acdc-circuits[ray]'."
        ) from error
    logging.getLogger("ray").setLevel(logging.CRITICAL)  # what matters is said here, in a sentence
    return ray


def _connect(ray: Any, address: str, cpus: int | None) -> bool:
    """Connect; says whether a cluster was started for it."""
    quiet = {"log_to_driver": False, "logging_level": "CRITICAL"}
    if address == HERE and (found := _found_here()):
        address = found
    if address == HERE:
        own = {
            "num_cpus": cpus or machine.cores(),
            "object_store_memory": OBJECT_STORE_BYTES,
            "include_dashboard": False,
        }
        _initialised(ray, "a Ray cluster can't be started here", address="local", **own, **quiet)
        return True
    if not address.startswith(AT):
        _token_is_sent()  # which `ray start` asks for where this user has one
    _check_answers(address)
    _initialised(ray, f"the Ray cluster at {address} can't be used", address=address, **quiet)
    return False


def _initialised(ray: Any, what: str, **options: Any) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Ray's own, of Ray's own
            ray.init(**options)
    except Exception as error:  # Ray raises what it likes: RuntimeError, ConnectionError, ValueError, its own
        with suppress(Exception):
            ray.shutdown()
        hint = (
            "; where it asks for a token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN" if "onnect" in str(error) else ""
        )
        raise ClusterError(f"{what}: {_in_short(error)}{hint}.") from error


def _found_here() -> str | None:
    """The address of the cluster of this machine's `ray start`, or that ``RAY_ADDRESS`` names, if it answers.

    One that another process has started for itself isn't looked for: it ends with that process.
    """
    named = os.environ.get("RAY_ADDRESS", "")
    if named.startswith(AT):
        return checked_cluster(named)
    if named == "local":
        return None
    from ray._private.services import canonicalize_bootstrap_address, find_bootstrap_address

    if named in ("", "auto"):
        started = find_bootstrap_address(None)
        there = started and _state(started, is_head=True) in (None, "up", "UNAUTHENTICATED")
        return started if there else None  # else it is what a killed one left
    try:
        return str(canonicalize_bootstrap_address(named))
    except Exception as error:  # of many types
        raise ClusterError(f"RAY_ADDRESS is {quoted(named)}, which isn't a cluster's address: {error}.") from error


def _check_answers(address: str) -> None:
    """See that a head listens there; Ray itself would try for half a minute, and not say what is wrong."""
    where, is_head = address.removeprefix(AT), not address.startswith(AT)
    try:
        import grpc  # noqa: F401
    except ImportError as error:
        if is_head:
            return
        raise ClusterError(
            f"an address that begins with ray:// takes Ray's client, which isn't installed ({error}): "
            "pip install 'acdc-circuits[ray]'."
        ) from error
    state = _state(where, is_head=is_head)
    if state == "UNAUTHENTICATED" and _token_is_sent():
        state = _state(where, is_head=is_head)
    if state == "UNAUTHENTICATED":
        raise ClusterError(
            f"the Ray cluster at {address} asks for a token; set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN to what "
            "`ray get-auth-token` prints on its head."
        )
    if state not in (None, "up"):
        raise ClusterError(_wrong(address, state))


def _wrong(address: str, state: str) -> str:
    """The sentence on an address where no head answers."""
    if address.startswith(AT) and state == "UNIMPLEMENTED":
        return (
            f"what listens at {address} isn't there for ray:// addresses; give the port of `--ray-client-server-port` "
            f"of `ray start --head`, which is {CLIENT_PORT} as a rule."
        )
    if address.startswith(AT):
        return (
            f"no Ray cluster answers at {address} ({state}); start it by `ray start --head` there, and see that its "
            f"port (as a rule {CLIENT_PORT}) can be reached from here."
        )
    if state == "UNIMPLEMENTED":
        return (
            f"what listens at {address}, which RAY_ADDRESS names, isn't the head of a Ray cluster; give the port of "
            f"`ray start --head` (as a rule {_HEAD_PORT}), or put ray:// before the one for clients."
        )
    return f"no Ray cluster answers at {address}, which RAY_ADDRESS names; start it, or unset RAY_ADDRESS ({state})."


def _state(where: str, *, is_head: bool) -> str | None:
    """``up``, or what is wrong with who listens at a ``host:port``; ``None`` where that can't be told.

    Args:
        where: the address.
        is_head: whether it is to be a head's own, rather than what it has for clients.
    """
    try:
        import grpc
        from ray._private.grpc_utils import init_grpc_channel
        from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc, ray_client_pb2, ray_client_pb2_grpc
    except ImportError:  # another version of Ray, or no client: Ray itself says what is wrong
        return None
    channel = init_grpc_channel(where)
    try:
        if not _is_ready(channel):
            return "nothing listens there, or isn't Ray"
        if is_head:
            alive = gcs_service_pb2_grpc.NodeInfoGcsServiceStub(channel).CheckAlive
            alive(gcs_service_pb2.CheckAliveRequest(), timeout=_MOST_SECONDS)
        else:
            request = ray_client_pb2.ClusterInfoRequest(type=ray_client_pb2.ClusterInfoType.PING)
            ray_client_pb2_grpc.RayletDriverStub(channel).ClusterInfo(request, timeout=_MOST_SECONDS)
    except grpc.RpcError as error:
        return str(error.code().name)
    finally:
        channel.close()
    return "up"


def _is_ready(channel: grpc.Channel) -> bool:
    """Whether a channel can be used; no sooner than it can, or than it is known that nothing is there."""
    import threading

    import grpc

    known, found = threading.Event(), []

    def heard(state: grpc.ChannelConnectivity) -> None:
        ended = (grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.TRANSIENT_FAILURE)
        if state in (*ended, grpc.ChannelConnectivity.SHUTDOWN):
            found.append(state)
            known.set()

    channel.subscribe(heard, try_to_connect=True)
    known.wait(_MOST_SECONDS)
    channel.unsubscribe(heard)
    return bool(found) and found[0] is grpc.ChannelConnectivity.READY


def _token_is_sent() -> bool:
    """Have Ray send this user's token, as it does to clusters that it starts itself; says whether there is one."""
    try:
        from ray._private.authentication.authentication_token_setup import maybe_enable_token_auth_if_token_available
    except ImportError:
        return False
    return bool(maybe_enable_token_auth_if_token_available(warn_if_disabled=False))


def version_here() -> str:
    """The version of acdc in this process, which all processes of one piece of work share."""
    from importlib.metadata import version

    return version("acdc-circuits")


def _check_workers(ray: Any, given: str) -> None:
    """See that workers have this acdc."""
    asked = ray.remote(version_here).options(num_cpus=0, max_retries=1).remote()
    try:
        there = ray.get(asked, timeout=_MOST_SECONDS_FOR_A_TASK)
    except ray.exceptions.GetTimeoutError as error:
        ray.cancel(asked, force=True)
        raise ClusterError(
            f"the cluster {given} starts no worker within {_MOST_SECONDS_FOR_A_TASK} seconds; see `ray status`."
        ) from error
    except Exception as error:
        raise ClusterError(
            f"workers of the cluster {given} can't run acdc ({_in_short(error)}); install the same "
            "acdc-circuits[ray] on every node."
        ) from error
    if there != version_here():
        raise ClusterError(
            f"workers of the cluster {given} have acdc {there}, and this process has {version_here()}; install the "
            "same on every node."
        )


def why_ended(error: Exception) -> str:
    """What Ray says of a worker's death, in short."""
    text = str(error)
    for words, meant in (
        ("SYSTEM_ERROR", "its process was killed"),
        ("low on memory", "its machine was out of memory"),
    ):
        if words in text:
            return meant
    return f"{type(error).__name__}: {first_line(error).rstrip('.')}"


def _in_short(error: Exception) -> str:
    """What an error of Ray says, without where in Ray that was: its last line, of several sentences the first."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    if lines and lines[0].startswith("Version mismatch"):
        return " ".join(lines).rstrip(".")
    return (lines[-1] if lines else type(error).__name__).rstrip(".")

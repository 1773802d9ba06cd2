"""Reaching a cluster: what isn't one is said in one sentence, and soon."""

import builtins
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from acdc.cluster import connection
from acdc.cluster.connection import checked_cluster, connected
from acdc.errors import ClusterError, SettingsError


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("ray", "ray"),
        ("ray://head:10001", "ray://head:10001"),
        ("ray://head", "ray://head:10001"),
        ("ray://10.0.0.1:6000", "ray://10.0.0.1:6000"),
        ("ray://[::1]:6000", "ray://[::1]:6000"),
    ],
)
def test_an_address_is_read(given, meant):
    assert checked_cluster(given) == meant


@pytest.mark.parametrize(
    "given", ["", "Ray", "ray:", "ray:/head", "ray://", "ray://:10001", "head:6379", "http://head:1", "ray://a/b:1"]
)
def test_what_is_no_address_is_said(given):
    with pytest.raises(SettingsError, match="ray://host:port"):
        checked_cluster(given)


@pytest.mark.parametrize("port", ["x", "0", "65536", "-1", "", "1.5"])
def test_a_bad_port_is_said(port):
    with pytest.raises(SettingsError, match="port"):
        checked_cluster(f"ray://head:{port}")


def test_what_is_no_text_is_said():
    with pytest.raises(SettingsError, match="must be text"):
        checked_cluster(3)


def test_nothing_that_listens_is_said_soon(monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setattr("ray.is_initialized", lambda: False)  # another test's cluster may be up in this process
    begun = time.monotonic()
    with (
        pytest.raises(ClusterError, match=r"no Ray cluster answers at ray://127\.0\.0\.1:9 "),
        connected("ray://127.0.0.1:9"),
    ):
        pass
    assert time.monotonic() - begun < 20


@pytest.fixture
def head():
    """Makes a server that answers as a cluster's head, or not; gives its address."""
    grpc = pytest.importorskip("grpc")
    pytest.importorskip("ray")
    from ray.core.generated import gcs_service_pb2_grpc

    started = []

    def start(refusal=None):
        class Asked(gcs_service_pb2_grpc.NodeInfoGcsServiceServicer):
            def CheckAlive(self, request, context):
                context.abort(getattr(grpc.StatusCode, refusal), "no")

        server = grpc.server(ThreadPoolExecutor(1))
        if refusal is not None:
            gcs_service_pb2_grpc.add_NodeInfoGcsServiceServicer_to_server(Asked(), server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        started.append(server)
        return f"127.0.0.1:{port}"

    yield start
    for server in started:
        server.stop(None)


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        (None, r"RAY_ADDRESS names, isn't the head of a Ray cluster; give the port"),
        ("UNAUTHENTICATED", r"asks for a token; set RAY_AUTH_MODE"),
        ("UNAVAILABLE", r"no Ray cluster answers at .*unset RAY_ADDRESS \(UNAVAILABLE\)"),
    ],
)
def test_what_is_no_head_that_ray_could_use_is_said_before_ray_tries(head, monkeypatch, refusal, said):
    monkeypatch.setenv("RAY_ADDRESS", head(refusal))
    # Ray takes the network's address of this machine for that of its own, where the test's server doesn't listen.
    monkeypatch.setattr("ray._private.services.canonicalize_bootstrap_address", str)
    monkeypatch.setattr(connection, "_token_is_sent", lambda: False)  # whatever this user has
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("ray.init", lambda **options: pytest.fail("it tries for half a minute"))
    with pytest.raises(ClusterError, match=said), connected("ray"):
        pass


def test_ray_that_is_not_installed_is_said(monkeypatch):
    imported = builtins.__import__

    def without_ray(name, *args, **kwargs):
        if name == "ray":
            raise ModuleNotFoundError("No module named 'ray'")
        return imported(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_ray)
    with pytest.raises(ClusterError, match=r"pip install 'acdc-circuits\[ray\]'"), connected("ray"):
        pass


def test_the_cluster_here_is_used_and_left_as_it_is(cluster):
    import ray

    with connected(cluster) as found:
        assert (found.cpus, found.nodes, found.ours) == (2, 1, False)
    assert ray.is_initialized()


def test_another_cluster_than_that_of_this_process_is_refused(cluster):
    with pytest.raises(ClusterError, match="connected to a Ray cluster already"), connected("ray://127.0.0.1:9"):
        pass

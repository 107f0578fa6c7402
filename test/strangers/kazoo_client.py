"""What kazoo sees of the in-memory server: `kazoo_client.py <hosts> <scenario>`. Exits with 0 if all is well."""
import sys
import threading
import time

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import BadVersionError, ConnectionLoss, NodeExistsError, NoNodeError, RolledBackError
from kazoo.security import make_digest_acl

hosts, scenario = sys.argv[1:3]


def connected(**options):
    client = KazooClient(hosts=hosts, timeout=10, **options)
    client.start(timeout=10)
    return client


def raises(error, f, *arguments, **options):
    try:
        f(*arguments, **options)
    except error:
        return
    raise AssertionError("%s expected of %s" % (error.__name__, f))


def round_trip():
    client = connected()
    other = connected()
    assert client.server_version() >= (3, 5), client.server_version()

    # create, get, set, exists, delete
    assert client.create("/kazoo", b"one") == "/kazoo"
    raises(NodeExistsError, client.create, "/kazoo")
    data, stat = client.get("/kazoo")
    assert data == b"one" and stat.version == 0 and stat.dataLength == 3, stat
    assert client.set("/kazoo", b"two", version=0).version == 1
    raises(BadVersionError, client.set, "/kazoo", b"three", version=0)
    assert client.exists("/missing") is None
    raises(NoNodeError, client.get, "/missing")
    path, stat = client.create("/kazoo/s-", b"", sequence=True, ephemeral=True, include_data=True)
    assert path == "/kazoo/s-0000000000" and stat.owner_session_id == client.client_id[0], (path, stat)
    client.ensure_path("/kazoo/a/b/c")
    assert sorted(client.get_children("/kazoo")) == ["a", "s-0000000000"]
    client.delete("/kazoo/a", recursive=True)

    # null is not empty
    client.create("/kazoo/empty", b"")
    assert client.get("/kazoo/empty")[0] == b""

    # watches
    seen, told = [], threading.Condition()

    def tell(what):
        with told:
            seen.append(what)
            told.notify_all()

    def wait_for(what):
        with told:
            assert told.wait_for(lambda: what in seen, 10), (what, seen)

    client.get("/kazoo", watch=lambda event: tell(event.type))
    other.set("/kazoo", b"three")
    wait_for("CHANGED")
    client.DataWatch("/kazoo/watched", lambda data, stat: tell(("data", data)))
    client.ChildrenWatch("/kazoo", lambda children: tell(("children", tuple(sorted(children)))))
    other.create("/kazoo/watched", b"1")
    wait_for(("data", b"1"))
    other.set("/kazoo/watched", b"2")
    wait_for(("data", b"2"))
    wait_for(("children", ("empty", "s-0000000000", "watched")))

    # ACLs
    client.add_auth("digest", "user:secret")
    client.create("/kazoo/private", b"mine", acl=[make_digest_acl("user", "secret", all=True)])
    assert client.get("/kazoo/private")[0] == b"mine"
    assert client.get_acls("/kazoo/private")[0][0].id.scheme == "digest"

    # transactions
    transaction = client.transaction()
    transaction.create("/kazoo/t1", b"x")
    transaction.check("/kazoo", version=2)
    transaction.set_data("/kazoo", b"four")
    transaction.delete("/kazoo/empty")
    results = transaction.commit()
    assert results[0] == "/kazoo/t1" and results[1] is True and results[2].version == 3, results
    transaction = client.transaction()
    transaction.create("/kazoo/t2")
    transaction.check("/kazoo", version=99)
    results = transaction.commit()
    assert isinstance(results[0], RolledBackError) and isinstance(results[1], BadVersionError), results
    assert client.exists("/kazoo/t2") is None

    # recipes: two clients at one lock, a counter, an election
    order = []
    lock, rival = client.Lock("/kazoo/lock", "first"), other.Lock("/kazoo/lock", "second")
    with lock:
        thread = threading.Thread(target=lambda: (rival.acquire(), order.append("second"), rival.release()))
        thread.start()
        deadline = time.monotonic() + 10
        while len(lock.contenders()) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert lock.contenders() == ["first", "second"], lock.contenders()
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"], order
    counter = client.Counter("/kazoo/counter")
    counter += 2
    assert other.Counter("/kazoo/counter").value == 2

    # the end of a session is the end of its ephemerals
    client.stop()
    assert other.exists("/kazoo/s-0000000000") is None
    other.stop()


def lost_reply():
    client = connected(command_retry=None)
    raises(ConnectionLoss, client.create, "/lost", b"x")
    client.handler.sleep_func(0)
    client.retry(client.get, "/")
    assert client.exists("/lost") is not None
    client.stop()


def expiry():
    client = connected()
    states, told = [], threading.Condition()

    def listen(state):
        with told:
            states.append(state)
            told.notify_all()

    client.add_listener(listen)
    before = client.client_id[0]
    client.create("/expiring", ephemeral=True)
    client.create_async("/expire-me")
    with told:
        assert told.wait_for(lambda: KazooState.LOST in states and states[-1] == KazooState.CONNECTED, 20), states
    assert client.client_id[0] != before
    assert client.exists("/expiring") is None
    client.stop()


{"round-trip": round_trip, "lost-reply": lost_reply, "expiry": expiry}[scenario]()

"""A client of kazoo's, told what to do by lines of JSON on its standard input.

A request is {"id": 1, "do": "lock.acquire", "with": {...}}; its answer, once it
is done, {"id": 1, "value": ...} or {"id": 1, "error": "LockTimeout", "message": "..."}.
Each request runs in a thread of its own, so that one may wait while others run.
Recipes are kept under a name ("as") that requests choose.

To add a recipe: a function in COMMANDS. It gets the client and what is in "with".
"""
import json
import sys
import threading
import time
from datetime import timedelta

from kazoo.client import KazooClient

output = threading.Lock()
kept = {}


def say(message):
    with output:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


def keep(make):
    """A command that makes a recipe and keeps it."""

    def command(client, given):
        kept[given["as"]] = make(client, given)

    return command


def on(action):
    """A command on a recipe that is kept."""
    return lambda client, given: action(kept[given["as"]], given)


def hand_over(client, given):
    """Takes the lock so many times; while it is held, adds to a znode without any care."""
    lock = client.Lock(given["path"], given.get("identifier"))
    for _ in range(given["times"]):
        with lock:
            before = int(client.get(given["counter"])[0])
            client.set(given["counter"], str(before + 1).encode())


def lead(client, given):
    """Takes part in an election, and says so in a list of znodes while it leads."""
    election = client.Election(given["path"], given.get("identifier"))

    def leading():
        client.create(given["record"] + "/entry-", given["identifier"].encode(), sequence=True)

    election.run(leading)


def take(queue, given):
    """Takes that many items from a queue without waiting for long: what it got."""
    taken = []
    while len(taken) < given["count"]:
        item = queue.get()
        if item is None:
            break
        taken.append(item.decode())
    return taken


def work(queue, given):
    """Claims and consumes items until none came for a while: what it consumed."""
    done = []
    while True:
        item = queue.get(timeout=given["patience"])
        if item is None:
            return done
        if queue.consume():
            done.append(item.decode())


def count(client, given):
    """Adds to a counter so many times."""
    default = given.get("default", 0)
    counter = client.Counter(given["path"], default, given.get("curator", False))
    for _ in range(given["times"]):
        counter += given["by"]
    return counter.value


def lease(client, given):
    """Whether it obtained the lease."""
    duration = timedelta(seconds=given["seconds"])
    return bool(client.NonBlockingLease(given["path"], duration, given["identifier"]))


def partition(partitioner, given):
    """Goes through its states until it has as many items as it should: those."""
    while True:
        if partitioner.failed:
            raise RuntimeError("failed")
        if partitioner.release:
            partitioner.release_set()
        elif partitioner.acquired:
            if len(list(partitioner)) == given["count"]:
                return sorted(partitioner)
            time.sleep(0.02)
        else:
            partitioner.wait_for_acquire(1)


COMMANDS = {
    "session": lambda client, given: client.client_id[0],
    "create": lambda client, given: client.create(given["path"], given.get("data", "").encode(), makepath=True),
    "get": lambda client, given: client.get(given["path"])[0].decode(),
    "children": lambda client, given: sorted(client.get_children(given["path"])),
    # locks
    "lock": keep(lambda client, given: client.Lock(given["path"], given.get("identifier"))),
    "readLock": keep(lambda client, given: client.ReadLock(given["path"], given.get("identifier"))),
    "writeLock": keep(lambda client, given: client.WriteLock(given["path"], given.get("identifier"))),
    "semaphore": keep(
        lambda client, given: client.Semaphore(given["path"], given.get("identifier"), given["permits"])
    ),
    "acquire": on(lambda lock, given: lock.acquire(given.get("blocking", True), given.get("timeout"))),
    "release": on(lambda lock, given: lock.release()),
    "contenders": on(lambda lock, given: lock.contenders()),
    "holders": on(lambda semaphore, given: sorted(semaphore.lease_holders())),
    "handOver": hand_over,
    # queues
    "queue": keep(lambda client, given: client.Queue(given["path"])),
    "lockingQueue": keep(lambda client, given: client.LockingQueue(given["path"])),
    "put": on(lambda queue, given: queue.put(given["item"].encode(), given.get("priority", 100))),
    "putAll": on(lambda queue, given: queue.put_all([item.encode() for item in given["items"]])),
    "take": on(take),
    "work": on(work),
    "claim": on(lambda queue, given: (queue.get(timeout=given["patience"]) or b"").decode()),
    "unclaim": on(lambda queue, given: queue.release()),
    "consume": on(lambda queue, given: queue.consume()),
    # counters, barriers, leases, partitions
    "count": count,
    "repr": lambda client, given: repr(client.Counter(given["path"], 0.0).value),
    "barrier": keep(lambda client, given: client.Barrier(given["path"])),
    "wait": on(lambda barrier, given: barrier.wait(given["patience"])),
    "doubleBarrier": keep(lambda client, given: client.DoubleBarrier(given["path"], given["members"])),
    "enter": on(lambda barrier, given: barrier.enter()),
    "leave": on(lambda barrier, given: barrier.leave()),
    "lease": lease,
    "partitioner": keep(
        lambda client, given: client.SetPartitioner(
            given["path"], tuple(given["items"]), identifier=given["identifier"], time_boundary=given["settle"]
        )
    ),
    "partition": on(partition),
    "finish": on(lambda partitioner, given: partitioner.finish()),
    # elections
    "lead": lead,
    # parties
    "party": keep(lambda client, given: client.Party(given["path"], given.get("identifier"))),
    "shallowParty": keep(lambda client, given: client.ShallowParty(given["path"], given.get("identifier"))),
    "join": on(lambda party, given: party.join()),
    "leave": on(lambda party, given: party.leave()),
    "members": on(lambda party, given: sorted(party)),
}


def run(client, request):
    try:
        value = COMMANDS[request["do"]](client, request.get("with", {}))
        say({"id": request["id"], "value": value})
    except Exception as error:  # pylint: disable=broad-except
        say({"id": request["id"], "error": type(error).__name__, "message": str(error)})


def main():
    client = KazooClient(hosts=sys.argv[1], timeout=float(sys.argv[2]))
    client.start(timeout=30)
    say({"ready": True})
    for line in sys.stdin:
        threading.Thread(target=run, args=(client, json.loads(line)), daemon=True).start()
    client.stop()
    client.close()


main()

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

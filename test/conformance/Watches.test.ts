/**
 * Watches: what every server must do, and what happens when
 * connections, sessions and servers come and go.
 */
import { assert, describe, inject, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { randomUUID } from "node:crypto"
import * as Acl from "../../src/Acl.ts"
import * as Client from "../../src/client/Client.ts"
import { dial } from "../../src/client/NodeTransport.ts"
import * as Session from "../../src/client/Session.ts"
import type { WatchRegistry } from "../../src/client/WatchRegistry.ts"
import * as ConnectionString from "../../src/ConnectionString.ts"
import { ErrorCode } from "../../src/jute/ErrorCode.ts"
import { OpCode } from "../../src/jute/OpCode.ts"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import * as Proxy from "../support/Proxy.ts"
import { names, record, text } from "../../src/testing/Recording.ts"
import { fourLetterWord } from "../support/ZooKeeperServer.ts"
import { line, watches } from "../../src/testing/Watches.ts"

const { none, some } = Option
const hosts = inject("zookeeper")

if (hosts !== undefined) {
  watches("watches", ({ chroot = "", ...settings } = {}) => ZooKeeper.layer({ hosts: `${hosts}${chroot}`, ...settings }))
}

const port = Number(hosts?.split(",")[0]?.split(":").at(-1))

/** A client whose registry can be looked into. */
const transparent = (
  to: string,
  sessionTimeout = 10_000
): Effect.Effect<
  { readonly zk: ZooKeeper.Service; readonly registry: WatchRegistry },
  ZooKeeper.OperationError,
  Scope.Scope
> =>
  Effect.gen(function*() {
    const servers = yield* ConnectionString.parse(to)
    const session = yield* Session.make({
      servers,
      dial,
    isPlain: true,
    sasl: undefined,
      sessionTimeout,
      connectTimeout: 15_000,
      closeTimeout: 5000,
      readOnly: false,
      failFast: false,
      onExpiry: "renew",
      limits: { requestTimeout: 0, maxRequestSize: 0xf_ffff, maxReplySize: 4 * 1024 * 1024 },
      maxInFlight: 10_000,
      reconnect: Schedule.spaced("20 millis"),
      credentials: [],
      resume: undefined
    })
    const zk = Client.make({
      session,
      chroot: servers.chroot,
      defaultAcl: Acl.openUnsafe,
      dial,
      secret: () => {
        throw new Error("no secrets here")
      }
    })
    return { zk, registry: session.watches }
  })

const under = (root: string) => (name: string) => `${root}/${name}`

/** The server refuses the next request of a kind, for now. */
const refuseOnce = (proxy: Proxy.Proxy, code: number, err: number): void => {
  const remove = proxy.onRequest(({ opCode, xid }) => {
    if (opCode !== code) return undefined
    remove()
    return { _tag: "Answer", bytes: Proxy.encodeReply({ xid, err }) }
  })
}

interface World {
  readonly watcher: ZooKeeper.Service
  readonly registry: WatchRegistry
  readonly changer: ZooKeeper.Service
  readonly root: string
  readonly proxy: Proxy.Proxy
  /** Runs something while the watcher has no connection, and returns when it has one again. */
  readonly whileCut: <A, E>(effect: Effect.Effect<A, E, Scope.Scope>) => Effect.Effect<A, E, Scope.Scope>
  /** The same, until the session of the watcher has expired. */
  readonly whileExpiring: <A, E>(effect: Effect.Effect<A, E, Scope.Scope>) => Effect.Effect<A, E, Scope.Scope>
  /** Paths of this test which the server watches, for whomever. */
  readonly watchedPaths: Effect.Effect<ReadonlyArray<string>>
}

const test = <E>(title: string, body: (world: World) => Effect.Effect<void, E, Scope.Scope>, sessionTimeout?: number) =>
  it.live(title, () =>
    Effect.gen(function*() {
      const proxy = yield* Proxy.make(port)
      const { registry, zk: watcher } = yield* transparent(proxy.hosts, sessionTimeout)
      const changer = yield* ZooKeeper.make({ hosts: hosts ?? "" })
      const root = yield* changer.create(`/watches-${randomUUID()}`)
      const state = (tag: string) => Stream.runDrain(Stream.takeUntil(watcher.states, ({ _tag }) => _tag === tag))
      const without = (tag: string): World["whileCut"] => (effect) =>
        Effect.gen(function*() {
          const gone = yield* Effect.forkChild(state(tag), { startImmediately: true })
          yield* proxy.refuse(true)
          proxy.cut()
          yield* Fiber.join(gone)
          const result = yield* effect
          yield* proxy.refuse(false)
          yield* state("Connected")
          return result
        })
      yield* body({
        watcher,
        registry,
        changer,
        root,
        proxy,
        whileCut: without("Suspended"),
        whileExpiring: without("Expired"),
        watchedPaths: Effect.map(Effect.orDie(fourLetterWord(port, "wchp")), (reply) =>
          reply.split("\n").filter((each) => each.startsWith(root)))
      })
      yield* changer.deleteRecursive(root)
      // Lost connections are what these tests are about.
    }).pipe(Effect.provideService(References.MinimumLogLevel, "Error")), 60_000)

describe.skipIf(hosts === undefined)("connections come and go", () => {
  test("paths in events are the caller's under a chroot", ({ changer, proxy, root, whileCut }) =>
    Effect.gen(function*() {
      const { zk } = yield* transparent(`${proxy.hosts}${root}`)
      const persistent = yield* record(Stream.map(zk.watch("/a"), line))
      const recursive = yield* record(Stream.map(zk.watch("/", "recursive"), line))
      yield* zk.sync("/")
      yield* changer.create(`${root}/a`, "1")
      assert.strictEqual(yield* persistent.next, "NodeCreated /a")
      assert.strictEqual(yield* recursive.next, "NodeCreated /a")
      const once = yield* zk.getAndWatch("/a")
      const children = yield* zk.getChildrenAndWatch("/")
      yield* whileCut(Effect.andThen(changer.set(`${root}/a`, "2"), changer.create(`${root}/b`)))
      assert.deepStrictEqual(yield* once.event, { _tag: "NodeDataChanged", path: "/a" })
      assert.deepStrictEqual(yield* children.event, { _tag: "NodeChildrenChanged", path: "/" })
      yield* persistent.upTo((event) => event === "Gap Reconnected")
      yield* recursive.upTo((event) => event === "Gap Reconnected")
      yield* changer.set(root, "1")
      yield* changer.delete(`${root}/a`)
      assert.strictEqual(yield* persistent.next, "NodeDeleted /a")
      assert.strictEqual(yield* recursive.next, "NodeDataChanged /")
      assert.strictEqual(yield* recursive.next, "NodeDeleted /a")
    }))

  test("streams learn what has changed meanwhile, and nothing else", ({ changer, root, watcher, whileCut }) =>
    Effect.gen(function*() {
      const at = under(root)
      for (const name of ["changed", "deleted", "recreated", "parent", "same"]) yield* changer.create(at(name), "1")
      const follow = (name: string) => record(Stream.map(watcher.changes(at(name)), text))
      const changed = yield* follow("changed")
      const deleted = yield* follow("deleted")
      const recreated = yield* follow("recreated")
      const created = yield* follow("created")
      const absent = yield* follow("absent")
      const same = yield* follow("same")
      const children = yield* record(Stream.map(watcher.childrenChanges(at("parent")), names))
      const sameChildren = yield* record(Stream.map(watcher.childrenChanges(at("same")), names))
      const lateChildren = yield* record(Stream.map(watcher.childrenChanges(at("created")), names))
      const all = [changed, deleted, recreated, created, absent, same, children, sameChildren, lateChildren]
      for (const { next } of all) yield* next
      yield* whileCut(Effect.gen(function*() {
        yield* changer.set(at("changed"), "2")
        yield* changer.delete(at("deleted"))
        yield* changer.delete(at("recreated"))
        yield* changer.create(at("recreated"), "2")
        yield* changer.create(at("created"), "2")
        yield* changer.create(at("parent/x"))
      }))
      assert.deepStrictEqual(yield* changed.next, some("2"))
      assert.deepStrictEqual(yield* deleted.next, none())
      assert.deepStrictEqual(yield* recreated.next, some("2"))
      assert.deepStrictEqual(yield* created.next, some("2"))
      assert.deepStrictEqual(yield* children.next, some(["x"]))
      assert.deepStrictEqual(yield* lateChildren.next, some([]))
      // And they go on.
      yield* changer.set(at("same"), "2")
      yield* changer.create(at("same/x"))
      yield* changer.create(at("absent"), "2")
      yield* changer.create(at("created/x"))
      assert.deepStrictEqual(yield* same.next, some("2"))
      assert.deepStrictEqual(yield* sameChildren.next, some(["x"]))
      assert.deepStrictEqual(yield* absent.next, some("2"))
      assert.deepStrictEqual(yield* lateChildren.next, some(["x"]))
      assert.deepStrictEqual(same.seen, [some("1"), some("2")])
    }))

  test("event streams have a Gap, with the changes that the server still knows before it", ({
    changer,
    root,
    watcher,
    whileCut
  }) =>
    Effect.gen(function*() {
      const path = yield* changer.create(`${root}/a`)
      const gone = yield* changer.create(`${root}/gone`)
      const persistent = yield* record(Stream.map(watcher.watch(path), line))
      const deleted = yield* record(Stream.map(watcher.watch(gone), line))
      const recursive = yield* record(Stream.map(watcher.watch(root, "recursive"), line))
      yield* watcher.sync(root)
      yield* whileCut(Effect.gen(function*() {
        yield* changer.set(path, "1")
        yield* changer.set(path, "2")
        yield* changer.create(`${path}/x`)
        yield* changer.delete(gone)
      }))
      yield* changer.delete(`${path}/x`)
      yield* changer.create(gone)
      assert.deepStrictEqual((yield* persistent.upTo((event) => event === "Gap Reconnected")).toSorted(), [
        "Gap Reconnected",
        `NodeChildrenChanged ${path}`,
        `NodeDataChanged ${path}`
      ])
      assert.strictEqual(yield* persistent.next, `NodeChildrenChanged ${path}`)
      assert.strictEqual(yield* deleted.next, `NodeDeleted ${gone}`)
      assert.strictEqual(yield* deleted.next, "Gap Reconnected")
      assert.strictEqual(yield* deleted.next, `NodeCreated ${gone}`)
      // The persistent watches below let the recursive one know, too.
      yield* recursive.upTo((event) => event === "Gap Reconnected")
      assert.strictEqual(yield* recursive.next, `NodeDeleted ${path}/x`)
      assert.strictEqual(yield* recursive.next, `NodeCreated ${gone}`)
    }))

  test("all kinds of consumers on one path survive a reconnect", ({ changer, root, watcher, whileCut }) =>
    Effect.gen(function*() {
      const recursive = yield* record(Stream.map(watcher.watch(root, "recursive"), line))
      const persistent = yield* record(Stream.map(watcher.watch(root), line))
      const children = yield* record(Stream.map(watcher.childrenChanges(root), names))
      const data = yield* record(Stream.map(watcher.changes(root), text))
      const once = yield* watcher.getChildrenAndWatch(root)
      yield* children.next
      yield* data.next
      yield* whileCut(changer.create(`${root}/x`))
      assert.deepStrictEqual(yield* children.next, some(["x"]))
      assert.strictEqual((yield* once.event)._tag, "NodeChildrenChanged")
      yield* whileCut(changer.set(root, "1"))
      assert.deepStrictEqual(yield* data.next, some("1"))
      yield* changer.create(`${root}/y`)
      assert.deepStrictEqual(yield* children.next, some(["x", "y"]))
      yield* changer.set(root, "2")
      assert.deepStrictEqual(yield* data.next, some("2"))
      assert.deepStrictEqual(persistent.seen, [
        `NodeChildrenChanged ${root}`,
        "Gap Reconnected",
        `NodeDataChanged ${root}`,
        "Gap Reconnected",
        `NodeChildrenChanged ${root}`,
        `NodeDataChanged ${root}`
      ])
      assert.deepStrictEqual(recursive.seen, [
        "Gap Reconnected",
        `NodeDataChanged ${root}`,
        "Gap Reconnected",
        `NodeCreated ${root}/y`,
        `NodeDataChanged ${root}`
      ])
    }))

  test("one-shot watches wait across reconnects and learn what has happened meanwhile", ({
    changer,
    root,
    watchedPaths,
    watcher,
    whileCut
  }) =>
    Effect.gen(function*() {
      const at = under(root)
      for (const name of ["changed", "deleted", "parent", "same"]) yield* changer.create(at(name), "1")
      const changed = yield* watcher.getAndWatch(at("changed"))
      const deleted = yield* watcher.existsAndWatch(at("deleted"))
      const deletedParent = yield* watcher.getChildrenAndWatch(at("deleted"))
      const created = yield* watcher.existsAndWatch(at("created"))
      const children = yield* watcher.getChildrenAndWatch(at("parent"))
      const same = yield* watcher.getAndWatch(at("same"))
      const sameChildren = yield* watcher.getChildrenAndWatch(at("same"))
      const absent = yield* watcher.existsAndWatch(at("absent"))
      yield* whileCut(Effect.gen(function*() {
        yield* changer.set(at("changed"), "2")
        yield* changer.delete(at("deleted"))
        yield* changer.create(at("created"))
        yield* changer.create(at("parent/x"))
      }))
      assert.strictEqual(line(yield* changed.event), `NodeDataChanged ${at("changed")}`)
      assert.strictEqual(line(yield* deleted.event), `NodeDeleted ${at("deleted")}`)
      assert.strictEqual(line(yield* deletedParent.event), `NodeDeleted ${at("deleted")}`)
      assert.strictEqual(line(yield* created.event), `NodeCreated ${at("created")}`)
      assert.strictEqual(line(yield* children.event), `NodeChildrenChanged ${at("parent")}`)
      yield* whileCut(Effect.void)
      yield* changer.create(at("same/x"))
      assert.strictEqual(line(yield* sameChildren.event), `NodeChildrenChanged ${at("same")}`)
      yield* changer.set(at("same"), "2")
      assert.strictEqual(line(yield* same.event), `NodeDataChanged ${at("same")}`)
      yield* changer.create(at("absent"))
      assert.strictEqual(line(yield* absent.event), `NodeCreated ${at("absent")}`)
      assert.deepStrictEqual(yield* watchedPaths, [])
    }))

  test("subscriptions made without a connection begin with the next one", ({ changer, root, watcher, whileCut }) =>
    Effect.gen(function*() {
      const { data, events, once } = yield* whileCut(Effect.gen(function*() {
        return {
          events: yield* record(Stream.map(watcher.watch(root), line)),
          data: yield* record(Stream.map(watcher.changes(root), text)),
          once: yield* Effect.forkScoped(watcher.getAndWatch(root), { startImmediately: true })
        }
      }))
      const { event } = yield* Fiber.join(once)
      yield* data.upTo(Option.isSome)
      yield* changer.set(root, "1")
      assert.strictEqual((yield* event)._tag, "NodeDataChanged")
      assert.deepStrictEqual(yield* data.next, some("1"))
      yield* events.upTo((each) => each === `NodeDataChanged ${root}`)
      // The read of the one-shot watch did not take the place of the persistent one.
      yield* changer.set(root, "2")
      yield* events.upTo((each) => each === `NodeDataChanged ${root}`)
      yield* changer.set(root, "3")
      yield* data.upTo(Option.contains("3"))
    }))

  test("a server that refuses a read is asked again, one that refuses the watch ends the stream", ({
    changer,
    proxy,
    root,
    watcher
  }) =>
    Effect.gen(function*() {
      const data = yield* record(Stream.map(watcher.changes(root), text))
      yield* data.next
      refuseOnce(proxy, OpCode.GetData, ErrorCode.SessionMoved)
      yield* changer.set(root, "1")
      assert.deepStrictEqual(yield* data.next, some("1"))
      refuseOnce(proxy, OpCode.AddWatch, -9999)
      const events = yield* record(watcher.watch(`${root}/a`))
      const error = yield* Effect.flip(events.end)
      assert.isTrue(error._tag === "ConnectionError" && error.reason._tag === "ServerError")
    }))

  test("reconnects leave no watches behind and lose none", ({ root, watchedPaths, watcher, whileCut }) =>
    Effect.gen(function*() {
      const streams = yield* Effect.forEach([1, 2], () => record(watcher.watch(root)))
      const absent = yield* watcher.existsAndWatch(`${root}/a`)
      for (let round = 0; round < 5; round++) {
        yield* whileCut(Effect.void)
        assert.deepStrictEqual((yield* watchedPaths).toSorted(), [root, `${root}/a`])
      }
      for (const { stop } of streams) yield* stop
      yield* watcher.create(`${root}/a`)
      yield* absent.event
      assert.deepStrictEqual(yield* watchedPaths, [])
    }))

  test("after expiry streams go on in the new session, one-shot watches end with the old one", ({
    changer,
    registry,
    root,
    watchedPaths,
    watcher,
    whileExpiring
  }) =>
    Effect.gen(function*() {
      const path = yield* changer.create(`${root}/a`, "1")
      const data = yield* record(Stream.map(watcher.changes(path), text))
      const children = yield* record(Stream.map(watcher.childrenChanges(root), names))
      const same = yield* record(Stream.map(watcher.changes(root), text))
      const persistent = yield* record(Stream.map(watcher.watch(path), line))
      const recursive = yield* record(Stream.map(watcher.watch(root, "recursive"), line))
      const onces = [
        yield* watcher.getAndWatch(path),
        yield* watcher.existsAndWatch(`${root}/absent`),
        yield* watcher.getChildrenAndWatch(root)
      ]
      for (const { next } of [data, children, same]) yield* next
      const { id } = yield* watcher.session
      yield* whileExpiring(Effect.andThen(changer.set(path, "2"), changer.create(`${root}/b`)))
      assert.notStrictEqual((yield* watcher.session).id, id)
      for (const { event } of onces) {
        assert.strictEqual((yield* Effect.flip(event)).reason._tag, "SessionExpired")
      }
      assert.deepStrictEqual(yield* data.next, some("2"))
      assert.deepStrictEqual(yield* children.next, some(["a", "b"]))
      assert.strictEqual(yield* persistent.next, "Gap NewSession")
      assert.strictEqual(yield* recursive.next, "Gap NewSession")
      yield* changer.set(path, "3")
      assert.deepStrictEqual(yield* data.next, some("3"))
      assert.strictEqual(yield* persistent.next, `NodeDataChanged ${path}`)
      assert.strictEqual(yield* recursive.next, `NodeDataChanged ${path}`)
      yield* watcher.sync(root)
      assert.deepStrictEqual(same.seen, [some("")])
      for (const { stop } of [data, children, same, persistent, recursive]) yield* stop
      yield* watcher.sync(root)
      assert.deepStrictEqual(yield* watchedPaths, [])
      assert.strictEqual(registry.size, 0)
    }), 1000)
})

describe.skipIf(hosts === undefined)("many watches", () => {
  test("10 000 subscriptions, interrupted at any moment, leave nothing behind", ({
    changer,
    registry,
    root,
    watchedPaths,
    watcher
  }) =>
    Effect.gen(function*() {
      const paths = Array.from({ length: 20 }, (_, index) => `${root}/${index}`)
      yield* Effect.forEach(paths, (path) => changer.create(path), { concurrency: "unbounded" })
      const churning = yield* Effect.forkChild(Effect.forever(
        Effect.forEach(paths, (path) => changer.set(path, "x"), { concurrency: "unbounded" })
      ))
      // A reproducible sequence of choices.
      let seed = 20_261_123
      const below = (bound: number) => (seed = seed * 48_271 % 0x7fff_ffff) % bound
      const kinds = [
        (path: string) => Stream.runDrain(watcher.changes(path)),
        (path: string) => Stream.runDrain(watcher.childrenChanges(path)),
        (path: string) => Stream.runDrain(watcher.watch(path)),
        (path: string) => Stream.runDrain(watcher.watch(path, "recursive")),
        (path: string) => Effect.scoped(Effect.flatMap(watcher.getAndWatch(path), ({ event }) => event)),
        (path: string) => Effect.scoped(Effect.flatMap(watcher.existsAndWatch(`${path}/absent`), ({ event }) => event)),
        (path: string) => Effect.scoped(Effect.flatMap(watcher.getChildrenAndWatch(path), ({ event }) => event))
      ]
      const cycle = Effect.suspend(() => {
        const subscription = kinds[below(kinds.length)]?.(paths[below(paths.length)] ?? root) ?? Effect.void
        const moment = below(4)
        return Effect.gen(function*() {
          const fiber = yield* Effect.forkChild(Effect.exit<unknown, unknown, never>(subscription), {
            startImmediately: true
          })
          if (moment === 1) yield* Effect.yieldNow
          if (moment === 2) yield* watcher.exists(root)
          if (moment === 3) yield* Effect.sleep(below(3))
          yield* Fiber.interrupt(fiber)
        })
      })
      yield* Effect.forEach(Array.from({ length: 10_000 }), () => cycle, { concurrency: 50, discard: true })
      yield* Fiber.interrupt(churning)
      yield* watcher.sync(root)
      assert.strictEqual(registry.size, 0)
      assert.deepStrictEqual(yield* watchedPaths, [])
    }))

  test("batches are no larger than the requests may be", ({ root }) =>
    Effect.gen(function*() {
      const own = yield* Proxy.make(port)
      const zk = yield* ZooKeeper.make({ hosts: own.hosts, maxRequestSize: 1024 })
      for (let index = 0; index < 40; index++) yield* zk.existsAndWatch(`${root}/${"x".repeat(60)}-${index}`)
      own.cut()
      yield* own.waitForConnection(2)
      yield* zk.session
      assert.isAbove(own.requests.filter(({ opCode }) => opCode === OpCode.SetWatches).length, 3)
      assert.strictEqual(own.accepted(), 2)
    }))

  test("5 000 watches with more than 1 MB of paths are armed again in batches", ({
    changer,
    proxy,
    registry,
    root,
    watchedPaths,
    watcher,
    whileCut
  }) =>
    Effect.gen(function*() {
      const long = "é".repeat(60) + "x".repeat(100)
      const paths = Array.from({ length: 5000 }, (_, index) => `${root}/${long}-${index}`)
      const events: Array<string> = []
      yield* Effect.forEach(paths, (path, index) =>
        index % 2 === 0
          ? Effect.asVoid(watcher.existsAndWatch(path))
          : Effect.asVoid(Effect.forkScoped(
            Stream.runForEach(watcher.watch(path), (event) => Effect.sync(() => events.push(line(event)))),
            { startImmediately: true }
          )), { discard: true })
      assert.strictEqual(registry.size, 5000)
      yield* watcher.sync(root)
      const sizes: Array<number> = []
      proxy.onRequest(({ bytes, opCode }) => {
        if (opCode === OpCode.SetWatches || opCode === OpCode.SetWatches2) sizes.push(bytes.length)
        return undefined
      })
      const [first = ""] = paths
      const created = yield* watcher.existsAndWatch(first)
      yield* whileCut(changer.create(first))
      assert.deepStrictEqual(yield* created.event, { _tag: "NodeCreated", path: first })
      assert.isAbove(sizes.reduce((sum, size) => sum + size, 0), 1024 * 1024)
      assert.isAtMost(Math.max(...sizes), 128 * 1024)
      assert.strictEqual((yield* watchedPaths).length, 4999)
      assert.strictEqual(events.filter((event) => event === "Gap Reconnected").length, 2500)
      const last = paths.at(-1) ?? ""
      yield* watcher.create(last)
      assert.strictEqual(events.at(-1), `NodeCreated ${last}`)
    }))
})

/** What streams and one-shot watches do where there are no persistent watches. */
const behaves = (
  { changer, proxy, root, watcher }: World,
  streams: {
    readonly data: Effect.Effect<Option.Option<string>>
    readonly children: Effect.Effect<Option.Option<ReadonlyArray<string>>>
    readonly events: ReadonlyArray<string>
  }
) =>
  Effect.gen(function*() {
    const { accepted } = proxy
    const connections = accepted()
    const path = `${root}/a`
    for (let round = 0; round < 3; round++) {
      yield* changer.create(path, "1")
      assert.deepStrictEqual(yield* streams.data, some("1"))
      assert.deepStrictEqual(yield* streams.children, some<ReadonlyArray<string>>([]))
      yield* changer.set(path, "2")
      assert.deepStrictEqual(yield* streams.data, some("2"))
      yield* changer.create(`${path}/x`)
      assert.deepStrictEqual(yield* streams.children, some(["x"]))
      const once = yield* watcher.getAndWatch(path)
      yield* changer.set(path, "3")
      assert.strictEqual((yield* once.event)._tag, "NodeDataChanged")
      assert.deepStrictEqual(yield* streams.data, some("3"))
      yield* changer.deleteRecursive(path)
      assert.deepStrictEqual(yield* streams.data, none())
      // A child that is deleted is told before its parent, or together with it.
      const state = yield* streams.children
      if (Option.isSome(state)) {
        assert.deepStrictEqual(state.value, [])
        assert.deepStrictEqual(yield* streams.children, none())
      }
    }
    for (const tag of ["NodeCreated", "NodeDataChanged", "NodeDeleted"]) {
      assert.include(streams.events, `${tag} ${path}`)
    }
    assert.include(streams.events, "Gap OneShot")
    // No connection was lost on the way.
    assert.strictEqual(accepted(), connections)
  })

describe.skipIf(hosts === undefined)("as one before 3.6", () => {
  const unknown = new Set<number>([22, 103, 104, 105, 106, 107])

  /** From now on the server does not know newer requests. */
  const age = (proxy: Proxy.Proxy) =>
    proxy.onRequest(({ opCode, xid }) =>
      unknown.has(opCode)
        ? {
          _tag: "Answer",
          bytes: Proxy.encodeReply({ xid, zxid: -1n, err: ErrorCode.Unimplemented }),
          close: true
        }
        : undefined
    )

  test("streams are served by one-shot watches, recursive ones fail", (world) =>
    Effect.gen(function*() {
      const { proxy, registry, root, watchedPaths, watcher } = world
      age(proxy)
      const path = `${root}/a`
      const recursive = yield* record(watcher.watch(root, "recursive"))
      const error = yield* Effect.flip(recursive.end)
      assert.isTrue(error._tag === "ConnectionError" && error.reason._tag === "Unimplemented")
      const data = yield* record(Stream.map(watcher.changes(path), text))
      const children = yield* record(Stream.map(watcher.childrenChanges(path), names))
      const events = yield* record(Stream.map(watcher.watch(path), line))
      assert.deepStrictEqual(yield* data.next, none())
      assert.deepStrictEqual(yield* children.next, none())
      yield* behaves(world, { data: data.next, children: children.next, events: events.seen })
      yield* world.whileCut(world.changer.create(path, "away"))
      assert.deepStrictEqual(yield* data.next, some("away"))
      assert.deepStrictEqual(yield* children.next, some([]))
      yield* world.changer.create(`${path}/x`)
      assert.deepStrictEqual(yield* children.next, some(["x"]))
      const late = yield* Effect.flip(Stream.runDrain(watcher.watch(root, "recursive")))
      assert.isTrue(late._tag === "ConnectionError" && late.reason._tag === "Unimplemented")
      for (const { stop } of [data, children, events]) yield* stop
      yield* watcher.sync(root)
      assert.strictEqual(registry.size, 0)
      assert.deepStrictEqual(yield* watchedPaths, [])
      assert.isAtMost(proxy.accepted(), 3)
    }))

  test("a client that moves to an old server goes on with one-shot watches", (world) =>
    Effect.gen(function*() {
      const { proxy, root, watcher } = world
      const path = `${root}/a`
      const recursive = yield* record(watcher.watch(root, "recursive"))
      const data = yield* record(Stream.map(watcher.changes(path), text))
      const children = yield* record(Stream.map(watcher.childrenChanges(path), names))
      const events = yield* record(Stream.map(watcher.watch(path), line))
      assert.deepStrictEqual(yield* data.next, none())
      assert.deepStrictEqual(yield* children.next, none())
      age(proxy)
      yield* world.whileCut(Effect.void)
      const error = yield* Effect.flip(recursive.end)
      assert.isTrue(error._tag === "ConnectionError" && error.reason._tag === "Unimplemented")
      yield* behaves(world, { data: data.next, children: children.next, events: events.seen })
      assert.isAtMost(proxy.accepted(), 3)
    }))

  test("a server that only refuses persistent watches keeps its connection", (world) =>
    Effect.gen(function*() {
      const { proxy, root, watcher } = world
      const path = `${root}/a`
      proxy.onRequest(({ opCode, xid }) =>
        opCode === OpCode.AddWatch
          ? { _tag: "Answer", bytes: Proxy.encodeReply({ xid, zxid: 0n, err: ErrorCode.MarshallingError }) }
          : undefined
      )
      const data = yield* record(Stream.map(watcher.changes(path), text))
      const children = yield* record(Stream.map(watcher.childrenChanges(path), names))
      const events = yield* record(Stream.map(watcher.watch(path), line))
      assert.deepStrictEqual(yield* data.next, none())
      assert.deepStrictEqual(yield* children.next, none())
      yield* watcher.sync(root)
      yield* behaves(world, { data: data.next, children: children.next, events: events.seen })
      assert.strictEqual(proxy.accepted(), 1)
    }))
})

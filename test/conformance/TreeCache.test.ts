/**
 * Tree caches: what every server must do, and what becomes
 * of a cache while connections and sessions come and go and somebody writes.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as References from "effect/References"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { ErrorCode } from "../../src/jute/ErrorCode.ts"
import * as TreeCache from "../../src/recipe/TreeCache.ts"
import * as ZnodePath from "../../src/ZnodePath.ts"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import { connect, proxy as makeProxy, root as makeRoot, shared, sharedHost, through, untilState } from "../support/Clients.ts"
import * as Proxy from "../support/Proxy.ts"
import { record } from "../../src/testing/Recording.ts"
import { fourLetterWord } from "../support/ZooKeeperServer.ts"
import { Replay } from "../support/Replay.ts"
import { onEveryServer } from "./servers.ts"
import { essence, treeAt, treeCache } from "./treeCache.ts"

onEveryServer(treeCache)

const refused = (xid: number) => Proxy.encodeReply({ xid, zxid: -1n, err: ErrorCode.Unimplemented })

/** From now on the server does not know newer requests: it is one before 3.6. */
const age = (proxy: Proxy.Proxy): void => {
  const unknown = new Set<number>([103, 104, 105, 106, 107])
  proxy.onRequest(({ opCode, xid }) =>
    unknown.has(opCode) ? { _tag: "Answer", bytes: refused(xid), close: true } : undefined
  )
  // Multi-reads are asked for behind other requests: their answer must come in its turn.
  proxy.onReply(({ opCode, xid }) => opCode === 22 ? { _tag: "Replace", bytes: refused(xid) } : undefined)
}

/** Whole numbers below a bound, the same ones for a seed. */
const randomOf = (seed: number) => {
  let state = seed * 2654435761 >>> 0
  return (bound: number): number => {
    state ^= state << 13
    state ^= state >>> 17
    state = (state ^ state << 5) >>> 0
    return state % bound
  }
}

interface World {
  readonly zk: ZooKeeper.Service
  readonly writer: ZooKeeper.Service
  readonly proxy: Proxy.Proxy
  readonly root: string
  readonly make: (path: string, options?: TreeCache.Options) => Effect.Effect<
    TreeCache.TreeCache,
    TreeCache.TreeCacheError,
    Scope.Scope
  >
  /** Runs something while the cache's client has no connection, until it has one again. */
  readonly without: (
    state: "Suspended" | "Expired"
  ) => <A, E>(effect: Effect.Effect<A, E, Scope.Scope>) => Effect.Effect<A, E, Scope.Scope>
  /** Paths of this test which the server watches, for whomever. */
  readonly watchedPaths: Effect.Effect<ReadonlyArray<string>>
}

const port = Number(sharedHost.split(":").at(-1))

const test = <E>(
  title: string,
  body: (world: World) => Effect.Effect<void, E, Scope.Scope>,
  options: Partial<ZooKeeper.Options> = {},
  prepare: (proxy: Proxy.Proxy) => void = () => undefined
) =>
  it.live(title, () =>
    Effect.gen(function*() {
      const proxy = yield* makeProxy
      prepare(proxy)
      const zk = yield* through(proxy, { sessionTimeout: "10 seconds", reconnect: Schedule.spaced("20 millis"), ...options })
      const writer = yield* connect()
      const root = yield* makeRoot(writer)
      yield* body({
        zk,
        writer,
        proxy,
        root,
        make: (path, settings) => Effect.provideService(TreeCache.make(path, settings), ZooKeeper.ZooKeeper, zk),
        without: (state) => (effect) =>
          Effect.gen(function*() {
            const gone = yield* Effect.forkChild(untilState(zk, state), { startImmediately: true })
            yield* proxy.refuse(true)
            proxy.cut()
            yield* Fiber.join(gone)
            const result = yield* effect
            yield* proxy.refuse(false)
            yield* untilState(zk, "Connected")
            return result
          }),
        watchedPaths: Effect.map(Effect.orDie(fourLetterWord(port, "wchp")), (reply) =>
          reply.split("\n").filter((each) => each.startsWith(root)))
      })
      // Lost connections are what these tests are about.
    }).pipe(Effect.provideService(References.MinimumLogLevel, "Error")), 120_000)

/** Random writes below a root, one after the other; the last zxid. */
const write = (zk: ZooKeeper.Service, root: string, random: (bound: number) => number, steps: number) =>
  Effect.gen(function*() {
    const path = () => {
      let at = root
      for (let depth = 1 + random(3); depth > 0; depth--) at = ZnodePath.join(at, "abcd".charAt(random(4)))
      return at
    }
    for (let step = 0; step < steps; step++) {
      const at = path()
      const action = random(10)
      yield* Effect.ignore(
        action < 4
          ? zk.create(at, `${step}`)
          : action < 7
          ? zk.set(at, `${step}`)
          : action < 8
          ? zk.deleteRecursive(at)
          : action < 9
          ? zk.delete(at)
          : Effect.andThen(zk.deleteRecursive(at), zk.create(at, `again ${step}`))
      )
    }
    return (yield* zk.set(root, "end")).mzxid
  })

/** Cuts connections, so many times, now and then until the session has expired. */
const disturb = ({ proxy, without }: World, random: (bound: number) => number, expiries: boolean, times: number) =>
  Effect.repeat(Effect.gen(function*() {
    yield* Effect.sleep(20 + random(150))
    const kind = random(expiries ? 6 : 5)
    if (kind === 5) yield* without("Expired")(Effect.void)
    else if (kind === 4) yield* without("Suspended")(Effect.sleep(random(100)))
    else if (kind === 3) proxy.cutAfterBytes(random(400), random(2) === 0 ? "toClient" : "toServer")
    else proxy.cut(kind === 2 ? "reset" : "fin")
  }), { times })

const survives = (world: World, seed: number, options: { readonly times: number; readonly expiries: boolean }) =>
  Effect.gen(function*() {
    const { make, root, writer } = world
    const random = randomOf(seed)
    yield* write(writer, root, random, 30)
    const cache = yield* make(root)
    const replay = new Replay()
    const listening = yield* Effect.forkScoped(Stream.runForEach(cache.changes, (change) =>
      Effect.sync(() => replay.apply(change))), { startImmediately: true })
    const disturbing = yield* Effect.forkChild(disturb(world, randomOf(seed + 1000), options.expiries, options.times))
    const writing = yield* Effect.forkChild(
      Effect.forever(Effect.andThen(write(writer, root, random, 20), Effect.sleep(random(50))))
    )
    yield* Fiber.join(disturbing)
    // A busy machine may have told all of it by snapshots: there shall be changes, too.
    while (replay.changes <= 20) yield* Effect.sleep(5)
    yield* Fiber.interrupt(writing)
    yield* cache.awaitZxid((yield* writer.set(root, "rest")).mzxid)
    const nodes = yield* cache.snapshot
    assert.deepStrictEqual(essence(nodes), essence(yield* treeAt(writer, root)))
    // The listener is behind the cache by what it has not yet taken.
    yield* Effect.yieldNow
    yield* writer.set(root, "listened")
    yield* Stream.runHead(Stream.filter(cache.states, (nodes) => nodes.get(root)?.data[0] === 108))
    while (replay.nodes.get(root)?.data[0] !== 108) yield* Effect.sleep(5)
    assert.deepStrictEqual(essence(replay.nodes), essence(yield* cache.snapshot))
    assert.deepStrictEqual(replay.faults, [])
    yield* Fiber.interrupt(listening)
  })

describe.skipIf(shared === undefined).concurrent("a tree cache while the connection is cut and somebody writes", () => {
  for (const seed of [1, 2, 3, 4, 5, 6]) {
    test(`equals the tree in the end, and so do its changes (seed ${seed})`, (world) =>
      survives(world, seed, { times: seed > 3 ? 12 : 30, expiries: seed > 3 }), { sessionTimeout: seed > 3 ? "1 second" : "10 seconds" })
  }

  for (const seed of [11, 12, 13]) {
    test(`the same on a server before 3.6 (seed ${seed})`, (world) =>
      survives(world, seed, { times: 15, expiries: seed > 12 }), {
      sessionTimeout: seed > 12 ? "1 second" : "10 seconds"
    }, age)
  }
})

describe.skipIf(shared === undefined)("a tree cache", () => {
  for (const state of ["Suspended", "Expired"] as const) {
    test(`learns what happened while ${state}, recreated znodes included`, ({ make, root, without, writer }) =>
      Effect.gen(function*() {
        for (const path of ["same", "changed", "gone", "again", "again/old"]) yield* writer.create(`${root}/${path}`, "1")
        const cache = yield* make(root)
        const changes = yield* record(Stream.map(cache.changes, (change) =>
          change._tag === "Snapshot" ? "Snapshot" : `${change._tag} ${change.path.slice(root.length)}`))
        yield* changes.next
        yield* without(state)(Effect.gen(function*() {
          yield* writer.set(`${root}/changed`, "2")
          yield* writer.delete(`${root}/gone`)
          yield* writer.deleteRecursive(`${root}/again`)
          // The same version and the same data: only its czxid tells.
          yield* writer.create(`${root}/again`, "1")
          yield* writer.create(`${root}/again/new`, "1")
        }))
        const { mzxid } = yield* writer.set(root, "")
        yield* cache.awaitZxid(mzxid)
        assert.deepStrictEqual(essence(yield* cache.snapshot), essence(yield* treeAt(writer, root)))
        yield* changes.upTo((change) => change === "Created /again/new")
        const told = changes.seen.slice(1)
        assert.sameMembers(told.filter((change) => change !== "Updated "), [
          "Updated /changed",
          "Deleted /gone",
          "Deleted /again/old",
          "Deleted /again",
          "Created /again",
          "Created /again/new"
        ])
      }), { sessionTimeout: "1 second" })
  }

  test("reads a tree of 10 000 znodes again in few requests", ({ make, proxy, root, without, writer }) =>
    Effect.gen(function*() {
      yield* Effect.forEach(Array.from({ length: 100 }, (_, index) => index), (index) =>
        Effect.andThen(
          writer.create(`${root}/${index}`),
          Effect.forEach(Array.from({ length: 100 }, (_, below) => below), (below) =>
            writer.create(`${root}/${index}/${below}`, `${below}`), { concurrency: "unbounded", discard: true })
        ), { concurrency: 10, discard: true })
      const cache = yield* make(root)
      assert.strictEqual((yield* cache.snapshot).size, 10_101)
      const before = proxy.requests.length
      yield* without("Suspended")(writer.set(`${root}/7/7`, "changed"))
      const { mzxid } = yield* writer.set(root, "")
      yield* cache.awaitZxid(mzxid)
      assert.deepStrictEqual(essence(yield* cache.snapshot), essence(yield* treeAt(writer, root)))
      // 40 multi-reads; nothing is listed, for no children have changed.
      assert.isBelow(proxy.requests.length - before, 80)
    }))

  test("a listener that sleeps is given a new snapshot instead of all changes", ({ make, root, writer }) =>
    Effect.gen(function*() {
      const cache = yield* make(root)
      const replay = new Replay()
      const gate = yield* Deferred.make<void>()
      let held = false
      const listening = yield* Effect.forkScoped(Stream.runForEachArray(cache.changes, (changes) =>
        Effect.suspend(() => {
          changes.forEach(replay.apply)
          if (held) return Effect.void
          held = true
          return Deferred.await(gate)
        })), { startImmediately: true })
      const paths = Array.from({ length: 9000 }, (_, index) => `${root}/${index}`)
      yield* Effect.forEach(paths, (path) => writer.create(path), { concurrency: 500, discard: true })
      yield* Effect.forEach(paths, (path) => writer.set(path, "1"), { concurrency: 500, discard: true })
      const { mzxid } = yield* writer.set(root, "end")
      yield* cache.awaitZxid(mzxid)
      yield* Deferred.succeed(gate, undefined)
      yield* writer.create(`${root}/last`)
      while (!replay.nodes.has(`${root}/last`)) yield* Effect.sleep(5)
      assert.deepStrictEqual(essence(replay.nodes), essence(yield* cache.snapshot))
      assert.deepStrictEqual(replay.faults, [])
      yield* Fiber.interrupt(listening)
    }))

  test("leaves no watch behind", ({ make, root, watchedPaths, writer, zk }) =>
    Effect.gen(function*() {
      yield* writer.create(`${root}/a/b`, "", { makeParents: true })
      yield* Effect.scoped(Effect.gen(function*() {
        yield* make(root)
        yield* make(`${root}/a`, { maxDepth: 0 })
        assert.sameMembers([...(yield* watchedPaths)], [root, `${root}/a`])
      }))
      yield* zk.sync(root)
      assert.deepStrictEqual(yield* watchedPaths, [])
    }))

  test("leaves no watch behind on a server before 3.6 either", ({ make, root, watchedPaths, writer, zk }) =>
    Effect.gen(function*() {
      yield* writer.create(`${root}/a/b`, "", { makeParents: true })
      yield* Effect.scoped(Effect.gen(function*() {
        const cache = yield* make(root)
        assert.sameMembers([...(yield* watchedPaths)], [root, `${root}/a`, `${root}/a/b`])
        yield* writer.deleteRecursive(`${root}/a`)
        const { mzxid } = yield* writer.set(root, "")
        yield* cache.awaitZxid(mzxid)
        yield* zk.sync(root)
        assert.deepStrictEqual(yield* watchedPaths, [root])
      }))
      yield* zk.sync(root)
      assert.deepStrictEqual(yield* watchedPaths, [])
    }), {}, age)

  test("fails, streams and waiters included, when there will be no other session", ({ make, root, without }) =>
    Effect.gen(function*() {
      const cache = yield* make(root)
      const changes = yield* record(cache.changes)
      const waiting = yield* Effect.forkChild(cache.awaitZxid(2n ** 62n), { startImmediately: true })
      yield* changes.next
      yield* Effect.forkChild(without("Expired")(Effect.void))
      for (const end of [changes.end, Fiber.join(waiting)]) {
        const error = yield* Effect.flip(end)
        assert.isTrue(error._tag === "ConnectionError" && error.reason._tag === "SessionExpired")
      }
      assert.strictEqual((yield* cache.snapshot).size, 1)
    }), { sessionTimeout: "1 second", onExpiry: "end" })
})

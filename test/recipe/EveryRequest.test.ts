/**
 * Whatever happens at whichever request of a recipe, no znode of ours is left
 * behind, and the next one gets in. On the in-memory server: each run breaks
 * another request of another recipe, in one of many ways.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as References from "effect/References"
import type * as Scope from "effect/Scope"
import * as Election from "../../src/recipe/Election.ts"
import * as Lock from "../../src/recipe/Lock.ts"
import * as MultiLock from "../../src/recipe/MultiLock.ts"
import * as ReadWriteLock from "../../src/recipe/ReadWriteLock.ts"
import * as Semaphore from "../../src/recipe/Semaphore.ts"
import { ZooKeeper } from "../../src/ZooKeeper.ts"
import * as ZooKeeperTest from "../../src/ZooKeeperTest.ts"

/** Takes all of it, and gives it back: can only succeed when nobody else is left. */
type Use = Effect.Effect<unknown, { readonly _tag: string }, ZooKeeper>

const recipes: { readonly [name: string]: Use } = {
  "lock": Lock.withLock("/r")(Effect.void),
  "lock of Curator's": Lock.withLock("/r", { layout: "curator" })(Effect.void),
  "lock, strictly valid": Lock.withLock("/r", { validity: "strict" })(Effect.void),
  "try to lock": Effect.scoped(Effect.flatMap(Lock.make("/r"), (lock) => lock.tryAcquire)),
  "write lock": Effect.flatMap(ReadWriteLock.make("/r"), ({ write }) => write.withLock(Effect.void)),
  "read lock": Effect.flatMap(
    ReadWriteLock.make("/r", { layout: "curator" }),
    ({ read }) => read.withLock(Effect.void)
  ),
  "downgrade": Effect.scoped(Effect.gen(function*() {
    const lock = yield* ReadWriteLock.make("/r")
    yield* lock.downgrade(yield* lock.write.acquire())
  })),
  "semaphore": Effect.flatMap(Semaphore.make("/r", { permits: 2 }), (semaphore) =>
    semaphore.withPermits(2)(Effect.void)),
  "semaphore of Curator's": Effect.flatMap(Semaphore.make("/r", { permits: 2, layout: "curator" }), (semaphore) =>
    semaphore.withPermits(2)(Effect.void)),
  "election": Effect.flatMap(Election.make("/r"), (election) => election.lead(Effect.void)),
  "several locks": Effect.gen(function*() {
    const locks = yield* Effect.forEach(["/r/b", "/r/a"], (path) => Lock.make(path))
    yield* Effect.flatMap(MultiLock.make(locks), (lock) => lock.withLock(Effect.void))
  })
}

/** What happens at the request that a run is about. */
const mishaps = {
  "interrupted": { interrupts: true },
  "interrupted, reply lost": { interrupts: true, cut: "reply" },
  "interrupted, request lost": { interrupts: true, cut: "request" },
  "reply lost": { interrupts: false, cut: "reply" },
  "request lost": { interrupts: false, cut: "request" },
  "reply lost, session over": { interrupts: false, cut: "reply", expires: true },
  "interrupted, session over": { interrupts: true, expires: true },
  "session over": { interrupts: false, expires: true }
} as const

const together = 8

const layer = ZooKeeperTest.layerEnsemble()

/** Every ephemeral znode below a path. */
const ephemerals = (zk: ZooKeeper["Service"], path: string): Effect.Effect<ReadonlyArray<string>> =>
  Effect.gen(function*() {
    const found: Array<string> = []
    const look = (at: string): Effect.Effect<void> =>
      Effect.gen(function*() {
        const { stat } = yield* zk.get(at)
        if (stat.ephemeralOwner !== 0n) found.push(at)
        for (const name of yield* zk.getChildren(at)) yield* look(at === "/" ? `/${name}` : `${at}/${name}`)
      }).pipe(Effect.ignore)
    yield* look(path)
    return found
  })

/** One run; whether there was such a request at all. */
const run = (
  use: Use,
  contended: boolean,
  at: number,
  mishap: { readonly interrupts: boolean; readonly cut?: "request" | "reply"; readonly expires?: boolean }
): Effect.Effect<boolean, unknown, Scope.Scope | ZooKeeperTest.ZooKeeperTest> =>
  Effect.gen(function*() {
    const test = yield* ZooKeeperTest.ZooKeeperTest
    const zk = yield* test.client()
    const rival = yield* test.client()
    const own = Effect.provideContext(use, Context.make(ZooKeeper, zk))
    const others = Effect.provideContext(use, Context.make(ZooKeeper, rival))

    const happened = yield* Deferred.make<void>()
    let count = 0
    const sessionId = (yield* zk.session).id
    let xid: number | undefined
    yield* test.of(zk).onRequest((request) => {
      if (["ping", "connect", "close", "setWatches"].includes(request.operation) || count++ !== at) return undefined
      xid = request.xid
      if (mishap.cut !== "reply") Deferred.doneUnsafe(happened, Exit.void)
      return mishap.cut === "request" ? { _tag: "Cut" } : undefined
    })
    yield* test.of(zk).onReply((reply) => {
      if (mishap.cut !== "reply" || reply.xid !== xid) return undefined
      Deferred.doneUnsafe(happened, Exit.void)
      return { _tag: "Cut" }
    })

    const release = yield* Deferred.make<void>()
    const rivalHolds = yield* Effect.forkChild(
      contended
        ? Effect.scoped(Effect.gen(function*() {
          const lock = yield* Effect.provideService(Lock.make("/r"), ZooKeeper, rival)
          yield* lock.acquire()
          yield* Deferred.await(release)
        }))
        : Effect.void
    )
    if (contended) yield* test.waitForRequest(({ operation }) => operation === "get").pipe(Effect.timeout("1 second"), Effect.ignore)

    const fiber = yield* Effect.forkDetach(Effect.exit(own), { startImmediately: true })
    // It waits, or has met its mishap: the way is free.
    yield* Effect.timeoutOption(Deferred.await(happened), contended ? 30 : 0)
    yield* Deferred.succeed(release, undefined)
    yield* Fiber.join(rivalHolds)
    yield* Effect.raceFirst(Deferred.await(happened), Fiber.await(fiber))
    const met = count > at
    if (met && mishap.expires === true) yield* test.of(sessionId).expireSession
    if (met && mishap.interrupts) yield* Fiber.interrupt(fiber)
    const exit = yield* Fiber.await(fiber)
    if (met && !mishap.interrupts && exit._tag === "Success" && exit.value._tag === "Failure") {
      const error = yield* Effect.flip(exit.value)
      // What was lost while it was held is told.
      assert.strictEqual(error._tag, "GrantLost")
    }
    // The other one gets all of it: only possible when nothing is left, or will be at once.
    yield* Effect.timeout(others, "5 seconds")
    yield* zk.session
    yield* Effect.repeat(ephemerals(rival, "/r"), { until: (found) => found.length === 0 }).pipe(
      Effect.timeout("5 seconds")
    )
    return met
  })

describe("every request", () => {
  for (const [name, use] of Object.entries(recipes)) {
    for (const contended of [false, true]) {
      // A rival that holds a lock of kazoo's stands in the way of these only.
      if (contended && !["lock", "lock, strictly valid", "write lock", "election", "try to lock"].includes(name)) continue
      it.live(`${name}${contended ? ", contended" : ""}`, () =>
        Effect.gen(function*() {
          for (const [title, mishap] of Object.entries(mishaps)) {
            const once = (index: number) =>
              Effect.scoped(run(use, contended, index, mishap)).pipe(
                Effect.provide(layer, { local: true }),
                Effect.tapCause((cause) => Effect.logError(`${title} at request ${index}`, cause))
              )
            // Runs wait for reconnections most of the time: many at once, until there are no more requests.
            let requests = 0
            for (let from = 0; requests === from; from += together) {
              const met = yield* Effect.forEach(
                Array.from({ length: together }, (_, index) => from + index),
                once,
                { concurrency: together }
              )
              requests += met.filter(Boolean).length
            }
            // Create, list, watch, delete at the least; less where there is nothing to be had.
            assert.isAtLeast(requests, 3, title)
          }
        }).pipe(Effect.provideService(References.MinimumLogLevel, "Error")), 60_000)
    }
  }
})

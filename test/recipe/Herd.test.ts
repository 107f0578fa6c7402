/** What a hand-over costs, counted on the in-memory server. */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Lock from "../../src/recipe/Lock.ts"
import * as ReadWriteLock from "../../src/recipe/ReadWriteLock.ts"
import { ZooKeeper } from "../../src/ZooKeeper.ts"
import * as ZooKeeperTest from "../../src/ZooKeeperTest.ts"
import { eventually } from "../conformance/lock.ts"

const counted = 100

describe("with 100 contenders", () => {
  it.live("a release wakes one waiter, which asks twice", () =>
    Effect.gen(function*() {
      const test = yield* ZooKeeperTest.ZooKeeperTest
      const observer = yield* test.client()
      const watching = yield* Effect.provideService(Lock.make("/lock"), ZooKeeper, observer)
      const releases: Array<Deferred.Deferred<void>> = []
      const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
      for (let index = 0; index < counted; index++) {
        const zk = yield* test.client({ sessionTimeout: "20 seconds" })
        const lock = yield* Effect.provideService(Lock.make("/lock"), ZooKeeper, zk)
        const release = yield* Deferred.make<void>()
        releases.push(release)
        fibers.push(yield* Effect.forkDetach(lock.withLock(Deferred.await(release)), { startImmediately: true }))
        yield* eventually(watching.contenders, ({ length }) => length === index + 1)
      }
      const own = (yield* observer.session).id
      const asked = Effect.map(test.requests, (requests) =>
        requests.filter(({ operation, sessionId }) => sessionId !== own && operation !== "ping"))
      // Each one but the first waits for another, and the first for its own loss.
      yield* eventually(asked, (requests) => requests.filter(({ operation }) => operation === "get").length === counted)
      for (const [index, release] of releases.slice(0, 10).entries()) {
        const before = (yield* asked).length
        yield* Deferred.succeed(release, undefined)
        yield* Effect.forEach(fibers.slice(index, index + 1), Fiber.join)
        const next = (yield* watching.contenders)[0]
        // The grant's own watch is the last that it asks for.
        yield* eventually(asked, (requests) =>
          requests.some(({ operation, path }) => operation === "get" && path === next?.path))
        assert.deepStrictEqual((yield* asked).slice(before).map(({ operation }) => operation), [
          "delete",
          "getChildren",
          "get"
        ])
      }
      yield* Effect.forEach(fibers, Fiber.interrupt, { concurrency: "unbounded" })
      assert.deepStrictEqual(yield* watching.contenders, [])
    }).pipe(Effect.provide(ZooKeeperTest.layerEnsemble())), 60_000)

  it.live("readers behind a writer are not woken by each other", () =>
    Effect.gen(function*() {
      const test = yield* ZooKeeperTest.ZooKeeperTest
      const zk = yield* test.client()
      const observer = yield* test.client()
      const lock = yield* Effect.provideService(ReadWriteLock.make("/lock"), ZooKeeper, zk)
      const observed = yield* Effect.provideService(ReadWriteLock.make("/lock"), ZooKeeper, observer)
      const own = (yield* observer.session).id
      const asked = (wanted: string) =>
        Effect.map(test.requests, (requests) =>
          requests.filter(({ operation, sessionId }) => sessionId !== own && operation === wanted))
      const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
      const fork = (each: Lock.Lock) =>
        Effect.gen(function*() {
          fibers.push(yield* Effect.forkDetach(each.withLock(Effect.never), { startImmediately: true }))
          const count = fibers.length
          yield* eventually(observed.read.contenders, ({ length }) => length === count)
        })
      yield* fork(lock.write)
      for (let index = 0; index < 20; index++) yield* fork(lock.read)
      const [writer] = yield* observed.read.contenders
      // Its own watch, and that of each reader: all on the writer.
      const watching = yield* eventually(asked("get"), ({ length }) => length === 21)
      assert.isTrue(watching.every(({ path }) => path === writer?.path))
      const before = (yield* asked("getChildren")).length
      yield* Effect.forEach(fibers.slice(10, 11), Fiber.interrupt)
      yield* zk.sync("/lock")
      assert.strictEqual((yield* asked("getChildren")).length, before)
      yield* Effect.forEach(fibers, Fiber.interrupt, { concurrency: "unbounded" })
    }).pipe(Effect.provide(ZooKeeperTest.layerEnsemble())), 60_000)
})

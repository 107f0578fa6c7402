/** What a hand-over costs, counted on the in-memory server. */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Election from "../../src/recipe/Election.ts"
import * as Lock from "../../src/recipe/Lock.ts"
import * as MultiLock from "../../src/recipe/MultiLock.ts"
import * as ReadWriteLock from "../../src/recipe/ReadWriteLock.ts"
import * as Semaphore from "../../src/recipe/Semaphore.ts"
import { ZooKeeper } from "../../src/ZooKeeper.ts"
import * as ZooKeeperTest from "../../src/ZooKeeperTest.ts"
import { eventually } from "../conformance/lock.ts"

const counted = 100
const released = 10

/** A client each; those that come later wait for those before. */
interface Contender {
  readonly fiber: Fiber.Fiber<unknown, unknown>
  readonly release: Effect.Effect<unknown>
}

interface Recipe {
  readonly use: (hold: Effect.Effect<void>) => Effect.Effect<unknown, unknown, ZooKeeper>
  /** Whether so many contenders hold, or wait by a watch that each has set. */
  readonly isSettled?: (dump: ZooKeeperTest.Dump, count: number) => boolean
  /** The requests that a hand-over consists of, all clients' together. */
  readonly handover: ReadonlyArray<string>
}

const below = ({ znodes }: ZooKeeperTest.Dump, path: string): number =>
  [...znodes.keys()].filter((each) => each.startsWith(`${path}/`)).length

/** The requests so far, but pings. */
const asked = ZooKeeperTest.ZooKeeperTest.use((test) =>
  Effect.map(test.requests, (requests) => requests.filter(({ operation }) => operation !== "ping"))
)

/** The znodes that requests have set a watch on. */
const watched = (requests: ReadonlyArray<ZooKeeperTest.Request>) =>
  requests.filter(({ operation }) => operation === "get").map(({ path }) => path)

/** One more of them, that holds or waits. */
const contend = (
  { isSettled = ({ watches }, count) => watches.length === count, use }: Recipe,
  before = 0
): Effect.Effect<Contender, unknown, ZooKeeperTest.ZooKeeperTest | Scope.Scope> =>
  Effect.gen(function*() {
    const test = yield* ZooKeeperTest.ZooKeeperTest
    const zk = yield* test.client({ sessionTimeout: "20 seconds" })
    const release = yield* Deferred.make<void>()
    const fiber = yield* Effect.forkDetach(
      Effect.provideService(use(Deferred.await(release)), ZooKeeper, zk),
      { startImmediately: true }
    )
    yield* eventually(test.dump, (dump) => isSettled(dump, before + 1))
    return { fiber, release: Deferred.succeed(release, undefined) }
  })

const permits = 3

/** One waits in front, with the guard, for the permits; the others for the guard. */
const semaphore = (layout: Lock.Layout): Recipe => ({
  use: (hold) =>
    Effect.flatMap(Semaphore.make("/r", { permits, layout }), ({ withPermits }) => withPermits(1)(hold)),
  isSettled: (dump, count) =>
    count > permits
      ? dump.watches.length === count + 1
      : below(dump, layout === "kazoo" ? "/r" : "/r/leases") === count && dump.watches.length === count,
  handover: [
    "delete",
    // There is room: a permit, under the guard, which is passed on.
    "getChildren",
    "removeWatches",
    "transaction",
    "exists",
    "get",
    "delete",
    // The next one to wait for room.
    "getChildren",
    "get",
    "getChildren"
  ]
})

const recipes: { readonly [name: string]: Recipe } = {
  lock: {
    use: Lock.withLock("/r"),
    handover: ["delete", "getChildren", "get"]
  },
  "write lock": {
    use: (hold) => Effect.flatMap(ReadWriteLock.make("/r"), ({ write }) => write.withLock(hold)),
    handover: ["delete", "getChildren", "get"]
  },
  election: {
    use: (hold) => Effect.flatMap(Election.make("/r"), ({ lead }) => lead(hold)),
    handover: ["delete", "getChildren", "get"]
  },
  "several locks": {
    use: (hold) =>
      Effect.gen(function*() {
        const locks = yield* Effect.forEach(["/r/a", "/r/b"], (path) => Lock.make(path))
        yield* Effect.flatMap(MultiLock.make(locks), (lock) => lock.withLock(hold))
      }),
    // The holder has two znodes.
    isSettled: ({ watches }, count) => watches.length === count + 1,
    handover: ["delete", "delete", "getChildren", "get", "create", "getChildren", "get"]
  },
  semaphore: semaphore("kazoo"),
  "semaphore of Curator's": semaphore("curator")
}

describe(`with ${counted} contenders`, () => {
  for (const [name, recipe] of Object.entries(recipes)) {
    it.live(`${name}: a release wakes one waiter`, () =>
      Effect.gen(function*() {
        const contenders: Array<Contender> = []
        for (let index = 0; index < counted; index++) contenders.push(yield* contend(recipe, index))
        const before = (yield* asked).length
        for (const [index, { fiber, release }] of contenders.slice(0, released).entries()) {
          yield* release
          yield* Fiber.join(fiber)
          yield* eventually(asked, ({ length }) => length >= before + (index + 1) * recipe.handover.length)
        }
        const all = (yield* asked).slice(before)
        assert.deepStrictEqual(
          all.map(({ operation }) => operation),
          Array.from({ length: released }, () => recipe.handover).flat()
        )
        yield* Effect.forEach(contenders, ({ fiber }) => Fiber.interrupt(fiber), { concurrency: "unbounded" })
      }).pipe(Effect.scoped, Effect.provide(ZooKeeperTest.layerEnsemble())), 60_000)
  }

  it.live("readers behind a writer: all are woken by it, and none by another reader", () =>
    Effect.gen(function*() {
      const lock = ReadWriteLock.make("/r")
      const using = (side: "read" | "write"): Recipe => ({
        use: (hold) => Effect.flatMap(lock, ({ [side]: { withLock } }) => withLock(hold)),
        handover: []
      })
      const writer = yield* contend(using("write"))
      const readers: Array<Contender> = []
      for (let index = 1; index < counted; index++) readers.push(yield* contend(using("read"), index))
      const last = yield* contend(using("write"), counted)
      // Its own watch, and that of each reader; the writer behind them watches the last of them.
      const set = watched(yield* asked)
      assert.strictEqual(new Set(set.slice(0, counted)).size, 1)
      assert.strictEqual(set.length, counted + 1)

      const before = (yield* asked).length
      yield* writer.release
      // Each lists, and watches its own grant.
      yield* eventually(asked, ({ length }) => length >= before + 1 + 2 * readers.length)
      const woken = (yield* asked).slice(before)
      assert.strictEqual(woken.length, 1 + 2 * readers.length)
      assert.strictEqual(new Set(watched(woken)).size, readers.length)

      // All but the last of them: nobody is told. The last one: the writer is.
      for (const { fiber, release } of readers.slice(0, -1)) yield* Effect.andThen(release, Fiber.join(fiber))
      const left = before + woken.length + readers.length - 1
      assert.strictEqual((yield* asked).length, left)
      for (const { fiber, release } of readers.slice(-1)) yield* Effect.andThen(release, Fiber.join(fiber))
      yield* eventually(asked, ({ length }) => length >= left + 3)
      assert.deepStrictEqual((yield* asked).slice(left).map(({ operation }) => operation), ["delete", "getChildren", "get"])
      yield* last.release
      yield* Fiber.join(last.fiber)
    }).pipe(Effect.scoped, Effect.provide(ZooKeeperTest.layerEnsemble())), 60_000)
})

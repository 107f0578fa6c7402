/** Mixed fleets: our recipes and python3-kazoo's on one path. */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Election from "../../src/recipe/Election.ts"
import * as Lock from "../../src/recipe/Lock.ts"
import * as ReadWriteLock from "../../src/recipe/ReadWriteLock.ts"
import * as Semaphore from "../../src/recipe/Semaphore.ts"
import { type Service, ZooKeeper } from "../../src/ZooKeeper.ts"
import * as Clients from "../support/Clients.ts"
import * as KazooPeer from "../support/KazooPeer.ts"

const text = (data: Uint8Array): string => new TextDecoder().decode(data)

const test = <E>(
  title: string,
  body: (world: {
    readonly zk: Service
    readonly kazoo: KazooPeer.KazooPeer
    readonly root: string
  }) => Effect.Effect<void, E, Scope.Scope | ZooKeeper>
) =>
  it.live(title, () =>
    Effect.gen(function*() {
      const zk = yield* Clients.connect({ sessionTimeout: "10 seconds" })
      const root = yield* Clients.root(zk)
      const kazoo = yield* KazooPeer.make(Clients.sharedHost)
      yield* Effect.provideService(body({ zk, kazoo, root }), ZooKeeper, zk)
    }), 120_000)

/** Looks until it is so. */
const until = <A, E, R>(effect: Effect.Effect<A, E, R>, holds: (a: A) => boolean) =>
  Effect.repeat(effect, { until: holds, schedule: Schedule.spaced("5 millis") })

const why = "problem" in KazooPeer.installed ? `, without kazoo: ${KazooPeer.installed.problem}` : ""

describe.skipIf(!KazooPeer.isInstalled || Clients.shared === undefined)(`together with kazoo${why}`, () => {
  test("one lock, 200 hand-overs: nothing is counted twice or lost", ({ kazoo, root, zk }) =>
    Effect.gen(function*() {
      const path = `${root}/lock`
      const counter = yield* zk.create(`${root}/counter`, "0")
      const theirs = yield* Effect.forkChild(kazoo.run("handOver", { path, counter, times: 100, identifier: "kazoo" }))
      const lock = yield* Lock.make(path, { identifier: "effect" })
      // Read and written without any care: only the lock keeps it right.
      yield* Effect.replicateEffect(
        lock.withLock(Effect.gen(function*() {
          const before = Number(text((yield* zk.get(counter)).data))
          yield* zk.set(counter, String(before + 1))
        })),
        100
      )
      yield* Fiber.join(theirs)
      assert.strictEqual(text((yield* zk.get(counter)).data), "200")
      assert.deepStrictEqual(yield* zk.getChildren(path), [])
    }))

  test("lock: each waits for the other, and both know who contends", ({ kazoo, root }) =>
    Effect.gen(function*() {
      const path = `${root}/lock`
      const lock = yield* Lock.make(path, { identifier: "effect" })
      yield* kazoo.run("lock", { as: "lock", path, identifier: "kazoo" })
      assert.strictEqual(yield* kazoo.run("acquire", { as: "lock" }), true)
      assert.isTrue(Option.isNone(yield* Effect.scoped(lock.tryAcquire)))
      const waiting = yield* Effect.forkChild(lock.withLock(Effect.succeed("in")))
      const all = yield* until(lock.contenders, ({ length }) => length === 2)
      assert.deepStrictEqual(all.map(({ identifier }) => text(identifier)), ["kazoo", "effect"])
      assert.deepStrictEqual(yield* kazoo.run("contenders", { as: "lock" }), ["kazoo", "effect"])
      yield* kazoo.run("release", { as: "lock" })
      assert.strictEqual(yield* Fiber.join(waiting), "in")
      yield* lock.withLock(Effect.gen(function*() {
        assert.strictEqual(yield* kazoo.run("acquire", { as: "lock", blocking: false }), false)
      }))
    }))

  test("read and write locks", ({ kazoo, root }) =>
    Effect.gen(function*() {
      const path = `${root}/lock`
      const lock = yield* ReadWriteLock.make(path)
      yield* kazoo.run("readLock", { as: "read", path })
      yield* kazoo.run("writeLock", { as: "write", path })
      yield* lock.read.withLock(Effect.gen(function*() {
        assert.strictEqual(yield* kazoo.run("acquire", { as: "read" }), true)
        assert.strictEqual(yield* kazoo.run("acquire", { as: "write", blocking: false }), false)
        yield* kazoo.run("release", { as: "read" })
      }))
      yield* lock.write.withLock(Effect.gen(function*() {
        assert.strictEqual(yield* kazoo.run("acquire", { as: "read", blocking: false }), false)
        assert.strictEqual(yield* kazoo.run("acquire", { as: "write", blocking: false }), false)
      }))
      yield* kazoo.run("acquire", { as: "read" })
      assert.isTrue(Option.isSome(yield* Effect.scoped(lock.read.tryAcquire)))
      assert.isTrue(Option.isNone(yield* Effect.scoped(lock.write.tryAcquire)))
      // A writer of ours that waits holds up a later reader of theirs.
      const release = yield* Deferred.make<void>()
      const writer = yield* Effect.forkChild(lock.write.withLock(Deferred.await(release)))
      yield* until(lock.write.contenders, ({ length }) => length === 2)
      yield* kazoo.run("readLock", { as: "late", path })
      assert.strictEqual(yield* kazoo.run("acquire", { as: "late", blocking: false }), false)
      yield* kazoo.run("release", { as: "read" })
      yield* Deferred.succeed(release, undefined)
      yield* Fiber.join(writer)
      yield* kazoo.run("acquire", { as: "write" })
      assert.isTrue(Option.isNone(yield* Effect.scoped(lock.read.tryAcquire)))
      yield* kazoo.run("release", { as: "write" })
    }))

  test("semaphore: three permits between us", ({ kazoo, root, zk }) =>
    Effect.gen(function*() {
      const path = `${root}/semaphore`
      yield* kazoo.run("semaphore", { as: "first", path, permits: 3, identifier: "kazoo" })
      yield* kazoo.run("semaphore", { as: "second", path, permits: 3, identifier: "kazoo" })
      const semaphore = yield* Semaphore.make(path, { permits: 3, identifier: "effect" })
      yield* kazoo.run("acquire", { as: "first" })
      yield* semaphore.withPermits(2)(Effect.gen(function*() {
        assert.deepStrictEqual(yield* kazoo.run("holders", { as: "first" }), ["effect", "effect", "kazoo"])
        assert.strictEqual(yield* kazoo.run("acquire", { as: "second", blocking: false }), false)
      }))
      assert.strictEqual(yield* kazoo.run("acquire", { as: "second" }), true)
      assert.isTrue(Option.isNone(yield* Effect.scoped(semaphore.tryAcquire({ permits: 2 }))))
      const waiting = yield* Effect.forkChild(semaphore.withPermits(3)(Effect.succeed("all")))
      // Kazoo's next one waits for the guard that we have.
      yield* until(Effect.option(zk.getChildren(`${path}-__lock__`)), Option.exists(({ length }) => length === 1))
      yield* kazoo.run("release", { as: "first" })
      yield* kazoo.run("release", { as: "second" })
      assert.strictEqual(yield* Fiber.join(waiting), "all")
      yield* kazoo.run("semaphore", { as: "other", path, permits: 4 })
      const refused = yield* Effect.flip(kazoo.run("acquire", { as: "other" }))
      assert.strictEqual(refused.error, "ValueError")
      const differing = yield* Semaphore.make(path, { permits: 4 })
      assert.strictEqual((yield* Effect.flip(differing.withPermits(1)(Effect.void)))._tag, "PermitsDiffer")
    }))

  test("semaphore of kazoo's own making: its limit is ours", ({ root, zk, kazoo }) =>
    Effect.gen(function*() {
      const path = `${root}/semaphore`
      const ours = yield* Semaphore.make(path, { permits: 2 })
      yield* ours.withPermits(1)(Effect.void)
      yield* kazoo.run("semaphore", { as: "s", path, permits: 2, identifier: "it's é" })
      yield* ours.withPermits(2)(Effect.gen(function*() {
        const waiting = yield* Effect.forkDetach(kazoo.run("acquire", { as: "s" }))
        const [guard = ""] = yield* until(zk.getChildren(`${path}-__lock__`), ({ length }) => length === 1)
        const { data } = yield* until(zk.get(`${path}-__lock__/${guard}`), () => true)
        // Python's repr: what our own guard holds as well.
        assert.strictEqual(text(data), `b"it's \\xc3\\xa9"`)
        return waiting
      })).pipe(Effect.flatMap(Fiber.join))
      yield* kazoo.run("release", { as: "s" })
    }))

  test("election: leaders in the order in which they came", ({ kazoo, root, zk }) =>
    Effect.gen(function*() {
      const path = `${root}/election`
      const record = yield* zk.create(`${root}/record`)
      const release = yield* Deferred.make<void>()
      const election = yield* Election.make(path, { identifier: "effect" })
      const leading = (name: string) => zk.create(`${record}/entry-`, name, { mode: "persistentSequential" })
      const fibers: Array<Fiber.Fiber<unknown, unknown>> = [
        yield* Effect.forkChild(election.lead(Effect.andThen(leading("effect 0"), Deferred.await(release))))
      ]
      yield* until(election.candidates, ({ length }) => length === 1)
      for (let index = 1; index < 9; index++) {
        const candidate: Effect.Effect<unknown, unknown> = index % 2 === 0
          ? election.lead(leading(`effect ${index}`))
          : kazoo.run("lead", { path, record, identifier: `kazoo ${index}` })
        fibers.push(yield* Effect.forkChild(candidate))
        yield* until(election.candidates, ({ length }) => length === index + 1)
      }
      yield* Deferred.succeed(release, undefined)
      for (const fiber of fibers) yield* Fiber.join(fiber)
      const names = (yield* zk.getChildren(record)).toSorted()
      const leaders = yield* Effect.forEach(names, (name) => Effect.map(zk.get(`${record}/${name}`), ({ data }) => text(data)))
      assert.deepStrictEqual(
        leaders,
        Array.from({ length: 9 }, (_, index) => `${index % 2 === 0 ? "effect" : "kazoo"} ${index}`)
      )
    }))

  test("a peer that dies without a word is followed when its session is over", ({ root }) =>
    Effect.gen(function*() {
      const dying = yield* KazooPeer.make(Clients.sharedHost, 2)
      const path = `${root}/lock`
      const lock = yield* Lock.make(path)
      yield* dying.run("lock", { as: "lock", path })
      yield* dying.run("acquire", { as: "lock" })
      yield* dying.kill
      assert.isTrue(Option.isNone(yield* Effect.scoped(lock.tryAcquire)))
      assert.strictEqual(yield* lock.withLock(Effect.succeed("in")), "in")
    }))
})

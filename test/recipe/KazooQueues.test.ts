/** Fleets of this library's clients and Debian's kazoo on one path: queues, counters, barriers, leases, partitions. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { OpCode } from "../../src/jute/OpCode.ts"
import * as Barrier from "../../src/recipe/Barrier.ts"
import * as Counter from "../../src/recipe/Counter.ts"
import * as DoubleBarrier from "../../src/recipe/DoubleBarrier.ts"
import * as Lease from "../../src/recipe/Lease.ts"
import * as LockingQueue from "../../src/recipe/LockingQueue.ts"
import * as Queue from "../../src/recipe/Queue.ts"
import * as SetPartitioner from "../../src/recipe/SetPartitioner.ts"
import { record } from "../../src/testing/Recording.ts"
import { type Service, ZooKeeper } from "../../src/ZooKeeper.ts"
import { connect, proxy as makeProxy, root as makeRoot, shared, sharedHost, text } from "../support/Clients.ts"
import { eventually } from "../support/Faults.ts"
import * as KazooPeer from "../support/KazooPeer.ts"

interface Fleet {
  readonly zk: Service
  readonly kazoo: KazooPeer.KazooPeer
  readonly root: string
}

const test = <E>(title: string, body: (fleet: Fleet) => Effect.Effect<void, E, Scope.Scope | ZooKeeper>) =>
  it.live(title, () =>
    Effect.gen(function*() {
      const zk = yield* connect({ sessionTimeout: "10 seconds" })
      const root = yield* makeRoot(zk)
      const kazoo = yield* KazooPeer.make(sharedHost)
      yield* Effect.provideService(body({ zk, root, kazoo }), ZooKeeper, zk)
    }), 60_000)

const texts = (value: unknown): ReadonlyArray<string> => Schema.decodeUnknownSync(Schema.Array(Schema.String))(value)

const numbers = (count: number): ReadonlyArray<string> => Array.from({ length: count }, (_, index) => String(index))

const byNumber = (a: string, b: string): number => Number(a) - Number(b)

describe.skipIf(shared === undefined || !KazooPeer.isInstalled)("with kazoo", () => {
  test("Queue: priorities both ways, and every item exactly once", ({ kazoo, root }) =>
    Effect.gen(function*() {
      const path = `${root}/queue`
      const queue = yield* Queue.make(path)
      yield* kazoo.run("queue", { as: "queue", path })
      yield* kazoo.run("put", { as: "queue", item: "kazoo's" })
      yield* kazoo.run("put", { as: "queue", item: "kazoo's urgent", priority: 3 })
      yield* queue.offer("ours")
      yield* queue.offer("our urgent", { priority: 4 })
      assert.strictEqual(text(yield* queue.take), "kazoo's urgent")
      assert.deepStrictEqual(texts(yield* kazoo.run("take", { as: "queue", count: 1 })), ["our urgent"])
      assert.strictEqual(text(yield* queue.take), "kazoo's")
      assert.deepStrictEqual(texts(yield* kazoo.run("take", { as: "queue", count: 9 })), ["ours"])

      const all = numbers(200)
      const ours: Array<string> = []
      const kazoos: Array<string> = []
      const offering = yield* Effect.forkChild(Effect.all([
        Effect.forEach(all.slice(0, 100), (item) => queue.offer(item), { concurrency: 4 }),
        Effect.forEach(all.slice(100), (item) => kazoo.run("put", { as: "queue", item }), { concurrency: 4 })
      ], { concurrency: 2 }))
      const taking = yield* Effect.forkChild(Stream.runForEach(queue.stream, (item) =>
        Effect.sync(() => {
          ours.push(text(item))
        })))
      // kazoo gives up where another taker was faster several times, as its retry has no end: a taker at a time.
      while (ours.length + kazoos.length < all.length) {
        kazoos.push(...texts(yield* kazoo.run("take", { as: "queue", count: 5 })))
        yield* Effect.yieldNow
      }
      yield* Fiber.join(offering)
      yield* Fiber.interrupt(taking)
      assert.deepStrictEqual([...ours, ...kazoos].toSorted(byNumber), all)
      assert.strictEqual(yield* queue.size, 0)
    }))

  test("LockingQueue: claims are respected, every item is consumed exactly once", ({ kazoo, root }) =>
    Effect.gen(function*() {
      const path = `${root}/queue`
      const queue = yield* LockingQueue.make(path)
      yield* kazoo.run("lockingQueue", { as: "queue", path })
      yield* kazoo.run("putAll", { as: "queue", items: ["a", "b", "c"] })
      assert.strictEqual(yield* kazoo.run("claim", { as: "queue", patience: 5 }), "a")
      const b = yield* queue.take
      assert.strictEqual(text(b.data), "b")
      const c = yield* queue.take
      assert.strictEqual(text(c.data), "c")
      const next = yield* Effect.forkChild(queue.take, { startImmediately: true })
      assert.isTrue(yield* kazoo.run("unclaim", { as: "queue" }))
      const a = yield* Fiber.join(next)
      assert.strictEqual(text(a.data), "a")
      yield* a.consume()
      yield* c.consume()
      yield* b.release
      assert.strictEqual(yield* kazoo.run("claim", { as: "queue", patience: 5 }), "b")
      assert.isTrue(yield* kazoo.run("consume", { as: "queue" }))
      assert.strictEqual(yield* queue.size, 0)

      const all = numbers(120)
      yield* queue.offerAll(all)
      const ours: Array<string> = []
      const working = yield* Effect.forkChild(Effect.forever(queue.process(({ data }) =>
        Effect.sync(() => {
          ours.push(text(data))
        }))))
      const kazoos = texts(yield* kazoo.run("work", { as: "queue", patience: 0.3 }))
      yield* eventually(Effect.map(queue.size, (size) => size === 0))
      yield* Fiber.interrupt(working)
      assert.deepStrictEqual([...ours, ...kazoos].toSorted(byNumber), all)
      assert.isAbove(ours.length, 0)
      assert.isAbove(kazoos.length, 0)
    }))

  test("LockingQueue: what a kazoo consumer held when it died is taken over", ({ kazoo, root }) =>
    Effect.gen(function*() {
      const path = `${root}/queue`
      const queue = yield* LockingQueue.make(path)
      const mortal = yield* KazooPeer.make(sharedHost, 1)
      yield* mortal.run("lockingQueue", { as: "queue", path })
      yield* queue.offer("a")
      assert.strictEqual(yield* mortal.run("claim", { as: "queue", patience: 5 }), "a")
      const next = yield* Effect.forkChild(queue.take, { startImmediately: true })
      yield* mortal.kill
      assert.strictEqual(text((yield* Fiber.join(next)).data), "a")
      yield* kazoo.run("session")
    }))

  test("Counter: totals, whole and with a fraction and binary", ({ kazoo, root, zk }) =>
    Effect.gen(function*() {
      const integer = yield* Counter.make(`${root}/integer`)
      yield* Effect.all([
        Effect.forEach(numbers(50), () => integer.add(3n)),
        kazoo.run("count", { path: integer.path, by: 2, times: 50 })
      ], { concurrency: 2 })
      assert.strictEqual(yield* integer.value, 250n)
      yield* integer.set(2n ** 70n)
      yield* kazoo.run("count", { path: integer.path, by: 1, times: 1 })
      assert.strictEqual(yield* integer.value, 2n ** 70n + 1n)

      const float = yield* Counter.make(`${root}/float`, { encoding: Counter.float, initial: 0.5 })
      yield* Effect.all([
        Effect.forEach(numbers(20), () => float.add(0.5)),
        kazoo.run("count", { path: float.path, default: 0.5, by: 0.25, times: 20 })
      ], { concurrency: 2 })
      assert.strictEqual(yield* float.value, 15.5)
      const values = [1e16, 1e-5, 123456.789, 0.1 + 0.2, 1e22, 5e-324, 4.35]
      for (const value of values) {
        yield* float.set(value)
        const written = text((yield* zk.get(float.path)).data)
        assert.strictEqual(yield* kazoo.run("repr", { path: float.path }), written)
      }

      const int = yield* Counter.make(`${root}/int`, { encoding: Counter.int32 })
      yield* Effect.all([
        Effect.forEach(numbers(20), () => int.add(-3)),
        kazoo.run("count", { path: int.path, by: 2, times: 20, curator: true })
      ], { concurrency: 2 })
      assert.strictEqual(yield* int.value, -20)
    }))

  test("Barrier: each waits for the other's", ({ kazoo, root }) =>
    Effect.gen(function*() {
      const barrier = yield* Barrier.make(`${root}/barrier`)
      yield* barrier.create
      yield* kazoo.run("barrier", { as: "barrier", path: barrier.path })
      const waiting = yield* Effect.forkChild(kazoo.run("wait", { as: "barrier", patience: 20 }), {
        startImmediately: true
      })
      assert.isFalse(yield* kazoo.run("wait", { as: "barrier", patience: 0.05 }))
      yield* barrier.remove
      assert.isTrue(yield* Fiber.join(waiting))
    }))

  // Who comes when is settled here: kazoo's members miss what happens between two of their own steps, and then
  // wait for ever, among themselves too.
  for (const first of ["kazoo", "ours"] as const) {
    test(`DoubleBarrier: three members, ${first === "kazoo" ? "kazoo's comes first" : "kazoo's comes last"}`, ({
      root,
      zk
    }) =>
      Effect.gen(function*() {
        const proxy = yield* makeProxy
        const kazoo = yield* KazooPeer.make(proxy.hosts)
        for (let round = 0; round < 5; round++) {
          const path = `${root}/barrier-${round}`
          const log: Array<string> = []
          const ours = Effect.gen(function*() {
            const barrier = yield* DoubleBarrier.make(path, { members: 3 })
            log.push("comes")
            yield* barrier.withMembers(Effect.sync(() => log.push("in")))
            log.push("left")
          })
          const kazoos = Effect.gen(function*() {
            yield* kazoo.run("doubleBarrier", { as: path, path, members: 3 })
            log.push("comes")
            yield* kazoo.run("enter", { as: path })
            log.push("in")
            yield* kazoo.run("leave", { as: path })
            log.push("left")
          })
          const waiting = first === "kazoo"
            // It has listed who is there, and waits.
            ? Effect.asVoid(proxy.waitForReply(({ opCode }) => opCode === OpCode.GetChildren, proxy.replies.length))
            : eventually(Effect.map(
              Effect.catchTag(zk.getChildren(path), "NoNode", () => Effect.succeed([])),
              (names) => names.length === 2
            ))
          const [early, late] = first === "kazoo" ? [[kazoos], [ours, ours]] : [[ours, ours], [kazoos]]
          const before = yield* Effect.forEach(early, (each) => Effect.forkChild(each, { startImmediately: true }))
          yield* waiting
          yield* Effect.all(late, { concurrency: 2 })
          yield* Effect.forEach(before, (fiber) => Fiber.join(fiber))
          assert.deepStrictEqual(log.slice(0, 6), ["comes", "comes", "comes", "in", "in", "in"])
          const left = yield* zk.getChildren(path)
          assert.deepStrictEqual(left.filter((name) => name !== "ready"), [])
        }
      }))
  }

  test("Lease: one has it, and each reads the other's record", ({ kazoo, root }) =>
    Effect.gen(function*() {
      const path = `${root}/lease`
      const lease = yield* Lease.make(path, { duration: "1 hour", identifier: "ours é" })
      const kazoos = (identifier: string) => kazoo.run("lease", { path, identifier, seconds: 3600 })
      assert.isTrue(Option.isSome(yield* lease.obtain))
      assert.isFalse(yield* kazoos("kazoo"))
      assert.isTrue(yield* kazoos("ours é"))
      assert.deepStrictEqual((yield* lease.holders).map(({ holder }) => holder), ["ours é"])
      assert.isTrue(yield* lease.release)
      assert.isTrue(yield* kazoos("kazoo ü😀"))
      assert.isTrue(Option.isNone(yield* lease.obtain))
      assert.deepStrictEqual((yield* lease.holders).map(({ holder }) => holder), ["kazoo ü😀"])
    }))

  test("SetPartitioner: two of ours and one of kazoo's divide a set", ({ kazoo, root }) =>
    Effect.gen(function*() {
      const path = `${root}/work`
      const items = ["1", "2", "3", "4", "5"]
      const member = (identifier: string) =>
        Effect.flatMap(SetPartitioner.make(path, { items, identifier, settleTime: "300 millis" }), ({ partition }) =>
          record(partition))
      const a = yield* member("a")
      yield* a.upTo((mine) => mine.join("") === "12345")
      yield* kazoo.run("partitioner", { as: "b", path, items, identifier: "b", settle: 0.3 })
      const [, b] = yield* Effect.all([
        a.upTo((mine) => mine.join("") === "135"),
        kazoo.run("partition", { as: "b", count: 2 })
      ], { concurrency: 2 })
      assert.deepStrictEqual(texts(b), ["2", "4"])
      const c = yield* member("c")
      const [, again] = yield* Effect.all([
        a.upTo((mine) => mine.join("") === "14"),
        // Its share is as large as before: it has to be asked until it is another.
        Effect.repeat(kazoo.run("partition", { as: "b", count: 2 }), { until: (mine) => texts(mine).join("") === "25" }),
        c.upTo((mine) => mine.join("") === "3")
      ], { concurrency: 3 })
      assert.deepStrictEqual(texts(again), ["2", "5"])
      yield* kazoo.run("finish", { as: "b" })
      yield* Effect.all([
        a.upTo((mine) => mine.join("") === "135"),
        c.upTo((mine) => mine.join("") === "24")
      ], { concurrency: 2 })
    }))
})

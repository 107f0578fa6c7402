/** What queues without claims do, in kazoo's and Curator's layouts, against any server. */
import { assert, layer as shared } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as DistributedQueue from "../../src/recipe/DistributedQueue.ts"
import * as Queue from "../../src/recipe/Queue.ts"
import { ZooKeeper } from "../../src/ZooKeeper.ts"
import type { Connect } from "../../src/testing/Connect.ts"
import { bytes, here, inRealTime, other, text } from "./recipes.ts"

const hex = (data: Uint8Array): string => Buffer.from(data).toString("hex")

/** Under the clock of the machine: the client shares the test's clock, and moving that would end its session. */
const live = TestClock.withLive

const isLedger = (name: string) => name.includes("-__ledger__-")

const problem = (data: Uint8Array) =>
  Result.match(DistributedQueue.decodeItems(data), { onFailure: () => "refused", onSuccess: () => "fine" })

export const queue = (title: string, connect: Connect): void => {
  shared(inRealTime(connect()), { timeout: "30 seconds" })(title, (it) => {
    it.effect("kazoo's names and data, priorities first, then arrival", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const path = `${root}/deep/queue`
        const queue = yield* Queue.make(path)
        assert.deepStrictEqual(yield* queue.poll, Option.none())
        yield* queue.offer("usual")
        yield* queue.offer(bytes("urgent"), { priority: 5 })
        yield* queue.offerAll(["one", "two"], { priority: 999 })
        yield* queue.offer("first", { priority: 0 })
        assert.deepStrictEqual((yield* zk.getChildren(path)).toSorted(), [
          "entry-000-0000000004",
          "entry-005-0000000001",
          "entry-100-0000000000",
          "entry-999-0000000002",
          "entry-999-0000000003"
        ])
        assert.strictEqual(text((yield* zk.get(`${path}/entry-005-0000000001`)).data), "urgent")
        assert.strictEqual((yield* zk.get(`${path}/entry-005-0000000001`)).stat.ephemeralOwner, 0n)
        assert.strictEqual(yield* queue.size, 5)
        const all = yield* Stream.runCollect(Stream.take(queue.stream, 5))
        assert.deepStrictEqual(Array.from(all, text), ["first", "urgent", "usual", "one", "two"])
        assert.strictEqual(yield* queue.size, 0)
      }))

    it.effect("Curator's SimpleDistributedQueue, with foreign children left alone", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const path = `${root}/queue`
        const queue = yield* Queue.make(path, { layout: "curator" })
        yield* queue.offerAll(["a", new Uint8Array(0)])
        yield* zk.create(`${path}/another`)
        assert.deepStrictEqual((yield* zk.getChildren(path)).toSorted(), [
          "another",
          "qn-0000000000",
          "qn-0000000001"
        ])
        assert.strictEqual(text(yield* queue.take), "a")
        assert.strictEqual((yield* queue.take).length, 0)
        assert.deepStrictEqual(yield* queue.poll, Option.none())
        assert.strictEqual((yield* Effect.flip(queue.offer("b", { priority: 1 })))._tag, "BadArguments")
      }))

    it.effect("kazoo's queue takes every child for an item", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const queue = yield* Queue.make(root)
        yield* zk.create(`${root}/zzz`, "foreign")
        assert.strictEqual(text(yield* queue.take), "foreign")
      }))

    it.effect("take waits, and one item wakes one taker", () =>
      Effect.gen(function*() {
        const { root } = yield* here
        const queue = yield* Queue.make(`${root}/queue`)
        const takers = yield* Effect.forEach([1, 2, 3], () =>
          Effect.forkChild(queue.take, { startImmediately: true }))
        yield* queue.offer("x")
        const first = yield* Effect.raceAllFirst(takers.map((taker) => Fiber.join(taker)))
        assert.strictEqual(text(first), "x")
        yield* queue.offerAll(["y", "z"])
        const all = yield* Effect.forEach(takers, (taker) => Fiber.join(taker))
        assert.deepStrictEqual(all.map(text).toSorted(), ["x", "y", "z"])
      }))

    it.effect("an interrupted take takes nothing", () =>
      Effect.gen(function*() {
        const { root } = yield* here
        const queue = yield* Queue.make(`${root}/queue`)
        const taker = yield* Effect.forkChild(queue.take, { startImmediately: true })
        assert.deepStrictEqual(yield* queue.poll, Option.none())
        yield* Fiber.interrupt(taker)
        yield* queue.offer("x")
        assert.strictEqual(yield* queue.size, 1)
        assert.strictEqual(text(yield* queue.take), "x")
      }))

    it.effect("every item goes to exactly one of many takers", () =>
      Effect.gen(function*() {
        const { root } = yield* here
        const path = `${root}/queue`
        const clients = [yield* ZooKeeper, yield* other(connect()), yield* other(connect())]
        const queues = yield* Effect.forEach(clients, (zk) => Effect.provideService(Queue.make(path), ZooKeeper, zk))
        const count = 120
        const offering = yield* Effect.forkChild(
          Effect.forEach(
            Array.from({ length: count }, (_, index) => index),
            (index) => queues[index % 3]?.offer(String(index)) ?? Effect.void,
            { concurrency: 8 }
          )
        )
        const taken: Array<string> = []
        const takers = yield* Effect.forEach([0, 1, 2, 0, 1, 2], (which) =>
          Effect.forkChild(Stream.runForEach(queues[which]?.stream ?? Stream.empty, (item) =>
            Effect.sync(() => {
              taken.push(text(item))
            }))))
        yield* Fiber.join(offering)
        const [queue] = queues
        if (queue === undefined) return
        while (taken.length < count) yield* Effect.yieldNow
        yield* Fiber.interruptAll(takers)
        assert.deepStrictEqual(
          taken.map(Number).toSorted((a, b) => a - b),
          Array.from({ length: count }, (_, index) => index)
        )
        assert.strictEqual(yield* queue.size, 0)
      }))

    it.effect("leaves nothing but the items", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        yield* Effect.scoped(Effect.gen(function*() {
          const queue = yield* Queue.make(`${root}/queue`)
          yield* Effect.forEach(["a", "b", "c"], (item) => queue.offer(item), { concurrency: 3 })
          assert.isAbove((yield* zk.getChildren(root)).filter(isLedger).length, 0)
          yield* queue.take
        }))
        assert.deepStrictEqual(yield* zk.getChildren(root), ["queue"])
        assert.strictEqual((yield* zk.getChildren(`${root}/queue`)).length, 2)
      }))

    it.effect("a queue that is deleted is made again", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const queue = yield* Queue.make(`${root}/queue`)
        yield* queue.offer("a")
        yield* zk.deleteRecursive(queue.path)
        assert.strictEqual(yield* queue.size, 0)
        yield* queue.offer("b")
        assert.strictEqual(text(yield* queue.take), "b")
        const taker = yield* Effect.forkChild(queue.take, { startImmediately: true })
        yield* zk.sync("/")
        yield* zk.delete(queue.path)
        yield* queue.offer("c")
        assert.strictEqual(text(yield* Fiber.join(taker)), "c")
      }))

    it.effect("malformed arguments are refused", () =>
      Effect.gen(function*() {
        const { root } = yield* here
        assert.strictEqual((yield* Effect.flip(Queue.make("queue"))).argument, "path")
        assert.strictEqual((yield* Effect.flip(Queue.make("/"))).argument, "path")
        const queue = yield* Queue.make(root)
        for (const priority of [-1, 1000, 0.5, Number.NaN]) {
          assert.strictEqual((yield* Effect.flip(queue.offer("a", { priority })))._tag, "BadArguments")
        }
        const tooLarge = yield* Effect.flip(queue.offerAll([new Uint8Array(600_000), new Uint8Array(600_000)]))
        assert.isTrue(tooLarge._tag === "ConnectionError" && tooLarge.reason._tag === "TooLarge")
        yield* queue.offerAll([])
        assert.strictEqual(yield* queue.size, 0)
      }))

    it.effect("numbers that have wrapped are refused", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const queue = yield* Queue.make(root)
        yield* zk.create(`${root}/entry-100--2147483648`)
        assert.strictEqual((yield* Effect.flip(queue.poll))._tag, "SequenceExhausted")
        assert.strictEqual((yield* Effect.flip(queue.take))._tag, "SequenceExhausted")
      }))

    it.effect("Curator's DistributedQueue", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const path = `${root}/queue`
        const queue = yield* DistributedQueue.make(path)
        yield* queue.offer(["hello"])
        yield* queue.offer(["a", "", "ccc"])
        assert.deepStrictEqual((yield* zk.getChildren(path)).toSorted(), ["queue-0000000000", "queue-0000000001"])
        const { data } = yield* zk.get(`${path}/queue-0000000000`)
        assert.strictEqual(hex(data), "00010001010000000568656c6c6f02")
        yield* zk.create(`${path}/another`)
        assert.deepStrictEqual((yield* queue.take).map(text), ["hello"])
        assert.deepStrictEqual((yield* queue.take).map(text), ["a", "", "ccc"])
        assert.deepStrictEqual(yield* queue.poll, Option.none())
        yield* zk.create(`${path}/queue-`, "nonsense", { mode: "persistentSequential" })
        const malformed = yield* Effect.flip(queue.take)
        assert.strictEqual(malformed._tag, "MalformedItem")
        if (malformed._tag === "MalformedItem") assert.strictEqual(text(malformed.data), "nonsense")
        assert.deepStrictEqual(yield* queue.poll, Option.none())
      }))

    it.effect("Curator's DistributedPriorityQueue", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const path = `${root}/queue`
        const queue = yield* DistributedQueue.make(path, { order: "priority" })
        yield* queue.offer(["5"], { priority: 5 })
        yield* queue.offer(["-5"], { priority: -5 })
        yield* queue.offer(["0"])
        yield* queue.offer(["-6"], { priority: -6 })
        assert.deepStrictEqual((yield* zk.getChildren(path)).toSorted(), [
          "queue-0FFFFFFFA0000000003",
          "queue-0FFFFFFFB0000000001",
          "queue-1000000000000000002",
          "queue-1000000050000000000"
        ])
        const all = yield* Stream.runCollect(Stream.take(queue.stream, 4))
        assert.deepStrictEqual(Array.from(all, ([item]) => item && text(item)), ["-6", "-5", "0", "5"])
        assert.strictEqual((yield* Effect.flip(queue.offer(["x"], { priority: 2 ** 31 })))._tag, "BadArguments")
        assert.strictEqual((yield* Effect.flip(queue.offer(["x"], { delay: 1 })))._tag, "BadArguments")
      }))

    it.effect("Curator's DistributedDelayQueue, by the clock", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const path = `${root}/queue`
        const queue = yield* DistributedQueue.make(path, { order: "delay" })
        yield* queue.offer(["at"], { until: 0x1a2064ca089 })
        assert.deepStrictEqual(yield* zk.getChildren(path), ["queue-|1A2064CA089|0000000000"])
        yield* zk.delete(`${path}/queue-|1A2064CA089|0000000000`)
        const due = 250 + (yield* live(Clock.currentTimeMillis))
        yield* live(queue.offer(["late"], { delay: "1 hour" }))
        yield* queue.offer(["soon"], { until: due })
        yield* queue.offer(["soon as well"], { until: due })
        yield* live(queue.offer(["now"]))
        // As Curator requeues what its consumer failed on.
        yield* zk.create(`${path}/queue-`, DistributedQueue.encodeItems(["again"]), { mode: "persistentSequential" })
        const taken = [...yield* live(queue.take), ...yield* live(queue.take)].map(text)
        assert.deepStrictEqual(taken, ["again", "now"])
        assert.deepStrictEqual((yield* live(queue.take)).map(text), ["soon"])
        assert.isAtLeast(yield* live(Clock.currentTimeMillis), due)
        assert.deepStrictEqual((yield* live(queue.take)).map(text), ["soon as well"])
        assert.deepStrictEqual(yield* live(queue.poll), Option.none())
        assert.strictEqual(yield* queue.size, 1)
      }))

    it.effect("entries that a Curator consumer has claimed are left to it", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const queue = yield* DistributedQueue.make(`${root}/queue`, { lockPath: `${root}/locks` })
        yield* queue.offer(["a"])
        yield* queue.offer(["b"])
        yield* zk.create(`${root}/locks/queue-0000000000`, "", { mode: "ephemeral", makeParents: true })
        assert.deepStrictEqual((yield* queue.take).map(text), ["b"])
        const taker = yield* Effect.forkChild(queue.take, { startImmediately: true })
        assert.deepStrictEqual(yield* queue.poll, Option.none())
        yield* zk.delete(`${root}/locks/queue-0000000000`)
        assert.deepStrictEqual((yield* Fiber.join(taker)).map(text), ["a"])
        assert.deepStrictEqual(yield* zk.getChildren(`${root}/locks`), [])
      }))

    it.effect("an item whose consumer fails keeps its place and its priority", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const path = `${root}/queue`
        const queue = yield* Queue.make(path)
        yield* queue.offer("later")
        yield* queue.offer("poison", { priority: 7 })
        const names = yield* zk.getChildren(path)
        for (const consumer of [Effect.fail("no"), Effect.die("no"), Effect.interrupt]) {
          const exit = yield* Effect.exit(queue.process((item) => {
            assert.strictEqual(text(item), "poison")
            return consumer
          }))
          assert.deepStrictEqual(exit, yield* Effect.exit(consumer))
          assert.sameMembers([...yield* zk.getChildren(path)], [...names])
        }
        // A pause between the tries is the caller's, and so is the end of them.
        let tries = 0
        const handled = yield* queue.process((item) => ++tries < 4 ? Effect.fail("no") : Effect.succeed(text(item))).pipe(
          Effect.retry({ times: 5 })
        )
        assert.deepStrictEqual([handled, tries], ["poison", 4])
        assert.strictEqual(text(yield* queue.take), "later")
      }))

    it.effect("an interrupted consumer's item is put back in the background", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const queue = yield* Queue.make(`${root}/queue`)
        yield* queue.offer("x", { priority: 3 })
        const begun = yield* Deferred.make<void>()
        const working = yield* Effect.forkChild(
          queue.process(() => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never))
        )
        yield* Deferred.await(begun)
        assert.strictEqual(yield* queue.size, 0)
        const back = yield* Effect.forkChild(queue.process((item) => Effect.succeed(text(item))))
        yield* Fiber.interrupt(working)
        assert.strictEqual(yield* Fiber.join(back), "x")
        assert.deepStrictEqual(yield* zk.getChildren(queue.path), [])
      }))

    it.effect("an item that cannot be put back is in the error", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const queue = yield* Queue.make(root)
        yield* queue.offer("x")
        const error = yield* Effect.flip(queue.process(() =>
          Effect.andThen(
            // Something in its place that is not it.
            Effect.orDie(zk.create(`${root}/entry-100-0000000000`, "another")),
            Effect.fail({ _tag: "No" } as const)
          )
        ))
        assert.isTrue(
          error._tag === "ItemNotPutBack" && text(error.data) === "x" && error.path === `${root}/entry-100-0000000000`
        )
      }))

    it.effect("an entry of Curator's whose consumer fails keeps its priority; a malformed one is not put back", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const path = `${root}/queue`
        const queue = yield* DistributedQueue.make(path, { order: "priority" })
        yield* queue.offer(["later"], { priority: 1 })
        yield* queue.offer(["poison", "more"], { priority: -5 })
        const names = yield* zk.getChildren(path)
        assert.strictEqual(yield* Effect.flip(queue.process(() => Effect.fail("no" as const))), "no")
        assert.sameMembers([...yield* zk.getChildren(path)], [...names])
        assert.deepStrictEqual(yield* queue.process((all) => Effect.succeed(all.map(text))), ["poison", "more"])
        yield* zk.create(`${path}/queue-0FFFFFFFB0000000009`, "nonsense")
        assert.strictEqual((yield* Effect.flip(queue.process(Effect.succeed)))._tag, "MalformedItem")
        assert.deepStrictEqual((yield* queue.take).map(text), ["later"])
        assert.deepStrictEqual(yield* zk.getChildren(path), [])
      }))

    it.effect("Curator's encoding of items", () =>
      Effect.sync(() => {
        const encoded = DistributedQueue.encodeItems(["a", "bc"])
        assert.strictEqual(problem(encoded), "fine")
        assert.strictEqual(problem(DistributedQueue.encodeItems([])), "fine")
        for (let length = 0; length < encoded.length; length++) {
          assert.strictEqual(problem(encoded.slice(0, length)), "refused", String(length))
        }
        for (const damaged of ["0001000202", "0001000103", "0001000101ffffffff02", "00010001017fffffff02"]) {
          assert.strictEqual(problem(Buffer.from(damaged, "hex")), "refused", damaged)
        }
      }))
  })
}

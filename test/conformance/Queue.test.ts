import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { OpCode } from "../../src/jute/OpCode.ts"
import * as DistributedQueue from "../../src/recipe/DistributedQueue.ts"
import * as Queue from "../../src/recipe/Queue.ts"
import { ZooKeeper } from "../../src/ZooKeeper.ts"
import { connect } from "../support/Clients.ts"
import {
  atEveryRequest,
  brief,
  cutAt,
  eventually,
  expire,
  faults,
  interruptedAtEveryRequest,
  loseReply,
  lostWithSession,
  type World
} from "../support/Faults.ts"
import { text } from "./recipes.ts"
import { queue } from "./queue.ts"
import { onEveryServer } from "./servers.ts"

onEveryServer(queue)

const isMulti = ({ opCode }: { readonly opCode: number }) => opCode === OpCode.Multi

const queueOf = (zk: World["zk"], path: string, options?: Queue.Options) =>
  Effect.provideService(Queue.make(path, options), ZooKeeper, zk)

faults("queues: faults", (test) => {
  for (const layout of ["kazoo", "curator"] as const) {
    test(`${layout}: an offer whose reply was lost makes one item`, ({ proxy, root, zk }) =>
      Effect.gen(function*() {
        const queue = yield* queueOf(zk, `${root}/queue`, { layout })
        const fault = loseReply(proxy, isMulti)
        yield* queue.offerAll(["a", "b"])
        assert.strictEqual(fault.lost(), 1)
        assert.strictEqual(yield* queue.size, 2)
      }))

    test(`${layout}: a take whose reply was lost has the item`, ({ proxy, root, witness, zk }) =>
      Effect.gen(function*() {
        const queue = yield* queueOf(zk, `${root}/queue`, { layout })
        yield* Effect.flatMap(queueOf(witness, `${root}/queue`, { layout }), (queue) => queue.offerAll(["a", "b"]))
        const fault = loseReply(proxy, isMulti)
        assert.strictEqual(text(yield* queue.take), "a")
        assert.strictEqual(fault.lost(), 1)
        assert.strictEqual(yield* queue.size, 1)
      }))
  }

  test("Curator's DistributedQueue: a put whose reply was lost makes one entry", ({ proxy, root, zk }) =>
    Effect.gen(function*() {
      const queue = yield* Effect.provideService(DistributedQueue.make(`${root}/queue`), ZooKeeper, zk)
      const fault = loseReply(proxy, isMulti)
      yield* queue.offer(["a"])
      assert.strictEqual(fault.lost(), 1)
      assert.strictEqual(yield* queue.size, 1)
      const second = loseReply(proxy, isMulti)
      assert.deepStrictEqual((yield* queue.take).map(text), ["a"])
      assert.strictEqual(second.lost(), 1)
    }))

  test("a reply lost at any request: every item once", ({ proxy, root, zk }) =>
    Effect.gen(function*() {
      const requests = yield* atEveryRequest((index) =>
        Effect.scoped(Effect.gen(function*() {
          const queue = yield* queueOf(zk, `${root}/queue-${index}`)
          const taker = yield* Effect.forkChild(queue.take, { startImmediately: true })
          yield* queue.offer("a")
          assert.strictEqual(text(yield* Fiber.join(taker)), "a")
          yield* queue.offerAll(["b", "c"])
          const rest = yield* Stream.runCollect(Stream.take(queue.stream, 2))
          assert.deepStrictEqual(Array.from(rest, text), ["b", "c"])
          assert.strictEqual(yield* queue.size, 0)
        })), cutAt(proxy))
      assert.isAbove(requests, 12)
    }))

  test("a take interrupted at any request, with and without its reply, leaves the item where it was", ({
    proxy,
    root,
    witness,
    zk
  }) =>
    Effect.gen(function*() {
      const requests = yield* interruptedAtEveryRequest(proxy, (name, interrupted) =>
        Effect.gen(function*() {
          const path = `${root}/queue-${name}`
          yield* Effect.scoped(Effect.gen(function*() {
            const queue = yield* queueOf(witness, path)
            yield* queue.offer("first")
            yield* queue.offer("second")
          }))
          let taken: Uint8Array | undefined
          yield* interrupted(
            Effect.scoped(Effect.flatMap(queueOf(zk, path), (queue) =>
              Effect.map(queue.take, (item) => {
                taken = item
              })))
          )
          yield* eventually(Effect.map(witness.getChildren(root), (names) =>
            names.every((name) => !name.includes("ledger"))))
          const expected = [...taken === undefined ? ["entry-100-0000000000"] : [], "entry-100-0000000001"]
          yield* eventually(Effect.map(witness.getChildren(path), (names) =>
            names.toSorted().join() === expected.join()))
          if (taken === undefined) {
            assert.strictEqual(text((yield* witness.get(`${path}/entry-100-0000000000`)).data), "first")
          }
        }))
      assert.isAbove(requests, 3)
    }))

  test("takers go on in a new session", (there) =>
    Effect.gen(function*() {
      const { root, witness, zk } = there
      const queue = yield* queueOf(zk, `${root}/queue`)
      const takers = yield* Effect.forEach([1, 2], () => Effect.forkChild(queue.take, { startImmediately: true }))
      assert.strictEqual(yield* queue.size, 0)
      yield* expire(there)
      yield* Effect.flatMap(queueOf(witness, `${root}/queue`), (queue) => queue.offerAll(["a", "b"]))
      const items = yield* Effect.forEach(takers, (taker) => Fiber.join(taker))
      assert.deepStrictEqual(items.map(text).toSorted(), ["a", "b"])
    }), brief)

  test("a take that lost its reply and its session names the item", (there) =>
    Effect.gen(function*() {
      const { root, zk } = there
      const queue = yield* queueOf(zk, `${root}/queue`)
      yield* queue.offer("a")
      const error = yield* lostWithSession(there, "reply", Effect.flip(queue.take))
      assert.strictEqual(error._tag, "ItemInDoubt")
      if (error._tag === "ItemInDoubt") {
        assert.strictEqual(text(error.data), "a")
        assert.strictEqual(error.path, `${root}/queue/entry-100-0000000000`)
      }
    }), brief)

  test("an offer that lost its reply and its session says so", (there) =>
    Effect.gen(function*() {
      const { root, zk } = there
      const queue = yield* queueOf(zk, `${root}/queue`)
      const error = yield* lostWithSession(there, "reply", Effect.flip(queue.offer("a")))
      assert.isTrue(error._tag === "ConnectionError" && error.outcome === "Unknown")
      assert.strictEqual(yield* queue.size, 1)
    }), brief)

  test("takers end when the client does", ({ proxy, root }) =>
    Effect.gen(function*() {
      const taker = yield* Effect.scoped(Effect.gen(function*() {
        const zk = yield* connect({ hosts: proxy.hosts })
        const queue = yield* queueOf(zk, `${root}/queue`)
        const taker = yield* Effect.forkDetach(Effect.flip(queue.take), { startImmediately: true })
        assert.deepStrictEqual(yield* queue.poll, Option.none())
        return taker
      }))
      const error = yield* Fiber.join(taker)
      assert.isTrue(error._tag === "ConnectionError" && error.reason._tag === "Closed")
    }))

  test("100 takers, one offer: one of them is woken", ({ proxy, root, witness, zk }) =>
    Effect.gen(function*() {
      const queue = yield* queueOf(zk, `${root}/queue`)
      const takers = yield* Effect.forEach(Array.from({ length: 100 }), () =>
        Effect.forkChild(queue.take, { startImmediately: true }))
      assert.deepStrictEqual(yield* queue.poll, Option.none())
      const before = proxy.requests.length
      yield* Effect.flatMap(queueOf(witness, `${root}/queue`), (queue) => queue.offer("a"))
      yield* Effect.raceAllFirst(takers.map((taker) => Fiber.join(taker)))
      yield* zk.sync("/")
      // Look, read, remove, the next taker's look; a page; and what the watch costs.
      assert.isBelow(proxy.requests.length - before, 12)
      yield* Fiber.interruptAll(takers)
    }))

  test("every item exactly once, through cuts and takers that are killed", ({ proxy, root, witness, zk }) =>
    Effect.gen(function*() {
      const path = `${root}/queue`
      const offering = yield* queueOf(witness, path)
      const taking = yield* queueOf(zk, path)
      const count = 150
      const taken: Array<number> = []
      const one = Effect.map(taking.take, (item) => {
        taken.push(Number(text(item)))
      })
      const cutting = yield* Effect.forkChild(Effect.forever(Effect.andThen(
        Effect.sleep(35),
        Effect.sync(() => proxy.cut())
      )))
      // Killed in the middle of whatever they do, and begun again.
      const takers = yield* Effect.forEach([3, 7, 11, 13], (millis) =>
        Effect.forkChild(Effect.forever(Effect.timeoutOption(one, millis))))
      yield* Effect.forEach(
        Array.from({ length: count }, (_, index) => index),
        (index) => offering.offer(String(index)),
        { concurrency: 4, discard: true }
      )
      yield* Effect.sleep(500)
      yield* Fiber.interruptAll(takers)
      yield* Fiber.interrupt(cutting)
      const steady = yield* Effect.forkChild(Effect.forever(one))
      yield* eventually(Effect.sync(() => taken.length >= count))
      yield* Fiber.interrupt(steady)
      assert.deepStrictEqual(taken.toSorted((a, b) => a - b), Array.from({ length: count }, (_, index) => index))
      assert.strictEqual(yield* offering.size, 0)
    }))
})

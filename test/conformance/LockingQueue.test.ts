import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as LockingQueue from "../../src/recipe/LockingQueue.ts"
import * as Transaction from "../../src/Transaction.ts"
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
  lostWithSession,
  type World
} from "../support/Faults.ts"
import { lockingQueue } from "./lockingQueue.ts"
import { onEveryServer } from "./servers.ts"
import { text } from "./recipes.ts"

onEveryServer(lockingQueue)

const queueOf = (zk: World["zk"], path: string) => Effect.provideService(LockingQueue.make(path), ZooKeeper, zk)

faults("locking queue: faults", (test) => {
  test("a reply lost at any request", ({ proxy, root, witness, zk }) =>
    Effect.gen(function*() {
      const requests = yield* atEveryRequest((index) =>
        Effect.scoped(Effect.gen(function*() {
          const path = `${root}/queue-${index}`
          const queue = yield* queueOf(zk, path)
          yield* queue.offerAll(["a", "b"])
          const a = yield* queue.take
          assert.deepStrictEqual([text(a.data), a.attempts], ["a", 1])
          assert.strictEqual(a.token, Option.getOrThrow(yield* witness.exists(a.path.replace("entries", "taken"))).czxid)
          yield* a.renew
          yield* a.release
          const again = yield* queue.take
          assert.strictEqual(again.attempts, 2)
          yield* again.consume([Transaction.create(`${root}/result-${index}-`, "", { mode: "persistentSequential" })])
          yield* queue.process(({ data }) => Effect.sync(() => assert.strictEqual(text(data), "b")))
          assert.strictEqual(yield* queue.size, 0)
          const results = (yield* witness.getChildren(root)).filter((name) => name.startsWith(`result-${index}-`))
          assert.strictEqual(results.length, 1)
          assert.deepStrictEqual(yield* witness.getChildren(`${path}/taken`), [])
        })), cutAt(proxy))
      assert.isAbove(requests, 20)
    }))

  test("interrupted at any request, with and without its reply: neither claim nor loss", ({
    proxy,
    root,
    witness,
    zk
  }) =>
    Effect.gen(function*() {
      const requests = yield* interruptedAtEveryRequest(proxy, (name, interrupted) =>
        Effect.gen(function*() {
          const path = `${root}/queue-${name}`
          const queue = yield* queueOf(witness, path)
          yield* queue.offerAll(["a", "b"])
          yield* witness.ensurePath(`${path}/taken`)
          let worked = false
          const reached = yield* interrupted(
            Effect.scoped(Effect.flatMap(queueOf(zk, path), (queue) =>
              queue.process(() =>
                Effect.sync(() => {
                  worked = true
                })
              )))
          )
          const ours = new Set(yield* witness.getChildren(root))
          yield* eventually(Effect.map(witness.getChildren(`${path}/taken`), (names) => names.length === 0))
          yield* eventually(Effect.map(witness.getChildren(root), (names) =>
            names.filter((name) => name.includes("__claim__")).length === 0))
          assert.isAbove(ours.size, 0)
          const size = yield* queue.size
          assert.isTrue(size === 2 || worked && size === 1)
          if (!reached) assert.strictEqual(size, 1)
        }))
      assert.isAbove(requests, 4)
    }))

  test("the session ends: the effect is interrupted, the item goes to the next, consume is refused", (there) =>
    Effect.gen(function*() {
      const { root, witness, zk } = there
      const mine = yield* queueOf(zk, `${root}/queue`)
      const theirs = yield* queueOf(witness, `${root}/queue`)
      yield* mine.offer("a")
      const claim = yield* mine.take
      const lost = yield* Effect.forkChild(Effect.flip(claim.lost), { startImmediately: true })
      const next = yield* Effect.forkChild(theirs.take, { startImmediately: true })
      yield* expire(there)
      assert.strictEqual((yield* Fiber.join(lost))._tag, "ClaimLost")
      assert.strictEqual((yield* Fiber.join(next)).attempts, 2)
      assert.isFalse(yield* claim.holds)
      for (const use of [claim.consume(), claim.renew, claim.release]) {
        assert.strictEqual((yield* Effect.flip(use))._tag, "ClaimLost")
      }
      assert.strictEqual(yield* mine.size, 1)
      assert.isTrue(yield* (yield* Fiber.join(next)).holds)
    }), brief)

  test("a consume that lost its reply and its session is unknown where the item is gone", (there) =>
    Effect.gen(function*() {
      const { root, zk } = there
      const queue = yield* queueOf(zk, `${root}/queue`)
      yield* queue.offer("a")
      const claim = yield* queue.take
      const error = yield* lostWithSession(there, "reply", Effect.flip(claim.consume()))
      assert.isTrue(error._tag === "ConnectionError" && error.outcome === "Unknown")
      assert.strictEqual(yield* queue.size, 0)
    }), brief)

  test("a consume that got lost, and its session with it, is refused: the item is still there", (there) =>
    Effect.gen(function*() {
      const { root, zk } = there
      const queue = yield* queueOf(zk, `${root}/queue`)
      yield* queue.offer("a")
      const claim = yield* queue.take
      const error = yield* lostWithSession(there, "request", Effect.flip(claim.consume()))
      assert.strictEqual(error._tag, "ClaimLost")
      assert.strictEqual(yield* queue.size, 1)
    }), brief)

  test("takers end when the client does, and their claims with it", ({ root, witness }) =>
    Effect.gen(function*() {
      const theirs = yield* queueOf(witness, `${root}/queue`)
      yield* theirs.offer("a")
      const taker = yield* Effect.scoped(Effect.gen(function*() {
        const zk = yield* connect()
        const queue = yield* queueOf(zk, `${root}/queue`)
        yield* queue.take
        const taker = yield* Effect.forkDetach(Effect.flip(Effect.scoped(queue.take)), { startImmediately: true })
        yield* zk.sync("/")
        return taker
      }))
      const error = yield* Fiber.join(taker)
      assert.isTrue(error._tag === "ConnectionError" && error.reason._tag === "Closed")
      assert.strictEqual((yield* theirs.take).attempts, 2)
    }))

  test("100 takers, one item: one of them is woken", ({ proxy, root, witness, zk }) =>
    Effect.gen(function*() {
      const queue = yield* queueOf(zk, `${root}/queue`)
      const scope = yield* Scope.Scope
      const takers = yield* Effect.forEach(Array.from({ length: 100 }), () =>
        Effect.forkChild(Scope.provide(queue.take, scope), { startImmediately: true }))
      assert.deepStrictEqual(yield* queue.poll, Option.none())
      const before = proxy.requests.length
      yield* Effect.flatMap(queueOf(witness, `${root}/queue`), (queue) => queue.offer("a"))
      yield* Effect.raceAllFirst(takers.map((taker) => Fiber.join(taker)))
      yield* zk.sync("/")
      assert.isBelow(proxy.requests.length - before, 20)
      yield* Fiber.interruptAll(takers)
    }))
})

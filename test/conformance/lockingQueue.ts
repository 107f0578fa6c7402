/** What locking queues do, against any server. */
import { assert, layer as shared } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as LockingQueue from "../../src/recipe/LockingQueue.ts"
import * as Transaction from "../../src/Transaction.ts"
import { ZooKeeper } from "../../src/ZooKeeper.ts"
import type { Connect } from "../../src/testing/Connect.ts"
import { here, inRealTime, other, settled, text } from "./recipes.ts"

export const lockingQueue = (title: string, connect: Connect): void => {
  shared(inRealTime(connect()), { timeout: "30 seconds" })(title, (it) => {
    it.effect("kazoo's znodes", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const path = `${root}/deep/queue`
        const queue = yield* LockingQueue.make(path)
        assert.deepStrictEqual(yield* queue.poll, Option.none())
        yield* queue.offer("usual")
        yield* queue.offerAll(["urgent", "too"], { priority: 5 })
        assert.deepStrictEqual((yield* zk.getChildren(path)).toSorted(), ["entries", "taken"])
        assert.deepStrictEqual((yield* zk.getChildren(`${path}/entries`)).toSorted(), [
          "entry-005-0000000001",
          "entry-005-0000000002",
          "entry-100-0000000000"
        ])
        const claim = yield* queue.take
        assert.strictEqual(text(claim.data), "urgent")
        assert.strictEqual(claim.path, `${path}/entries/entry-005-0000000001`)
        assert.strictEqual(claim.attempts, 1)
        assert.deepStrictEqual(yield* zk.getChildren(`${path}/taken`), ["entry-005-0000000001"])
        const taken = yield* zk.get(`${path}/taken/entry-005-0000000001`)
        assert.match(text(taken.data), /^[0-9a-f]{32}$/)
        assert.strictEqual(taken.stat.ephemeralOwner, (yield* zk.session).id)
        assert.strictEqual(claim.token, taken.stat.czxid)
        assert.strictEqual(text((yield* zk.get(claim.path)).data), "urgent")
        assert.strictEqual(yield* queue.size, 3)
        assert.isTrue(yield* claim.holds)
        yield* claim.consume()
        assert.strictEqual(yield* queue.size, 2)
        assert.deepStrictEqual(yield* zk.getChildren(`${path}/taken`), [])
        assert.strictEqual(text((yield* queue.take).data), "too")
        assert.strictEqual(text((yield* queue.take).data), "usual")
        assert.deepStrictEqual(yield* queue.poll, Option.none())
      }))

    it.effect("a claim is over once", () =>
      Effect.gen(function*() {
        const { root } = yield* here
        const queue = yield* LockingQueue.make(`${root}/queue`)
        yield* queue.offerAll(["a", "b"])
        const a = yield* queue.take
        yield* a.consume()
        for (const again of [a.consume(), a.release, a.renew, a.lost]) {
          const error = yield* Effect.flip(again)
          assert.isTrue(error._tag === "ClaimLost" && error.reason === "consumed")
        }
        assert.isFalse(yield* a.holds)
        const b = yield* queue.take
        yield* b.renew
        yield* b.release
        const error = yield* Effect.flip(b.consume())
        assert.isTrue(error._tag === "ClaimLost" && error.reason === "released")
        const again = yield* queue.take
        assert.deepStrictEqual([text(again.data), again.attempts], ["b", 2])
        assert.isTrue(again.token > b.token)
      }))

    it.effect("what is processed may consume the item itself, with operations of its own, or release it", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const queue = yield* LockingQueue.make(`${root}/queue`)
        yield* queue.offer("a")
        assert.strictEqual(yield* queue.process(({ release }) => Effect.as(release, "not now")), "not now")
        assert.strictEqual(yield* queue.size, 1)
        yield* queue.process(({ consume, data }) => consume([Transaction.create(`${root}/result`, data)]))
        assert.strictEqual(yield* queue.size, 0)
        assert.strictEqual(text((yield* zk.get(`${root}/result`)).data), "a")
      }))

    it.effect("a claim is released with its scope, and the next taker is woken", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const queue = yield* LockingQueue.make(`${root}/queue`)
        yield* queue.offer("a")
        const scope = yield* Scope.make()
        yield* Scope.provide(queue.take, scope)
        const next = yield* Effect.forkChild(queue.take, { startImmediately: true })
        yield* settled(zk)
        assert.isUndefined(next.pollUnsafe())
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual((yield* Fiber.join(next)).attempts, 2)
      }))

    it.effect("a claim that somebody deleted is lost, and so is one on a deleted item", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const queue = yield* LockingQueue.make(`${root}/queue`)
        yield* queue.offerAll(["a", "b"])
        const a = yield* queue.take
        yield* zk.delete(a.path.replace("entries", "taken"))
        assert.isFalse(yield* a.holds)
        for (const use of [a.consume(), a.renew, a.release]) {
          assert.strictEqual((yield* Effect.flip(use))._tag, "ClaimLost")
        }
        assert.strictEqual(yield* queue.size, 2)
        const again = yield* queue.take
        assert.strictEqual(again.path, a.path)
        yield* zk.delete(again.path)
        assert.strictEqual((yield* Effect.flip(again.consume()))._tag, "ClaimLost")
      }))

    it.effect("consume writes more, all or nothing", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const queue = yield* LockingQueue.make(`${root}/queue`)
        yield* queue.offer("a")
        const claim = yield* queue.take
        const refused = yield* Effect.flip(claim.consume([
          Transaction.create(`${root}/result`),
          Transaction.check(`${root}/missing`)
        ]))
        assert.isTrue(refused._tag === "TransactionFailed" && refused.index === 1 && refused.error._tag === "NoNode")
        assert.deepStrictEqual(yield* zk.exists(`${root}/result`), Option.none())
        assert.isTrue(yield* claim.holds)
        yield* claim.consume([Transaction.create(`${root}/result`, "done")])
        assert.strictEqual(text((yield* zk.get(`${root}/result`)).data), "done")
        assert.strictEqual(yield* queue.size, 0)
      }))

    it.effect("process consumes on success and releases on failure", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const queue = yield* LockingQueue.make(`${root}/queue`)
        yield* queue.offer("a")
        assert.strictEqual(yield* Effect.flip(queue.process(() => Effect.fail("no" as const))), "no")
        const poison = yield* queue.process(({ attempts, data }) => Effect.succeed([attempts, text(data)]))
        assert.deepStrictEqual(poison, [2, "a"])
        assert.strictEqual(yield* queue.size, 0)
        yield* settled(zk)
        assert.deepStrictEqual(yield* zk.getChildren(`${root}/queue/taken`), [])
      }))

    it.effect("poison keeps its priority, is counted, and can be set aside", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const queue = yield* LockingQueue.make(`${root}/queue`)
        yield* zk.create(`${root}/poison`)
        yield* queue.offer("later")
        yield* queue.offer("poison", { priority: 7 })
        const names = yield* zk.getChildren(`${root}/queue/entries`)
        const seen: Array<string> = []
        const work = queue.process(({ attempts, consume, data }) =>
          Effect.gen(function*() {
            seen.push(text(data))
            if (text(data) !== "poison") return
            if (attempts <= 3) return yield* Effect.fail("no" as const)
            yield* consume([Transaction.create(`${root}/poison/7-`, data, { mode: "persistentSequential" })])
          })
        )
        for (const _ of [1, 2, 3]) {
          assert.strictEqual(yield* Effect.flip(work), "no")
          assert.sameMembers([...yield* zk.getChildren(`${root}/queue/entries`)], [...names])
        }
        yield* work
        yield* work
        assert.deepStrictEqual(seen, ["poison", "poison", "poison", "poison", "later"])
        assert.deepStrictEqual(yield* zk.getChildren(`${root}/poison`), ["7-0000000000"])
        assert.strictEqual(yield* queue.size, 0)
      }))

    it.effect("process interrupts its effect when the claim is lost", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const queue = yield* LockingQueue.make(`${root}/queue`)
        yield* queue.offer("a")
        let interrupted = false
        const working = yield* Effect.forkChild(Effect.flip(queue.process(({ path }) =>
          Effect.gen(function*() {
            // What makes the server tell this claim from others.
            const witness = (yield* zk.getChildren(root)).find((name) => name.includes("__claim__"))
            yield* zk.transaction([
              Transaction.remove(`${root}/${witness}`),
              Transaction.remove(path.replace("entries", "taken"))
            ])
            return yield* Effect.never
          }).pipe(Effect.onInterrupt(() =>
            Effect.sync(() => {
              interrupted = true
            })
          ))
        )))
        assert.strictEqual((yield* Fiber.join(working))._tag, "ClaimLost")
        assert.isTrue(interrupted)
        assert.strictEqual(yield* queue.size, 1)
      }))

    it.effect("every item is consumed exactly once by many takers, some of which fail", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const path = `${root}/queue`
        const clients = [yield* ZooKeeper, yield* other(connect()), yield* other(connect())]
        const queues = yield* Effect.forEach(clients, (zk) =>
          Effect.provideService(LockingQueue.make(path), ZooKeeper, zk))
        const count = 60
        yield* zk.create(`${root}/done`)
        const [first] = queues
        if (first === undefined) return
        yield* first.offerAll(Array.from({ length: count }, (_, index) => String(index)))
        const workers = yield* Effect.forEach([0, 1, 2, 0, 1, 2], (which, worker) =>
          Effect.forkChild(Effect.forever(Effect.ignore(Effect.scoped(Effect.gen(function*() {
            const claim = yield* queues[which]?.take ?? Effect.never
            if (worker < 2 && claim.attempts === 1) return yield* Effect.fail("not today")
            yield* claim.consume([Transaction.create(`${root}/done/${text(claim.data)}-`, "", {
              mode: "persistentSequential"
            })])
          }))))))
        yield* Effect.repeat(first.size, { until: (size) => size === 0 })
        yield* Fiber.interruptAll(workers)
        const done = (yield* zk.getChildren(`${root}/done`)).map((name) => Number(name.split("-")[0]))
        assert.deepStrictEqual(done.toSorted((a, b) => a - b), Array.from({ length: count }, (_, index) => index))
      }))

    it.effect("stream", () =>
      Effect.gen(function*() {
        const { root } = yield* here
        const queue = yield* LockingQueue.make(`${root}/queue`)
        yield* queue.offerAll(["a", "b", "c"])
        const seen = yield* Stream.runCollect(Stream.take(
          Stream.mapEffect(queue.stream, (claim) => Effect.as(claim.consume(), text(claim.data))),
          3
        ))
        assert.deepStrictEqual(Array.from(seen), ["a", "b", "c"])
        assert.strictEqual(yield* queue.size, 0)
      }))

    it.effect("claims of kazoo's are left alone, also those without an item", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const queue = yield* LockingQueue.make(`${root}/queue`)
        yield* queue.offerAll(["a", "b"])
        yield* zk.create(`${root}/queue/taken/entry-100-0000000000`, "kazoo", { mode: "ephemeral", makeParents: true })
        yield* zk.create(`${root}/queue/taken/entry-100-0000000009`, "kazoo", { mode: "ephemeral" })
        assert.strictEqual(text((yield* queue.take).data), "b")
        assert.deepStrictEqual(yield* queue.poll, Option.none())
      }))

    it.effect("leaves nothing but the items; malformed arguments are refused", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        yield* Effect.scoped(Effect.gen(function*() {
          const queue = yield* LockingQueue.make(`${root}/queue`)
          yield* queue.offerAll(["a", "b"])
          yield* queue.take
          yield* Effect.flatMap(queue.take, (claim) => claim.consume())
          assert.strictEqual((yield* Effect.flip(queue.offer("a", { priority: 1000 })))._tag, "BadArguments")
        }))
        yield* settled(zk)
        assert.deepStrictEqual(yield* zk.getChildren(root), ["queue"])
        assert.deepStrictEqual(yield* zk.getChildren(`${root}/queue/taken`), [])
        assert.deepStrictEqual((yield* zk.getChildren(`${root}/queue/entries`)).length, 1)
        assert.strictEqual((yield* Effect.flip(LockingQueue.make("queue")))._tag, "BadArguments")
        assert.strictEqual((yield* Effect.flip(LockingQueue.make("/")))._tag, "BadArguments")
      }))
  })
}

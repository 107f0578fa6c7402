/** What several locks as one promise, whatever server is behind them. */
import { assert, describe } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Lock from "../../src/recipe/Lock.ts"
import * as MultiLock from "../../src/recipe/MultiLock.ts"
import type { Connect } from "../../src/testing/Connect.ts"
import * as Transaction from "../../src/Transaction.ts"
import type { Service } from "../../src/ZooKeeper.ts"
import { now, of, tests } from "./clients.ts"
import { eventually } from "./lock.ts"

const locks = (zk: Service, root: string, ...names: ReadonlyArray<string>) =>
  of(zk, Effect.forEach(names, (name) => Lock.make(`${root}/${name}`)))

export const multiLock = (title: string, connect: Connect): void => {
  const test = tests(connect)

  describe(title, () => {
    test("opposite orders do not wait for each other", ({ other, root, zk }) =>
      Effect.gen(function*() {
        const mine = yield* MultiLock.make(yield* locks(zk, root, "a", "b", "c"))
        const theirs = yield* MultiLock.make(yield* locks(other, root, "c", "b", "a"))
        let inside = 0
        const work = Effect.gen(function*() {
          assert.strictEqual(inside++, 0)
          yield* Effect.sleep(1)
          inside--
        })
        yield* Effect.forEach([mine, theirs], (lock) => Effect.replicateEffect(lock.withLock(work), 10), {
          concurrency: "unbounded"
        })
        for (const name of ["a", "b", "c"]) assert.deepStrictEqual(yield* now(zk, zk.getChildren(`${root}/${name}`)), [])
      }))

    test("one deadline for all, and all are released", ({ other, root, zk }) =>
      Effect.gen(function*() {
        const mine = yield* MultiLock.make(yield* locks(zk, root, "a", "b"))
        const [b] = yield* locks(other, root, "b")
        yield* Effect.scoped(Effect.gen(function*() {
          yield* b?.acquire() ?? Effect.die("no lock")
          assert.isTrue(Option.isNone(yield* Effect.scoped(mine.tryAcquire)))
          const error = yield* Effect.flip(mine.withLock(Effect.void, { timeout: 200 }))
          assert.isTrue(error._tag === "AcquireTimeout" && error.millis === 200 && error.path === `${root}/b`)
          assert.deepStrictEqual(yield* now(zk, zk.getChildren(`${root}/a`)), [])
        }))
        yield* mine.withLock(Effect.void)
        assert.isTrue(Option.isSome(yield* Effect.scoped(mine.tryAcquire)))
      }))

    test("the loss of one is the loss of all, and the guard checks each", ({ other, root, zk }) =>
      Effect.gen(function*() {
        const mine = yield* MultiLock.make(yield* locks(zk, root, "a", "b"))
        const [a, b] = yield* locks(other, root, "a", "b")
        const held = yield* Deferred.make<void>()
        const fiber = yield* Effect.forkChild(mine.withLock((grant) =>
          Effect.gen(function*() {
            const [created] = yield* grant.guard([Transaction.create(`${root}/x`)])
            assert.strictEqual(created, `${root}/x`)
            const error = yield* Effect.orDie(Effect.flip(grant.guard([Transaction.remove(`${root}/y`)])))
            assert.isTrue(error._tag === "TransactionFailed" && error.index === 0)
            yield* Deferred.succeed(held, undefined)
            return yield* Effect.never
          })
        ))
        yield* Deferred.await(held)
        const [holder] = yield* eventually(b?.contenders ?? Effect.succeed([]), ({ length }) => length === 1)
        yield* other.delete(holder?.path ?? "")
        assert.strictEqual((yield* Effect.flip(Fiber.join(fiber)))._tag, "GrantLost")
        assert.deepStrictEqual(yield* a?.contenders ?? Effect.succeed([]), [])
      }))

    test("inside, none of them can be waited for; twice the same path is refused", ({ root, zk }) =>
      Effect.gen(function*() {
        const [a, b] = yield* locks(zk, root, "a", "b")
        if (a === undefined || b === undefined) throw new Error("two locks")
        const both = yield* MultiLock.make([b, a])
        assert.deepStrictEqual(both.locks.map(({ path }) => path), [`${root}/a`, `${root}/b`])
        const error = yield* both.withLock(Effect.flip(b.withLock(Effect.void)), { timeout: "5 seconds" })
        assert.strictEqual(error._tag, "AlreadyHeld")
        assert.strictEqual((yield* Effect.flip(MultiLock.make([])))._tag, "BadArguments")
        assert.strictEqual((yield* Effect.flip(MultiLock.make([a, b, a])))._tag, "BadArguments")
      }))
  })
}

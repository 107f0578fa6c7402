/** What a semaphore promises, whatever server is behind it. */
import { assert, describe } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Semaphore from "../../src/recipe/Semaphore.ts"
import type { Connect } from "../../src/testing/Connect.ts"
import { now, of, tests } from "./clients.ts"
import { eventually } from "./lock.ts"

const text = (data: Uint8Array): string => new TextDecoder().decode(data)

export const semaphore = (title: string, connect: Connect): void => {
  const test = tests(connect)

  describe(title, () => {
    test("kazoo: znodes and data", ({ root, zk }) =>
      Effect.gen(function*() {
        const path = `${root}/a/permits`
        const semaphore = yield* of(zk, Semaphore.make(path, { permits: 2, identifier: "it's é" }))
        yield* Effect.scoped(Effect.gen(function*() {
          const grant = yield* semaphore.acquire()
          const [name = "", ...others] = yield* zk.getChildren(path)
          assert.deepStrictEqual(others, [])
          assert.match(name, /^[0-9a-f]{32}$/)
          assert.strictEqual(grant.path, `${path}/${name}`)
          assert.strictEqual(text((yield* zk.get(grant.path)).data), "it's é")
          assert.strictEqual(text((yield* zk.get(path)).data), "2")
          assert.deepStrictEqual(yield* now(zk, zk.getChildren(`${path}-__lock__`)), [])
          assert.deepStrictEqual((yield* semaphore.holders).map(({ identifier }) => text(identifier)), ["it's é"])
        }))
        assert.deepStrictEqual(yield* now(zk, zk.getChildren(path)), [])
        const scope = yield* Scope.make()
        yield* Scope.provide(semaphore.acquire({ permits: 2 }), scope)
        const waiting = yield* Effect.forkChild(semaphore.withPermits(1)(Effect.void))
        const [guard = ""] = yield* eventually(zk.getChildren(`${path}-__lock__`), ({ length }) => length === 1)
        assert.match(guard, /^[0-9a-f]{32}__lock__\d{10}$/)
        assert.strictEqual(text((yield* zk.get(`${path}-__lock__/${guard}`)).data), `b"it's \\xc3\\xa9"`)
        yield* Scope.close(scope, Exit.void)
        yield* Fiber.join(waiting)
      }))

    test("curator: znodes and data", ({ root, zk }) =>
      Effect.gen(function*() {
        const path = `${root}/permits`
        const semaphore = yield* of(
          zk,
          Semaphore.make(path, { permits: 1, layout: "curator", identifier: "me" })
        )
        yield* Effect.scoped(Effect.gen(function*() {
          yield* semaphore.acquire()
          const [name = ""] = yield* zk.getChildren(`${path}/leases`)
          assert.match(name, /^_c_[0-9a-f-]{36}-lease-\d{10}$/)
          assert.strictEqual(text((yield* zk.get(`${path}/leases/${name}`)).data), "me")
          const waiting = yield* Effect.forkChild(semaphore.withPermits(1)(Effect.void))
          const [guard = ""] = yield* eventually(zk.getChildren(`${path}/locks`), ({ length }) => length === 1)
          assert.match(guard, /^_c_[0-9a-f-]{36}-lock-\d{10}$/)
          yield* Fiber.interrupt(waiting)
        }))
        assert.deepStrictEqual(yield* now(zk, zk.getChildren(`${path}/leases`)), [])
        assert.deepStrictEqual(yield* now(zk, zk.getChildren(`${path}/locks`)), [])
      }))

    for (const layout of ["kazoo", "curator"] as const) {
      test(`${layout}: never more than there are, and everyone is served`, ({ client, root }) =>
        Effect.gen(function*() {
          let taken = 0
          let most = 0
          let served = 0
          const worker = (index: number) =>
            Effect.gen(function*() {
              const semaphore = yield* of(yield* client(), Semaphore.make(`${root}/s`, { permits: 3, layout }))
              for (let round = 0; round < 4; round++) {
                const weight = (index + round) % 3 + 1
                yield* semaphore.withPermits(weight)(Effect.gen(function*() {
                  taken += weight
                  most = Math.max(most, taken)
                  yield* Effect.sleep(1)
                  taken -= weight
                  served++
                }))
              }
            })
          yield* Effect.forEach([0, 1, 2, 3, 4], worker, { concurrency: "unbounded" })
          assert.strictEqual(served, 20)
          assert.isAtMost(most, 3)
        }))

      test(`${layout}: tryAcquire, deadline, and nothing is left`, ({ other, root, zk }) =>
        Effect.gen(function*() {
          const mine = yield* of(zk, Semaphore.make(`${root}/s`, { permits: 2, layout }))
          const theirs = yield* of(other, Semaphore.make(`${root}/s`, { permits: 2, layout }))
          yield* Effect.scoped(Effect.gen(function*() {
            assert.isTrue(Option.isSome(yield* mine.tryAcquire()))
            assert.isTrue(Option.isNone(yield* Effect.scoped(theirs.tryAcquire({ permits: 2 }))))
            assert.isTrue(Option.isSome(yield* Effect.scoped(theirs.tryAcquire())))
            const error = yield* Effect.flip(theirs.withPermits(2, { timeout: 100 })(Effect.void))
            assert.strictEqual(error._tag, "AcquireTimeout")
            assert.strictEqual((yield* now(zk, mine.holders)).length, 1)
          }))
          assert.strictEqual((yield* now(zk, mine.holders)).length, 0)
          yield* theirs.withPermits(2)(Effect.void)
        }))
    }

    test("what is acquired for a scope that is closed is not acquired, and leaves nothing", ({ root, zk }) =>
      Effect.gen(function*() {
        const semaphore = yield* of(zk, Semaphore.make(`${root}/s`, { permits: 2 }))
        const scope = yield* Scope.make()
        yield* Scope.close(scope, Exit.void)
        const late = yield* Effect.forkChild(Scope.provide(semaphore.acquire(), scope))
        assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(late)))
        assert.deepStrictEqual(yield* now(zk, semaphore.holders), [])
        yield* semaphore.withPermits(2)(Effect.void)
      }))

    test("a number beyond all numbers is refused as any other", ({ root, zk }) =>
      Effect.gen(function*() {
        yield* zk.create(`${root}/s`, "9".repeat(400))
        const semaphore = yield* of(zk, Semaphore.make(`${root}/s`, { permits: 2 }))
        assert.strictEqual((yield* Effect.flip(semaphore.withPermits(1)(Effect.void)))._tag, "PermitsDiffer")
      }))

    test("who differs about the number is refused", ({ other, root, zk }) =>
      Effect.gen(function*() {
        const mine = yield* of(zk, Semaphore.make(`${root}/s`, { permits: 2 }))
        yield* mine.withPermits(1)(Effect.void)
        const theirs = yield* of(other, Semaphore.make(`${root}/s`, { permits: 3 }))
        const error = yield* Effect.flip(theirs.withPermits(1)(Effect.void))
        assert.isTrue(error._tag === "PermitsDiffer" && error.found === 2 && error.permits === 3)
      }))

    test("wanting more than there can ever be is refused", ({ root, zk }) =>
      Effect.gen(function*() {
        const semaphore = yield* of(zk, Semaphore.make(`${root}/s`, { permits: 2 }))
        assert.strictEqual((yield* Effect.flip(semaphore.withPermits(3)(Effect.void)))._tag, "BadArguments")
        assert.strictEqual((yield* Effect.flip(semaphore.withPermits(0)(Effect.void)))._tag, "BadArguments")
        const nested = semaphore.withPermits(1)(Effect.all([
          Effect.flip(semaphore.withPermits(2)(Effect.void)),
          semaphore.withPermits(1)(Effect.succeed("fits"))
        ]))
        const [error, fits] = yield* nested
        assert.strictEqual(error._tag, "AlreadyHeld")
        assert.strictEqual(fits, "fits")
        assert.strictEqual(
          (yield* Effect.flip(of(zk, Semaphore.make(`${root}/s`, { permits: 0 }))))._tag,
          "BadArguments"
        )
      }))

    test("one deleted permit ends the whole grant", ({ other, root, zk }) =>
      Effect.gen(function*() {
        const semaphore = yield* of(zk, Semaphore.make(`${root}/s`, { permits: 3 }))
        const held = yield* Deferred.make<void>()
        const fiber = yield* Effect.forkChild(
          semaphore.withPermits(3)(Effect.andThen(Deferred.succeed(held, undefined), Effect.never))
        )
        yield* Deferred.await(held)
        const [, , third] = yield* semaphore.holders
        yield* other.delete(third?.path ?? "")
        assert.strictEqual((yield* Effect.flip(Fiber.join(fiber)))._tag, "GrantLost")
        assert.deepStrictEqual(yield* now(zk, zk.getChildren(`${root}/s`)), [])
      }))
  })
}

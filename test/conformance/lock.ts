/** What a lock promises, whatever server is behind it. */
import { assert, describe } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Lock from "../../src/recipe/Lock.ts"
import type { Connect } from "../../src/testing/Connect.ts"
import * as Transaction from "../../src/Transaction.ts"
import type { Service } from "../../src/ZooKeeper.ts"
import { now, of, tests } from "./clients.ts"

const decoder = new TextDecoder()

/** Waits for what is sure to come, by looking. */
export const eventually = <A, E, R>(effect: Effect.Effect<A, E, R>, holds: (a: A) => boolean) =>
  Effect.repeat(effect, { until: holds, schedule: Schedule.spaced("5 millis") })

/** Waits until a lock has so many contenders. */
const contended = (lock: Lock.Lock, count: number) => eventually(lock.contenders, ({ length }) => length === count)

const both = (zk: Service, other: Service, path: string) =>
  Effect.all([of(zk, Lock.make(path)), of(other, Lock.make(path))])

/** How an effect fails. */
const tag = <A, E extends { readonly _tag: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(effect), ({ _tag }) => _tag)

export const lock = (title: string, connect: Connect): void => {
  const test = tests(connect)

  describe(title, () => {
    for (const layout of ["kazoo", "curator"] as const) {
      describe(layout, () => {
        const names = { kazoo: /^[0-9a-f]{32}__lock__\d{10}$/, curator: /^_c_[0-9a-f-]{36}-lock-\d{10}$/ }

        test("who waits for a scope that closes waits no more, and leaves nothing", ({ root, zk }) =>
          Effect.gen(function*() {
            const path = `${root}/a`
            const lock = yield* of(zk, Lock.make(path, { layout }))
            const [first, second] = [yield* Scope.make(), yield* Scope.make()]
            yield* Scope.provide(lock.acquire(), first)
            const waiting = yield* Effect.forkChild(Scope.provide(lock.acquire(), second))
            yield* contended(lock, 2)
            yield* Scope.close(second, Exit.void)
            assert.strictEqual((yield* now(zk, lock.contenders)).length, 1)
            yield* Scope.close(first, Exit.void)
            assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(waiting)))
            const late = yield* Effect.forkChild(Scope.provide(lock.acquire(), second))
            assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(late)))
            assert.deepStrictEqual(yield* now(zk, zk.getChildren(path)), [])
          }))

        test("znode, data and what is left", ({ root, zk }) =>
          Effect.gen(function*() {
            const path = `${root}/a/b`
            const lock = yield* of(zk, Lock.make(path, { layout, identifier: "worker-é" }))
            const stat = yield* lock.withLock((grant) =>
              Effect.gen(function*() {
                const [name = "", ...others] = yield* zk.getChildren(path)
                assert.deepStrictEqual(others, [])
                assert.match(name, names[layout])
                const { data, stat } = yield* zk.get(`${path}/${name}`)
                assert.strictEqual(grant.path, `${path}/${name}`)
                assert.strictEqual(decoder.decode(data), "worker-é")
                assert.strictEqual(stat.ephemeralOwner, (yield* zk.session).id)
                assert.strictEqual(stat.ephemeralOwner, grant.sessionId)
                assert.strictEqual(stat.czxid, grant.token)
                assert.isTrue(yield* grant.isValid)
                return yield* zk.exists(path)
              })
            )
            assert.isTrue(Option.isSome(stat))
            assert.deepStrictEqual(yield* now(zk, zk.getChildren(path)), [])
            assert.strictEqual(decoder.decode((yield* zk.get(path)).data), "")
          }))

        test("excludes, and serves in order", ({ other, root, zk }) =>
          Effect.gen(function*() {
            const path = `${root}/lock`
            const mine = yield* of(zk, Lock.make(path, { layout }))
            const theirs = yield* of(other, Lock.make(path, { layout }))
            const served: Array<number> = []
            let inside = 0
            const release = yield* Deferred.make<void>()
            const fibers: Array<Fiber.Fiber<unknown, unknown>> = [
              yield* Effect.forkChild(mine.withLock(Deferred.await(release)))
            ]
            yield* contended(theirs, 1)
            for (let index = 0; index < 10; index++) {
              fibers.push(
                yield* Effect.forkChild((index % 2 === 0 ? mine : theirs).withLock(Effect.gen(function*() {
                  assert.strictEqual(inside++, 0)
                  served.push(index)
                  yield* Effect.sleep(2)
                  inside--
                })))
              )
              yield* contended(theirs, index + 2)
            }
            assert.deepStrictEqual(served, [])
            yield* Deferred.succeed(release, undefined)
            for (const fiber of fibers) yield* Fiber.join(fiber)
            assert.deepStrictEqual(served, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
            assert.deepStrictEqual(yield* now(zk, zk.getChildren(path)), [])
          }))
      })
    }

    test("tokens grow", ({ other, root, zk }) =>
      Effect.gen(function*() {
        const locks = yield* both(zk, other, `${root}/lock`)
        let last = 0n
        for (let round = 0; round < 6; round++) {
          const token = yield* locks[round % 2 === 0 ? 0 : 1].withLock((grant) => Effect.succeed(grant.token))
          assert.isTrue(token > last)
          last = token
        }
      }))

    test("tryAcquire does not wait, and leaves nothing", ({ other, root, zk }) =>
      Effect.gen(function*() {
        const [mine, theirs] = yield* both(zk, other, `${root}/lock`)
        yield* mine.withLock(Effect.gen(function*() {
          assert.isTrue(Option.isNone(yield* Effect.scoped(theirs.tryAcquire)))
          assert.strictEqual((yield* now(zk, mine.contenders)).length, 1)
        }))
        yield* Effect.scoped(Effect.gen(function*() {
          const grant = yield* theirs.tryAcquire
          assert.isTrue(Option.isSome(grant))
          assert.isTrue(Option.isNone(yield* Effect.scoped(mine.tryAcquire)))
        }))
        assert.deepStrictEqual(yield* now(zk, mine.contenders), [])
      }))

    test("one deadline over the whole wait, whoever is before us", ({ client, other, root, zk }) =>
      Effect.gen(function*() {
        const [mine, theirs] = yield* both(zk, other, `${root}/lock`)
        const third = yield* of(yield* client(), Lock.make(`${root}/lock`))
        const release = yield* Deferred.make<void>()
        const first = yield* Effect.forkChild(mine.withLock(Deferred.await(release)))
        yield* contended(mine, 1)
        const second = yield* Effect.forkChild(theirs.withLock(Effect.never))
        yield* contended(mine, 2)
        const waiting = yield* Effect.forkChild(Effect.exit(third.withLock(Effect.void, { timeout: 600 })))
        yield* contended(mine, 3)
        // A predecessor that changes does not begin the time anew: it would never end.
        yield* Deferred.succeed(release, undefined)
        const exit = yield* Fiber.join(waiting)
        const error = yield* Effect.flip(exit)
        assert.strictEqual(error._tag, "AcquireTimeout")
        assert.isTrue(error._tag === "AcquireTimeout" && error.millis === 600)
        assert.strictEqual((yield* now(zk, mine.contenders)).length, 1)
        yield* Fiber.join(first)
        yield* Fiber.interrupt(second)
        assert.deepStrictEqual(yield* now(zk, mine.contenders), [])
      }))

    test("contenders are told in order, with identifiers", ({ other, root, zk }) =>
      Effect.gen(function*() {
        const mine = yield* of(zk, Lock.make(`${root}/lock`, { identifier: "a" }))
        const theirs = yield* of(other, Lock.make(`${root}/lock`, { identifier: "b" }))
        assert.deepStrictEqual(yield* now(zk, mine.contenders), [])
        yield* mine.withLock(Effect.gen(function*() {
          const waiting = yield* Effect.forkChild(theirs.withLock(Effect.void))
          const all = yield* contended(mine, 2)
          assert.deepStrictEqual(all.map(({ identifier }) => decoder.decode(identifier)), ["a", "b"])
          assert.deepStrictEqual(all.map(({ sessionId }) => sessionId), [
            (yield* zk.session).id,
            (yield* other.session).id
          ])
          yield* Fiber.interrupt(waiting)
          assert.strictEqual((yield* now(zk, mine.contenders)).length, 1)
        }))
      }))

    test("is not re-entrant, and says so instead of waiting for itself", ({ other, root, zk }) =>
      Effect.gen(function*() {
        const [mine, theirs] = yield* both(zk, other, `${root}/lock`)
        const again = yield* of(zk, Lock.make(`${root}/lock`))
        yield* mine.withLock(Effect.gen(function*() {
          assert.strictEqual(yield* tag(mine.withLock(Effect.void)), "AlreadyHeld")
          assert.strictEqual(yield* tag(again.withLock(Effect.void)), "AlreadyHeld")
          assert.strictEqual(yield* tag(Effect.scoped(mine.tryAcquire)), "AlreadyHeld")
          // A timeout runs in a fiber of its own.
          assert.strictEqual(yield* tag(Effect.timeout(mine.withLock(Effect.void), "10 seconds")), "AlreadyHeld")
          assert.isTrue(Option.isNone(yield* Effect.scoped(theirs.tryAcquire)))
        }))
        yield* Effect.scoped(Effect.gen(function*() {
          yield* mine.acquire()
          assert.strictEqual(yield* tag(Effect.scoped(mine.acquire())), "AlreadyHeld")
          assert.strictEqual(yield* tag(mine.withLock(Effect.void)), "AlreadyHeld")
        }))
        yield* mine.withLock(Effect.void)
        assert.deepStrictEqual(yield* now(zk, mine.contenders), [])
      }))

    test("what was started inside may acquire once it is released", ({ root, zk }) =>
      Effect.gen(function*() {
        const lock = yield* of(zk, Lock.make(`${root}/lock`))
        const go = yield* Deferred.make<void>()
        const later = yield* lock.withLock(
          Effect.forkDetach(Effect.andThen(Deferred.await(go), lock.withLock(Effect.succeed("in"))))
        )
        yield* Deferred.succeed(go, undefined)
        assert.strictEqual(yield* Fiber.join(later), "in")
      }))

    test("a deleted znode interrupts its holder", ({ other, root, zk }) =>
      Effect.gen(function*() {
        const [mine] = yield* both(zk, other, `${root}/lock`)
        const held = yield* Deferred.make<string>()
        let interrupted = false
        const fiber = yield* Effect.forkChild(mine.withLock((grant) =>
          Deferred.succeed(held, grant.path).pipe(
            Effect.andThen(Effect.never),
            Effect.onInterrupt(() => Effect.sync(() => interrupted = true))
          )
        ))
        yield* other.delete(yield* Deferred.await(held))
        const error = yield* Effect.flip(Fiber.join(fiber))
        assert.isTrue(error._tag === "GrantLost" && error.reason === "Deleted")
        assert.isTrue(interrupted)
      }))

    test("a waiter whose znode is deleted queues anew", ({ other, root, zk }) =>
      Effect.gen(function*() {
        const [mine, theirs] = yield* both(zk, other, `${root}/lock`)
        const waiting = yield* mine.withLock(Effect.gen(function*() {
          const waiting = yield* Effect.forkDetach(theirs.withLock(Effect.succeed("in")))
          const [, second] = yield* contended(mine, 2)
          yield* zk.delete(second?.path ?? "")
          return waiting
        }))
        assert.strictEqual(yield* Fiber.join(waiting), "in")
      }))

    test("guard writes while it is held, and is refused after", ({ other, root, zk }) =>
      Effect.gen(function*() {
        const [mine] = yield* both(zk, other, `${root}/lock`)
        const path = yield* zk.create(`${root}/data`)
        const scope = yield* Scope.make()
        const grant = yield* Scope.provide(mine.acquire(), scope)
        const [stat, created] = yield* grant.guard([
          Transaction.set(path, "1"),
          Transaction.create(`${path}/x`)
        ])
        assert.strictEqual(stat.version, 1)
        assert.strictEqual(created, `${path}/x`)
        const failed = yield* Effect.flip(grant.guard([Transaction.set(path, "2"), Transaction.remove(`${path}/y`)]))
        assert.isTrue(failed._tag === "TransactionFailed" && failed.index === 1 && failed.path === `${path}/y`)
        yield* other.delete(grant.path)
        const lost = yield* Effect.flip(grant.guard([Transaction.set(path, "3")]))
        assert.isTrue(lost._tag === "GrantLost" && lost.reason === "Deleted")
        assert.isFalse(yield* grant.isValid)
        assert.strictEqual(decoder.decode((yield* zk.get(path)).data), "1")
        yield* Scope.close(scope, Exit.void)

        const released = yield* Effect.scoped(mine.acquire())
        const late = yield* Effect.flip(released.guard([Transaction.set(path, "4")]))
        assert.isTrue(late._tag === "GrantLost" && late.reason === "Released")
        assert.isFalse(yield* released.isValid)
        assert.strictEqual((yield* Effect.flip(released.lost)).reason, "Released")
        assert.strictEqual((yield* Effect.flip(released.protect(Effect.void)))._tag, "GrantLost")
      }))

    test("strict validity is proven by transactions on the own znode", ({ client, root }) =>
      Effect.gen(function*() {
        const zk = yield* client({ sessionTimeout: "1 second" })
        const lock = yield* of(zk, Lock.make(`${root}/lock`, { validity: "strict" }))
        // Longer than a proof lasts.
        yield* lock.withLock((grant) => Effect.andThen(Effect.sleep("1200 millis"), grant.guard([])))
      }))

    test("revocation: the holder is asked, and may comply", ({ other, root, zk }) =>
      Effect.gen(function*() {
        const [mine, theirs] = yield* both(zk, other, `${root}/lock`)
        assert.isFalse(yield* theirs.revoke)
        const holder = yield* Effect.forkChild(mine.withLock((grant) => grant.revocation))
        const [held] = yield* contended(mine, 1)
        assert.isTrue(yield* theirs.revoke)
        yield* Fiber.join(holder)
        assert.isTrue(held !== undefined && Option.isNone(yield* zk.exists(held.path)))
      }))

    test("numbers beyond an int32 are an error, never a wrong order", ({ root, zk }) =>
      Effect.gen(function*() {
        const path = yield* zk.create(`${root}/lock`)
        const overflowed = yield* zk.create(`${path}/${"0".repeat(32)}__lock__-2147483648`)
        const lock = yield* of(zk, Lock.make(path))
        const error = yield* Effect.flip(lock.withLock(Effect.void))
        assert.isTrue(error._tag === "SequenceExhausted" && error.path === path)
        assert.deepStrictEqual(yield* zk.getChildren(path), [overflowed.slice(path.length + 1)])
      }))

    test("only contenders count; further markers on request", ({ root, zk }) =>
      Effect.gen(function*() {
        const path = yield* zk.create(`${root}/lock`)
        yield* zk.create(`${path}/config`)
        yield* zk.create(`${path}/x__rlock__0000000000`)
        yield* zk.create(`${path}/_c_${globalThis.crypto.randomUUID()}-lock-0000000000`)
        const lock = yield* of(zk, Lock.make(path))
        yield* lock.withLock(Effect.void)
        const careful = yield* of(zk, Lock.make(path, { extraLockPatterns: ["-lock-"] }))
        assert.isTrue(Option.isNone(yield* Effect.scoped(careful.tryAcquire)))
      }))

    test("malformed paths are refused", ({ zk }) =>
      Effect.gen(function*() {
        assert.strictEqual((yield* Effect.flip(of(zk, Lock.make("lock"))))._tag, "BadArguments")
        assert.strictEqual((yield* Effect.flip(of(zk, Lock.withLock("/a//b")(Effect.void))))._tag, "BadArguments")
      }))

    test("what the effect fails with is passed on, and the lock released", ({ root, zk }) =>
      Effect.gen(function*() {
        const failing = Effect.fail("no").pipe(Lock.withLock(`${root}/lock`))
        assert.strictEqual(yield* Effect.flip(of(zk, failing)), "no")
        assert.deepStrictEqual(yield* now(zk, zk.getChildren(`${root}/lock`)), [])
      }))

    test("the end of the client ends holder and waiter", ({ client, root, zk }) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const closing = yield* Scope.provide(client(), scope)
        const [mine, theirs] = yield* both(zk, closing, `${root}/lock`)
        const holder = yield* Effect.forkChild(theirs.withLock(Effect.never))
        yield* contended(mine, 1)
        const waiter = yield* Effect.forkChild(theirs.withLock(Effect.never))
        yield* contended(mine, 2)
        yield* Scope.close(scope, Exit.void)
        const lost = yield* Effect.flip(Fiber.join(holder))
        assert.strictEqual(lost._tag, "GrantLost")
        const closed = yield* Effect.flip(Fiber.join(waiter))
        assert.isTrue(closed._tag === "ConnectionError" && closed.reason._tag === "Closed")
        yield* mine.withLock(Effect.void)
      }))
  })
}

/** What a read-write lock promises, whatever server is behind it. */
import { assert, describe } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type * as Lock from "../../src/recipe/Lock.ts"
import * as ReadWriteLock from "../../src/recipe/ReadWriteLock.ts"
import type { Connect } from "../../src/testing/Connect.ts"
import { now, of, tests } from "./clients.ts"
import { eventually } from "./lock.ts"

/** Holds a lock until it is told to let go. */
const hold = (lock: Lock.Lock, entered: () => void = () => {}) =>
  Effect.gen(function*() {
    const held = yield* Deferred.make<void>()
    const release = yield* Deferred.make<void>()
    const fiber = yield* Effect.forkChild(lock.withLock(
      Effect.sync(entered).pipe(
        Effect.andThen(Deferred.succeed(held, undefined)),
        Effect.andThen(Deferred.await(release))
      )
    ))
    return {
      held: Effect.raceFirst(Deferred.await(held), Fiber.join(fiber)),
      release: Effect.andThen(Deferred.succeed(release, undefined), Fiber.join(fiber))
    }
  })

export const readWriteLock = (title: string, connect: Connect): void => {
  const test = tests(connect)

  describe(title, () => {
    for (const layout of ["kazoo", "curator"] as const) {
      describe(layout, () => {
        const names = {
          kazoo: [/^[0-9a-f]{32}__rlock__0000000000$/, /^[0-9a-f]{32}__lock__0000000001$/],
          curator: [/^_c_[0-9a-f-]{36}-__READ__0000000000$/, /^_c_[0-9a-f-]{36}-__WRIT__0000000001$/]
        }[layout]

        test("znodes and data", ({ other, root, zk }) =>
          Effect.gen(function*() {
            const mine = yield* of(zk, ReadWriteLock.make(`${root}/lock`, { layout, identifier: "r" }))
            const theirs = yield* of(other, ReadWriteLock.make(`${root}/lock`, { layout, identifier: "w" }))
            const reader = yield* hold(mine.read)
            yield* reader.held
            const writer = yield* hold(theirs.write)
            const all = yield* eventually(mine.write.contenders, ({ length }) => length === 2)
            for (const [index, { identifier, path }] of all.entries()) {
              assert.match(path.slice(root.length + 6), names[index] ?? /never/)
              assert.strictEqual(new TextDecoder().decode(identifier), "rw"[index])
            }
            yield* reader.release
            yield* writer.held
            yield* writer.release
            assert.deepStrictEqual(yield* now(zk, zk.getChildren(`${root}/lock`)), [])
          }))

        test("readers share, a writer is alone, and later readers wait behind it", ({ client, other, root, zk }) =>
          Effect.gen(function*() {
            const [a, b, c, d] = yield* Effect.forEach([zk, other, yield* client(), yield* client()], (each) =>
              of(each, ReadWriteLock.make(`${root}/lock`, { layout })))
            if (a === undefined || b === undefined || c === undefined || d === undefined) throw new Error("four locks")
            const entered: Array<string> = []
            const first = yield* hold(a.read, () => void entered.push("a"))
            yield* first.held
            const second = yield* hold(b.read, () => void entered.push("b"))
            yield* second.held
            const writer = yield* hold(c.write, () => void entered.push("c"))
            yield* eventually(a.read.contenders, ({ length }) => length === 3)
            const late = yield* hold(d.read, () => void entered.push("d"))
            yield* eventually(a.read.contenders, ({ length }) => length === 4)
            assert.isTrue(Option.isNone(yield* Effect.scoped(
              Effect.flatMap(of(yield* client(), ReadWriteLock.make(`${root}/lock`, { layout })), (lock) =>
                lock.read.tryAcquire)
            )))
            yield* first.release
            assert.deepStrictEqual(entered, ["a", "b"])
            yield* second.release
            yield* writer.held
            assert.deepStrictEqual(entered, ["a", "b", "c"])
            yield* writer.release
            yield* late.held
            yield* late.release
            assert.deepStrictEqual(entered, ["a", "b", "c", "d"])
          }))

        test("a writer becomes a reader ahead of writers that wait", ({ other, root, zk }) =>
          Effect.gen(function*() {
            const mine = yield* of(zk, ReadWriteLock.make(`${root}/lock`, { layout }))
            const theirs = yield* of(other, ReadWriteLock.make(`${root}/lock`, { layout }))
            const outer = yield* Scope.make()
            const inner = yield* Scope.make()
            const write = yield* Scope.provide(mine.write.acquire(), inner)
            const waiting = yield* hold(theirs.write)
            yield* eventually(mine.read.contenders, ({ length }) => length === 2)
            const read = yield* Scope.provide(mine.downgrade(write), outer)
            assert.strictEqual(read.path.slice(-10), write.path.slice(-10))
            yield* Scope.close(inner, Exit.void)
            assert.isTrue(yield* read.isValid)
            assert.isFalse(yield* write.isValid)
            const [holder] = yield* theirs.read.contenders
            assert.strictEqual(holder?.path, read.path)
            assert.strictEqual((yield* Effect.flip(Effect.scoped(mine.downgrade(write))))._tag, "GrantLost")
            yield* Scope.close(outer, Exit.void)
            yield* waiting.held
            yield* waiting.release
          }))
      })
    }

    test("neither side waits for the other of the same fiber", ({ root, zk }) =>
      Effect.gen(function*() {
        const lock = yield* of(zk, ReadWriteLock.make(`${root}/lock`))
        const error = yield* lock.read.withLock(Effect.flip(lock.write.withLock(Effect.void)))
        assert.strictEqual(error._tag, "AlreadyHeld")
      }))
  })
}

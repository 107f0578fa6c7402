/** What an election promises, whatever server is behind it. */
import { assert, describe } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import * as Election from "../../src/recipe/Election.ts"
import type { Connect } from "../../src/testing/Connect.ts"
import { record } from "../../src/testing/Recording.ts"
import { now, of, tests } from "./clients.ts"
import { eventually } from "./lock.ts"

const text = (data: Uint8Array): string => new TextDecoder().decode(data)

export const election = (title: string, connect: Connect): void => {
  const test = tests(connect)

  describe(title, () => {
    const layouts = {
      kazoo: /^[0-9a-f]{32}__lock__\d{10}$/,
      curator: /^_c_[0-9a-f-]{36}-lock-\d{10}$/,
      curatorLatch: /^_c_[0-9a-f-]{36}-latch-\d{10}$/
    }
    for (const layout of ["kazoo", "curator", "curatorLatch"] as const) {
      test(`${layout}: znode, candidates in order, one leader after the other`, ({ other, root, zk }) =>
        Effect.gen(function*() {
          const path = `${root}/election`
          const a = yield* of(zk, Election.make(path, { layout, identifier: "a" }))
          const b = yield* of(other, Election.make(path, { layout, identifier: "b" }))
          assert.isTrue(Option.isNone(yield* b.leader))
          const seen = yield* record(b.leaderChanges.pipe(
            Stream.map(Option.match({ onNone: () => "-", onSome: ({ identifier }) => text(identifier) }))
          ))
          assert.strictEqual(yield* seen.next, "-")
          const release = yield* Deferred.make<string>()
          const first = yield* Effect.forkChild(a.lead(Deferred.await(release)))
          yield* seen.upTo((leader) => leader === "a")
          const second = yield* Effect.forkChild(b.lead((grant) => Effect.succeed(grant.token)))
          const all = yield* eventually(a.candidates, ({ length }) => length === 2)
          assert.deepStrictEqual(all.map(({ identifier }) => text(identifier)), ["a", "b"])
          for (const candidate of all) assert.match(candidate.path.slice(path.length + 1), layouts[layout])
          assert.deepStrictEqual(Option.map(yield* b.leader, ({ path }) => path), Option.some(all[0]?.path ?? ""))
          yield* Deferred.succeed(release, "done")
          assert.strictEqual(yield* Fiber.join(first), "done")
          assert.strictEqual(yield* Fiber.join(second), all[1]?.token)
          yield* seen.upTo((leader) => leader === "-")
          yield* seen.stop
          assert.deepStrictEqual(yield* now(zk, zk.getChildren(path)), [])
        }))
    }

    test("resign ends leading and waiting", ({ other, root, zk }) =>
      Effect.gen(function*() {
        const a = yield* of(zk, Election.make(`${root}/election`))
        const b = yield* of(other, Election.make(`${root}/election`))
        const leading = yield* Effect.forkChild(a.lead(Effect.never))
        yield* eventually(a.leader, Option.isSome)
        const waiting = yield* Effect.forkChild(b.lead(Effect.never))
        yield* eventually(a.candidates, ({ length }) => length === 2)
        yield* b.resign
        assert.strictEqual((yield* Effect.flip(Fiber.join(waiting)))._tag, "Resigned")
        assert.strictEqual((yield* now(zk, a.candidates)).length, 1)
        yield* a.resign
        assert.strictEqual((yield* Effect.flip(Fiber.join(leading)))._tag, "Resigned")
        assert.isTrue(Option.isNone(yield* a.leader))
      }))

    test("leadAlways stands again after losses, resignations and its effect's end", ({ other, root, zk }) =>
      Effect.gen(function*() {
        const a = yield* of(zk, Election.make(`${root}/election`))
        const terms = yield* Queue.unbounded<string>()
        const stop = yield* Deferred.make<void>()
        let count = 0
        const always = yield* Effect.forkChild(a.leadAlways((grant) =>
          Effect.gen(function*() {
            yield* Queue.offer(terms, grant.path)
            // The first term ends by itself.
            if (count++ === 0) return
            yield* Deferred.await(stop)
            return yield* Effect.fail("enough" as const)
          })
        ))
        const first = yield* Queue.take(terms)
        const second = yield* Queue.take(terms)
        yield* other.delete(second)
        const third = yield* Queue.take(terms)
        yield* a.resign
        const fourth = yield* Queue.take(terms)
        assert.strictEqual(new Set([first, second, third, fourth]).size, 4)
        yield* Deferred.succeed(stop, undefined)
        assert.strictEqual(yield* Effect.flip(Fiber.join(always)), "enough")
        assert.deepStrictEqual(yield* now(zk, zk.getChildren(`${root}/election`)), [])
      }))
  })
}

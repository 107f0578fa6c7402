/** What leases do, against any server. The test's clock stands at the epoch. */
import { assert, layer as shared } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { TestClock } from "effect/testing"
import * as Lease from "../../src/recipe/Lease.ts"
import * as Lock from "../../src/recipe/Lock.ts"
import { ZooKeeper } from "../../src/ZooKeeper.ts"
import type { Connect } from "../../src/testing/Connect.ts"
import { here, inRealTime, other, text } from "./recipes.ts"

const record = (end: string) => `{"version": 1, "holder": "other", "end": "${end}"}`

const argument = (effect: Effect.Effect<unknown, { readonly argument: string }, ZooKeeper>) =>
  Effect.map(Effect.flip(effect), (error) => error.argument)

export const lease = (title: string, connect: Connect): void => {
  shared(inRealTime(connect()), { timeout: "30 seconds" })(title, (it) => {
    it.effect("kazoo's znodes and bytes", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const path = `${root}/deep/lease`
        const lease = yield* Lease.make(path, { duration: "70 minutes", identifier: "host-1" })
        assert.deepStrictEqual(yield* lease.holders, [])
        const end = 70 * 60_000
        const held = { path: `${path}/lease_holder`, holder: "host-1", end }
        assert.deepStrictEqual(yield* lease.obtain, Option.some(held))
        const { data, stat } = yield* zk.get(`${path}/lease_holder`)
        assert.strictEqual(text(data), `{"version": 1, "holder": "host-1", "end": "1970-01-01T01:10:00"}`)
        assert.strictEqual(stat.ephemeralOwner, 0n)
        assert.deepStrictEqual(yield* zk.getChildren(path), ["lease_holder"])
        assert.deepStrictEqual(yield* lease.holders, [held])
      }))

    it.effect("what Python escapes, and fractions of seconds", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const identifier = `é"\\\n\t\u0001\u007f/漢😀`
        const lease = yield* Lease.make(root, { duration: "1999 millis", identifier })
        assert.isTrue(Option.isSome(yield* lease.obtain))
        assert.strictEqual(
          text((yield* zk.get(`${root}/lease_holder`)).data),
          `{"version": 1, "holder": "\\u00e9\\"\\\\\\n\\t\\u0001\\u007f/\\u6f22\\ud83d\\ude00", "end": "1970-01-01T00:00:01"}`
        )
        assert.deepStrictEqual((yield* lease.holders).map(({ holder }) => holder), [identifier])
      }))

    it.effect("one has it; the same one renews it; released, the next may have it", () =>
      Effect.gen(function*() {
        const { root } = yield* here
        const second = yield* other(connect())
        const one = yield* Lease.make(root, { duration: "1 hour", identifier: "one" })
        const two = yield* Effect.provideService(
          Lease.make(root, { duration: "2 hours", identifier: "two" }),
          ZooKeeper,
          second
        )
        assert.isTrue(Option.isSome(yield* one.obtain))
        assert.isTrue(Option.isNone(yield* two.obtain))
        assert.isTrue(Option.isSome(yield* one.obtain))
        assert.isFalse(yield* two.release)
        assert.isTrue(yield* one.release)
        assert.isFalse(yield* one.release)
        assert.deepStrictEqual(Option.map(yield* two.obtain, ({ end }) => end), Option.some(7_200_000))
        assert.isTrue(Option.isNone(yield* one.obtain))
      }))

    it.effect("a lease that is over is free", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const lease = yield* Lease.make(root, { duration: "1 hour", identifier: "one" })
        yield* zk.create(`${root}/lease_holder`, record("1970-01-01T00:00:01"))
        assert.isTrue(Option.isNone(yield* lease.obtain))
        yield* zk.set(`${root}/lease_holder`, record("1970-01-01T00:00:00"))
        assert.deepStrictEqual(yield* lease.holders, [])
        assert.isTrue(Option.isSome(yield* lease.obtain))
      }))

    it.effect("records that kazoo would not take are not taken", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const lease = yield* Lease.make(root, { duration: "1 hour", identifier: "one" })
        const path = yield* zk.create(`${root}/lease_holder`, `{"version": 2, "whatever": true}`)
        assert.isTrue(Option.isNone(yield* lease.obtain))
        assert.isFalse(yield* lease.release)
        assert.deepStrictEqual(yield* lease.holders, [])
        for (
          const data of [
            "",
            "nonsense",
            "[1]",
            "{}",
            `{"version": 1, "holder": 5, "end": "1970-01-01T00:00:00"}`,
            `{"version": 1, "holder": "one"}`,
            ...["1970-01-01T00:00:00Z", "1970-01-01T00:00:00.5", "1970-01-01 00:00:00", "1970-02-31T00:00:00", "1970-13-01T00:00:00", "1970-01-01T24:00:00"]
              .map((end) => `{"version": 1, "holder": "one", "end": "${end}"}`)
          ]
        ) {
          yield* zk.set(path, data)
          const uses: ReadonlyArray<Effect.Effect<unknown, Lease.LeaseError>> = [
            lease.obtain,
            lease.release,
            lease.holders
          ]
          for (const use of uses) assert.strictEqual((yield* Effect.flip(use))._tag, "NotALease", data)
          assert.strictEqual(text((yield* zk.get(path)).data), data)
        }
        yield* zk.set(path, `{"end":"1970-1-1T0:0:0","holder":"other","version":1.0,"more":null}`)
        assert.isTrue(Option.isSome(yield* lease.obtain))
      }))

    it.effect("waits for the lock, with a deadline", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const lease = yield* Lease.make(root, { duration: "1 hour", identifier: "one", timeout: "50 millis" })
        const second = yield* other(connect())
        const lock = yield* Effect.provideService(Lock.make(root), ZooKeeper, second)
        yield* Effect.scoped(Effect.gen(function*() {
          yield* lock.acquire()
          const error = yield* Effect.flip(TestClock.withLive(lease.obtain))
          assert.strictEqual(error._tag, "AcquireTimeout")
        }))
        const waiting = yield* Effect.forkChild(lease.obtain)
        assert.isTrue(Option.isSome(yield* Fiber.join(waiting)))
        assert.deepStrictEqual(yield* zk.getChildren(root), ["lease_holder"])
      }))

    it.effect("several: one each, the own one again", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const of = (identifier: string) => Lease.makeMulti(root, { count: 2, duration: "1 hour", identifier })
        const [one, two, three] = yield* Effect.all([of("one"), of("two"), of("three")])
        const where = (held: Option.Option<Lease.Held>) => Option.getOrUndefined(held)?.path.slice(root.length)
        assert.strictEqual(where(yield* one.obtain), "/0/lease_holder")
        assert.strictEqual(where(yield* two.obtain), "/1/lease_holder")
        assert.isTrue(Option.isNone(yield* three.obtain))
        assert.deepStrictEqual((yield* three.holders).map(({ holder }) => holder), ["one", "two"])
        assert.isTrue(yield* one.release)
        assert.strictEqual(where(yield* two.obtain), "/1/lease_holder")
        assert.strictEqual(where(yield* three.obtain), "/0/lease_holder")
        assert.deepStrictEqual((yield* zk.getChildren(root)).toSorted(), ["0", "1"])
      }))

    it.effect("malformed arguments are refused", () =>
      Effect.gen(function*() {
        const options = { duration: "1 hour", identifier: "one" } as const
        assert.strictEqual(yield* argument(Lease.make("lease", options)), "path")
        assert.strictEqual(yield* argument(Lease.make("/lease", { ...options, duration: Infinity })), "duration")
        for (const count of [0, -1, 1.5]) {
          assert.strictEqual(yield* argument(Lease.makeMulti("/lease", { ...options, count })), "count")
        }
      }))
  })
}

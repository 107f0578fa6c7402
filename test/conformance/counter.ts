/** What counters do, against any server. */
import { assert, layer as shared } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Counter from "../../src/recipe/Counter.ts"
import { ZooKeeper } from "../../src/ZooKeeper.ts"
import { record } from "../../src/testing/Recording.ts"
import type { Connect } from "../../src/testing/Connect.ts"
import { here, inRealTime, other, text } from "./recipes.ts"

const hex = (data: Uint8Array): string => Buffer.from(data).toString("hex")

export const counter = (title: string, connect: Connect): void => {
  shared(inRealTime(connect()), { timeout: "30 seconds" })(title, (it) => {
    it.effect("counts from nothing, as kazoo writes it", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const path = `${root}/deep/counter`
        const counter = yield* Counter.make(path)
        assert.strictEqual(yield* counter.value, 0n)
        assert.deepStrictEqual(yield* counter.increment, { before: 0n, after: 1n })
        assert.deepStrictEqual(yield* counter.add(59n), { before: 1n, after: 60n })
        assert.strictEqual(text((yield* zk.get(path)).data), "60")
        assert.deepStrictEqual(yield* counter.add(-63n), { before: 60n, after: -3n })
        assert.strictEqual(text((yield* zk.get(path)).data), "-3")
        assert.deepStrictEqual(yield* counter.decrement, { before: -3n, after: -4n })
        assert.deepStrictEqual(yield* counter.update((value) => value * 10n ** 30n), {
          before: -4n,
          after: -4n * 10n ** 30n
        })
        assert.strictEqual(text((yield* zk.get(path)).data), `-4${"0".repeat(30)}`)
        assert.strictEqual(yield* counter.value, -4n * 10n ** 30n)
      }))

    it.effect("floats are written as Python's repr", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const path = `${root}/counter`
        const counter = yield* Counter.make(path, { encoding: Counter.float })
        for (
          const [value, expected] of [
            [0.5, "0.5"],
            [1e16, "1e+16"],
            [1e15, "1000000000000000.0"],
            [123456789012345680, "1.2345678901234568e+17"],
            [0.0001, "0.0001"],
            [0.00001, "1e-05"],
            [1.5e-7, "1.5e-07"],
            [1e100, "1e+100"],
            [-2, "-2.0"],
            [-0, "-0.0"],
            [0, "0.0"],
            [Infinity, "inf"],
            [-Infinity, "-inf"],
            [5e-324, "5e-324"],
            [1.7976931348623157e308, "1.7976931348623157e+308"],
            [12.25, "12.25"]
          ] as const
        ) {
          yield* counter.set(value)
          assert.strictEqual(text((yield* zk.get(path)).data), expected)
          assert.isTrue(Object.is(yield* counter.value, value))
        }
        yield* counter.set(Number.NaN)
        assert.strictEqual(text((yield* zk.get(path)).data), "nan")
        for (const [data, value] of [["60", 60], ["1e21", 1e21], [" 1_0.5\n", 10.5], [".5", 0.5], ["5.", 5]] as const) {
          yield* zk.set(path, data)
          assert.strictEqual(yield* counter.value, value)
        }
      }))

    it.effect("Curator's binary counters", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const int = yield* Counter.make(`${root}/int`, { encoding: Counter.int32 })
        yield* int.set(-1)
        assert.strictEqual(hex((yield* zk.get(int.path)).data), "ffffffff")
        assert.deepStrictEqual(yield* int.add(8), { before: -1, after: 7 })
        yield* int.set(2 ** 31 - 1)
        const overflow = yield* Effect.flip(int.increment)
        assert.strictEqual(overflow._tag, "CounterOverflow")
        assert.strictEqual(yield* int.value, 2 ** 31 - 1)

        const long = yield* Counter.make(`${root}/long`, { encoding: Counter.int64 })
        yield* long.add(15n)
        assert.strictEqual(hex((yield* zk.get(long.path)).data), "000000000000000f")
        yield* long.set(2n ** 63n - 1n)
        assert.strictEqual((yield* Effect.flip(long.increment))._tag, "CounterOverflow")
        yield* long.set(-(2n ** 63n))
        assert.strictEqual(yield* long.value, -(2n ** 63n))
      }))

    it.effect("empty and missing count as the initial number", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const counter = yield* Counter.make(`${root}/counter`, { encoding: Counter.integer, initial: 7n })
        assert.strictEqual(yield* counter.value, 7n)
        yield* zk.create(counter.path)
        assert.strictEqual(yield* counter.value, 7n)
        assert.deepStrictEqual(yield* counter.increment, { before: 7n, after: 8n })
      }))

    it.effect("what is no number is refused and left alone", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const path = yield* zk.create(`${root}/counter`, "12.5")
        const integer = yield* Counter.make(path)
        for (const data of ["12.5", "1e21", "0x10", "--1", "_1", "1_", "", " ", "Infinity", "١"]) {
          if (data === "") continue
          yield* zk.set(path, data)
          assert.strictEqual((yield* Effect.flip(integer.value))._tag, "NotACounter")
          assert.strictEqual((yield* Effect.flip(integer.increment))._tag, "NotACounter")
          assert.strictEqual(text((yield* zk.get(path)).data), data)
        }
        const int = yield* Counter.make(path, { encoding: Counter.int32 })
        yield* zk.set(path, "12345")
        assert.strictEqual((yield* Effect.flip(int.value))._tag, "NotACounter")
        const float = yield* Counter.make(path, { encoding: Counter.float })
        for (const data of ["1e", "e5", ".", "1__0", "0x1p3"]) {
          yield* zk.set(path, data)
          assert.strictEqual((yield* Effect.flip(float.value))._tag, "NotACounter", data)
        }
      }))

    it.effect("every one of many concurrent changes counts", () =>
      Effect.gen(function*() {
        const { root } = yield* here
        const path = `${root}/counter`
        const second = yield* other(connect())
        const count = Effect.gen(function*() {
          const counter = yield* Counter.make(path)
          return yield* Effect.forEach(Array.from({ length: 20 }), () => counter.increment, { concurrency: 4 })
        })
        const changes = yield* Effect.all([
          count,
          count,
          Effect.provideService(count, ZooKeeper, second)
        ], { concurrency: "unbounded" })
        const counter = yield* Counter.make(path)
        assert.strictEqual(yield* counter.value, 60n)
        const afters = changes.flat().map(({ after }) => Number(after))
        assert.deepStrictEqual(afters.toSorted((a, b) => a - b), Array.from({ length: 60 }, (_, index) => index + 1))
      }))

    it.effect("compareAndSet", () =>
      Effect.gen(function*() {
        const { root } = yield* here
        const counter = yield* Counter.make(`${root}/counter`)
        assert.isFalse(yield* counter.compareAndSet(1n, 2n))
        assert.isTrue(yield* counter.compareAndSet(0n, 2n))
        assert.strictEqual(yield* counter.value, 2n)
      }))

    it.effect("update runs an effect, and fails with its error", () =>
      Effect.gen(function*() {
        const { root } = yield* here
        const counter = yield* Counter.make(`${root}/counter`)
        assert.strictEqual(yield* Effect.flip(counter.update(() => Effect.fail("no" as const))), "no")
        assert.deepStrictEqual(yield* counter.update((value) => Effect.succeed(value + 5n)), { before: 0n, after: 5n })
      }))

    it.effect("changes", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const counter = yield* Counter.make(`${root}/counter`)
        const seen = yield* record(counter.changes)
        assert.strictEqual(yield* seen.next, 0n)
        yield* counter.increment
        assert.strictEqual(yield* seen.next, 1n)
        yield* zk.set(counter.path, "1")
        yield* counter.add(4n)
        assert.strictEqual(yield* seen.next, 5n)
      }))

    it.effect("leaves nothing but the number", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const path = `${root}/counter`
        yield* Effect.scoped(Effect.flatMap(Counter.make(path), (counter) => counter.increment))
        assert.deepStrictEqual(yield* zk.getChildren(root), ["counter"])
        assert.deepStrictEqual(yield* zk.getChildren(path), [])
      }))

    it.effect("bad paths are refused", () =>
      Effect.gen(function*() {
        assert.strictEqual((yield* Effect.flip(Counter.make("relative")))._tag, "BadArguments")
      }))
  })
}

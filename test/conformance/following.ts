/** What typed znodes and watches with a function promise, whatever server is behind the layer. */
import { assert, describe } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as ChildrenWatch from "../../src/recipe/ChildrenWatch.ts"
import * as DataWatch from "../../src/recipe/DataWatch.ts"
import * as PatientChildrenWatch from "../../src/recipe/PatientChildrenWatch.ts"
import * as Transaction from "../../src/Transaction.ts"
import * as TypedZnode from "../../src/TypedZnode.ts"
import { ZooKeeper } from "../../src/ZooKeeper.ts"
import type { Connect } from "../../src/testing/Connect.ts"
import { record, text } from "../../src/testing/Recording.ts"
import { tests } from "./clients.ts"

const Limits = Schema.Struct({ connections: Schema.Int, until: Schema.Date })

/** The behaviours against a server; each connection is another client. */
export const following = (name: string, connect: Connect): void => {
  const test = tests(connect)

  describe(`${name}: TypedZnode`, () => {
    test("values are JSON by their Schema", ({ other, root }) =>
      Effect.gen(function*() {
        const limits = TypedZnode.make(`${root}/limits`, Limits)
        const until = new Date("2030-01-01T00:00:00Z")
        assert.strictEqual((yield* Effect.flip(limits.get))._tag, "NoNode")
        yield* limits.create({ connections: 1, until }, { mode: "ephemeral" })
        assert.deepStrictEqual(
          text(Option.some(yield* other.get(limits.path))),
          Option.some(`{"connections":1,"until":"2030-01-01T00:00:00.000Z"}`)
        )
        assert.deepStrictEqual((yield* limits.get).value, { connections: 1, until })
        const stat = yield* limits.set({ connections: 2, until }, 0)
        assert.strictEqual(stat.version, 1)
        assert.strictEqual((yield* Effect.flip(limits.set({ connections: 3, until }, 0)))._tag, "BadVersion")
        const updated = yield* limits.update((now) => ({ ...now, connections: now.connections + 1 }))
        assert.strictEqual(updated.value.connections, 3)
        assert.deepStrictEqual((yield* limits.get).value, updated.value)
        yield* Effect.all(
          Array.from({ length: 20 }, () =>
            limits.update((now) => Effect.succeed({ ...now, connections: now.connections + 1 }))),
          { concurrency: "unbounded" }
        )
        assert.strictEqual((yield* limits.get).value.connections, 23)
        assert.strictEqual(yield* Effect.flip(limits.update(() => Effect.fail("no" as const))), "no")
      }))

    test("what does not fit is typed, and does not hide what follows", ({ other, root }) =>
      Effect.gen(function*() {
        const limits = TypedZnode.make(root, Limits)
        const invalid = yield* Effect.flip(limits.set({ connections: 0.5, until: new Date(0) }))
        assert.strictEqual(invalid._tag, "InvalidData")
        const zk = yield* ZooKeeper
        const changes = yield* record(Stream.provideService(limits.changes, ZooKeeper, zk))
        const results = yield* record(Stream.provideService(limits.results, ZooKeeper, zk))
        for (const garbage of ["", "{", `{"connections":"1"}`, new Uint8Array([0xff])]) {
          yield* other.set(root, garbage)
          const error = yield* Effect.flip(limits.get)
          assert.isTrue(error._tag === "InvalidData" && error.path === root)
        }
        assert.strictEqual((yield* Effect.flip(changes.end))._tag, "InvalidData")
        yield* limits.set({ connections: 7, until: new Date(0) })
        const fits = yield* results.upTo((result) =>
          Result.isSuccess(result) && Option.exists(result.success, ({ value }) => value.connections === 7))
        assert.isTrue(fits.slice(0, -1).every(Result.isFailure))
        yield* other.delete(root)
        yield* results.upTo((result) => Result.isSuccess(result) && Option.isNone(result.success))
      }))

    test("other forms than JSON", ({ other, root }) =>
      Effect.gen(function*() {
        const raw = TypedZnode.fromBytes(root, Schema.Uint8Array)
        yield* raw.set(new Uint8Array([1, 2]))
        assert.deepStrictEqual([...(yield* other.get(root)).data], [1, 2])
        assert.deepStrictEqual([...(yield* raw.get).value], [1, 2])
      }))
  })

  describe(`${name}: watches with a function`, () => {
    test("DataWatch: now and at every change, with what happened, until it says so", ({ other, root }) =>
      Effect.gen(function*() {
        const path = `${root}/a`
        const calls = yield* Queue.unbounded<string>()
        const watching = yield* Effect.forkScoped(DataWatch.run(path, (znode, event) =>
          Effect.sync(() => {
            const data = Option.getOrElse(text(znode), () => "nothing")
            Queue.offerUnsafe(calls, `${Option.match(event, { onNone: () => "first", onSome: ({ _tag }) => _tag })} ${data}`)
            return data !== "end"
          })))
        assert.strictEqual(yield* Queue.take(calls), "first nothing")
        yield* other.create(path, "1")
        assert.strictEqual(yield* Queue.take(calls), "NodeCreated 1")
        yield* other.set(path, "2")
        assert.strictEqual(yield* Queue.take(calls), "NodeDataChanged 2")
        yield* other.delete(path)
        assert.strictEqual(yield* Queue.take(calls), "NodeDeleted nothing")
        yield* other.create(path, "end")
        assert.strictEqual(yield* Queue.take(calls), "NodeCreated end")
        yield* Fiber.join(watching)
        yield* DataWatch.run(path, () => Effect.succeed(false))
        assert.strictEqual(yield* Effect.flip(DataWatch.run(path, () => Effect.fail("mine"))), "mine")
      }))

    test("DataWatch: runExisting ends with the znode, or at once without one", ({ other, root }) =>
      Effect.gen(function*() {
        const seen: Array<number> = []
        const called = yield* Deferred.make<void>()
        const see = DataWatch.runExisting(`${root}/a`, ({ stat }) =>
          Effect.andThen(Effect.sync(() => seen.push(stat.version)), Effect.asVoid(Deferred.succeed(called, undefined))))
        yield* see
        yield* other.create(`${root}/a`)
        const watching = yield* Effect.forkChild(see)
        yield* Deferred.await(called)
        yield* other.delete(`${root}/a`)
        yield* Fiber.join(watching)
        assert.deepStrictEqual(seen, [0])
      }))

    test("ChildrenWatch: now and at every change, and a missing znode does not end it", ({ other, root }) =>
      Effect.gen(function*() {
        const path = `${root}/a`
        const calls = yield* Queue.unbounded<string>()
        const watching = yield* Effect.forkScoped(ChildrenWatch.run(path, (state) =>
          Effect.sync(() => {
            Queue.offerUnsafe(calls, Option.match(state, {
              onNone: () => "nothing",
              onSome: ({ children }) => `[${children.toSorted().join()}]`
            }))
            return !Option.exists(state, ({ children }) => children.includes("end"))
          }), { allowSessionLost: false }))
        assert.strictEqual(yield* Queue.take(calls), "nothing")
        yield* other.create(path)
        assert.strictEqual(yield* Queue.take(calls), "[]")
        yield* other.create(`${path}/x`)
        assert.strictEqual(yield* Queue.take(calls), "[x]")
        yield* other.create(`${path}/end`)
        assert.strictEqual(yield* Queue.take(calls), "[end,x]")
        yield* Fiber.join(watching)
      }))

    test("changes during a call collapse, and the last of them is told", ({ other, root }) =>
      Effect.gen(function*() {
        const changed = yield* Deferred.make<void>()
        const begun = yield* Deferred.make<void>()
        const slowly = Effect.andThen(Deferred.succeed(begun, undefined), Deferred.await(changed))
        const seen: Array<string> = []
        const data = yield* Effect.forkChild(DataWatch.run(root, (znode) =>
          Effect.as(
            Effect.andThen(slowly, Effect.sync(() => seen.push(Option.getOrElse(text(znode), () => "nothing")))),
            !Option.contains(text(znode), "5")
          )))
        const children = yield* Effect.forkChild(ChildrenWatch.run(root, (state) =>
          Effect.as(slowly, !Option.exists(state, ({ children }) => children.length === 5))))
        yield* Deferred.await(begun)
        for (const value of ["1", "2", "3", "4", "5"]) {
          yield* other.set(root, value)
          yield* other.create(`${root}/${value}`)
        }
        yield* Deferred.succeed(changed, undefined)
        yield* Fiber.join(data)
        yield* Fiber.join(children)
        // Some are left out, none comes twice or late.
        assert.deepStrictEqual(seen, [...new Set(seen)].toSorted())
      }))

    test("PatientChildrenWatch: only when they are quiet, then tells that they are not", ({ other, root }) =>
      Effect.gen(function*() {
        const path = `${root}/a`
        const timeBoundary = "300 millis"
        const waiting = yield* Effect.forkChild(PatientChildrenWatch.once(path, { timeBoundary }), {
          startImmediately: true
        })
        // At once: no pause between them can be taken for quiet.
        yield* other.transaction([
          Transaction.create(path),
          ...[0, 1, 2, 3, 4].map((index) => Transaction.create(`${path}/${index}`))
        ])
        const quiet = yield* Fiber.join(waiting)
        assert.strictEqual(quiet.children.length, 5)
        const changed = yield* Effect.forkChild(quiet.changed, { startImmediately: true })
        yield* other.delete(`${path}/0`)
        yield* Fiber.join(changed)
        // Who asks later is told at once.
        yield* quiet.changed
        const states = yield* record(
          Stream.provideService(PatientChildrenWatch.changes(path, { timeBoundary: 1 }), ZooKeeper, yield* ZooKeeper)
        )
        assert.strictEqual((yield* states.next).children.length, 4)
        yield* other.deleteRecursive(path)
        yield* other.create(path)
        assert.isTrue((yield* states.upTo(({ children }) => children.length === 0)).length > 0)
      }))
  })
}

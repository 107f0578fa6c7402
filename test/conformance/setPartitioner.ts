/** What set partitioners do, against any server. */
import { assert, layer as shared } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as SetPartitioner from "../../src/recipe/SetPartitioner.ts"
import type { Connect } from "../../src/testing/Connect.ts"
import { record } from "../../src/testing/Recording.ts"
import { ZooKeeper } from "../../src/ZooKeeper.ts"
import { here, inRealTime, other, text } from "./recipes.ts"

const settleTime = "60 millis"

/** Under the clock of the machine: the client shares the test's clock, which stands still. */
const live = TestClock.withLive

const recorded = <A, E>(stream: Stream.Stream<A, E>) => live(record(stream))

const shares = (expected: string) => (mine: ReadonlyArray<string>) => mine.join("") === expected

const argument = (path: string, options: SetPartitioner.Options) =>
  Effect.map(Effect.flip(SetPartitioner.make(path, options)), (error) => error.argument)

export const setPartitioner = (title: string, connect: Connect): void => {
  shared(inRealTime(connect()), { timeout: "30 seconds" })(title, (it) => {
    it.effect("kazoo's znodes; alone it gets everything", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const path = `${root}/deep/work`
        const partitioner = yield* SetPartitioner.make(path, {
          items: ["b", "a", "c", "a"],
          identifier: "host-1",
          settleTime
        })
        const states = yield* recorded(partitioner.states)
        assert.strictEqual((yield* states.next)._tag, "Allocating")
        const acquired = yield* states.next
        assert.isTrue(acquired._tag === "Acquired")
        if (acquired._tag !== "Acquired") return
        assert.deepStrictEqual(acquired.items, ["a", "b", "c"])
        const [member = ""] = yield* zk.getChildren(`${path}/party`)
        assert.match(member, /^[0-9a-f]{32}-host-1$/)
        const { data, stat } = yield* zk.get(`${path}/party/${member}`)
        assert.strictEqual(text(data), "host-1")
        assert.strictEqual(stat.ephemeralOwner, (yield* zk.session).id)
        // Nobody sees the one without the other.
        assert.strictEqual((yield* zk.get(`${path}/sets/${member}`)).stat.czxid, stat.czxid)
        assert.deepStrictEqual((yield* zk.getChildren(`${path}/locks`)).toSorted(), ["a", "b", "c"])
        const [lock = ""] = yield* zk.getChildren(`${path}/locks/a`)
        assert.match(lock, /^[0-9a-f]{32}__lock__\d{10}$/)
        assert.strictEqual(acquired.grants[0]?.path, `${path}/locks/a/${lock}`)
        yield* states.stop
        assert.deepStrictEqual(yield* zk.getChildren(`${path}/party`), [])
        assert.deepStrictEqual(yield* zk.getChildren(`${path}/sets`), [])
        assert.deepStrictEqual(yield* zk.getChildren(`${path}/locks/a`), [])
      }))

    it.effect("divides anew when members come and go; nobody has what another has", () =>
      Effect.gen(function*() {
        const { root } = yield* here
        const items = ["1", "2", "3", "4", "5"]
        const owners = new Map<string, string>()
        const join = (identifier: string) =>
          Effect.gen(function*() {
            const partitioner = yield* SetPartitioner.make(root, { items, identifier, settleTime })
            return yield* recorded(partitioner.partition.pipe(
              Stream.switchMap((mine) =>
                Stream.scoped(Stream.fromEffect(Effect.acquireRelease(
                  Effect.sync(() => {
                    for (const item of mine) {
                      assert.isUndefined(owners.get(item), item)
                      owners.set(item, identifier)
                    }
                    return mine
                  }),
                  () => Effect.sync(() => mine.forEach((item) => owners.delete(item)))
                )).pipe(Stream.concat(Stream.never)))
              )
            ))
          })
        const a = yield* join("a")
        yield* a.upTo(shares("12345"))
        const second = yield* other(connect())
        const b = yield* Effect.provideService(join("b"), ZooKeeper, second)
        yield* a.upTo(shares("135"))
        yield* b.upTo(shares("24"))
        const c = yield* join("c")
        yield* a.upTo(shares("14"))
        yield* b.upTo(shares("25"))
        yield* c.upTo(shares("3"))
        yield* a.stop
        yield* b.upTo(shares("135"))
        yield* c.upTo(shares("24"))
        yield* b.stop
        yield* c.upTo(shares("12345"))
        assert.deepStrictEqual(Array.from(owners.values()), ["c", "c", "c", "c", "c"])
        yield* c.stop
        assert.strictEqual(owners.size, 0)
      }))

    it.effect("items are let go only when the state after Releasing is asked for", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const of = (identifier: string) => SetPartitioner.make(root, { items: ["x"], identifier, settleTime })
        const [a, b] = yield* Effect.all([of("a"), of("b")])
        const pulling = yield* live(Stream.toPull(a.states))
        const next = live(Effect.map(pulling, ([state]) => state))
        assert.strictEqual((yield* next)._tag, "Allocating")
        assert.strictEqual((yield* next)._tag, "Acquired")
        const second = yield* recorded(b.partition)
        assert.strictEqual((yield* next)._tag, "Releasing")
        assert.strictEqual((yield* zk.getChildren(`${root}/locks/x`)).length, 1)
        assert.strictEqual((yield* next)._tag, "Allocating")
        assert.deepStrictEqual(yield* zk.getChildren(`${root}/locks/x`), [])
        const again = yield* next
        assert.isTrue(again._tag === "Acquired" && again.items.length === 1)
        assert.deepStrictEqual(yield* second.next, [])
      }))

    it.effect("a division of one's own", () =>
      Effect.gen(function*() {
        const { root } = yield* here
        const partitioner = yield* SetPartitioner.make(root, {
          items: ["a", "b"],
          identifier: "me",
          settleTime,
          divide: (identifier, members, items) => {
            assert.deepStrictEqual([identifier, members, items], ["me", ["me"], ["a", "b"]])
            return ["b"]
          }
        })
        const seen = yield* recorded(partitioner.partition)
        yield* seen.upTo((items) => items.join() === "b")
      }))

    it.effect("equal identifiers: the newcomer fails, the other goes on", () =>
      Effect.gen(function*() {
        const { root } = yield* here
        const of = SetPartitioner.make(root, { items: ["a"], identifier: "me", settleTime })
        const first = yield* recorded((yield* of).partition)
        yield* first.upTo((items) => items.length === 1)
        const error = yield* Effect.flip(live(Stream.runDrain((yield* of).states)))
        assert.strictEqual(error._tag, "DuplicateIdentifier")
        yield* first.upTo((items) => items.length === 1)
      }))

    it.effect("other items: the newcomer fails, the other goes on", () =>
      Effect.gen(function*() {
        const { root } = yield* here
        const of = (identifier: string, items: ReadonlyArray<string>) =>
          SetPartitioner.make(root, { items, identifier, settleTime })
        const first = yield* recorded((yield* of("old", ["a", "b"])).partition)
        yield* first.upTo((items) => items.length === 2)
        const error = yield* Effect.flip(live(Stream.runDrain((yield* of("new", ["a", "c"])).states)))
        assert.isTrue(error._tag === "DifferentItems" && error.members.join() === "old")
        yield* first.upTo((items) => items.length === 2)
      }))

    it.effect("malformed arguments are refused", () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* argument("work", { items: [] }), "path")
        assert.strictEqual(yield* argument("/work", { items: ["a/b"] }), "items")
        assert.strictEqual(yield* argument("/work", { items: [""] }), "items")
        assert.strictEqual(yield* argument("/work", { items: [], identifier: "a/b" }), "identifier")
        const { root } = yield* here
        const nothing = yield* SetPartitioner.make(root, { items: [], settleTime })
        const states = yield* recorded(nothing.states)
        yield* states.next
        const acquired = yield* states.next
        assert.isTrue(acquired._tag === "Acquired" && acquired.items.length === 0)
        const waiting = yield* Effect.forkChild(states.next)
        yield* Effect.yieldNow
        assert.isUndefined(waiting.pollUnsafe())
        yield* Fiber.interrupt(waiting)
        assert.isTrue(Option.isSome(yield* Stream.runHead(Stream.fromIterable(states.seen))))
      }))
  })
}

import { assert, describe, it } from "@effect/vitest"
import type { NonEmptyReadonlyArray } from "effect/Array"
import { Effect, Random } from "effect"
import * as HostList from "../../src/client/HostList.ts"
import type { Host } from "../../src/ConnectionString.ts"

const hosts = (first: string, ...others: ReadonlyArray<string>): NonEmptyReadonlyArray<Host> => [
  { host: first, port: 2181 },
  ...others.map((host) => ({ host, port: 2181 }))
]

const take = (list: HostList.HostList, count: number) => Array.from({ length: count }, () => list.next())
const names = (taken: ReadonlyArray<HostList.Next>) => taken.map(({ host }) => host.host)
const rounds = (taken: ReadonlyArray<HostList.Next>) => taken.map(({ roundCompleted }) => roundCompleted)

const five = hosts("a", "b", "c", "d", "e")

/** Clients of an ensemble whose list is replaced: who is where then, and how many have moved. */
const rebalanced = (before: NonEmptyReadonlyArray<Host>, after: NonEmptyReadonlyArray<Host>, clients: number) =>
  Effect.gen(function*() {
    const counts = new Map<string, number>()
    let moved = 0
    for (let client = 0; client < clients; client++) {
      const list = yield* HostList.make(before)
      let at = list.next().host.host
      list.succeeded()
      if (yield* list.update(after)) {
        moved++
        at = list.next().host.host
        list.succeeded()
      }
      counts.set(at, (counts.get(at) ?? 0) + 1)
    }
    return { counts, moved: moved / clients }
  })

describe("HostList", () => {
  it.effect("is a permutation, the same for the same seed, repeated for ever", () =>
    Effect.gen(function*() {
      const list = yield* HostList.make(five)
      assert.strictEqual(list.size, 5)
      const first = names(take(list, 5))
      assert.deepStrictEqual(first.toSorted(), ["a", "b", "c", "d", "e"])
      assert.deepStrictEqual(names(take(list, 5)), first)
      const seeded = Effect.map(HostList.make(five), (seeded) => names(take(seeded, 5))).pipe(Random.withSeed("seed"))
      assert.deepStrictEqual(yield* seeded, yield* seeded)
    }))

  it.effect("starts everywhere about equally often", () =>
    Effect.gen(function*() {
      const counts = new Map<string, number>()
      for (let run = 0; run < 5000; run++) {
        const { host } = (yield* HostList.make(five)).next().host
        counts.set(host, (counts.get(host) ?? 0) + 1)
      }
      for (const count of counts.values()) assert.closeTo(count, 1000, 150)
      assert.strictEqual(counts.size, 5)
    }).pipe(Random.withSeed("spread")))

  it.effect("tells once per fruitless round, before its first host is tried again", () =>
    Effect.gen(function*() {
      const list = yield* HostList.make(hosts("a", "b", "c"))
      assert.deepStrictEqual(rounds(take(list, 9)), [false, false, false, true, false, false, true, false, false])
    }))

  it.effect("a single host completes a round with every failure", () =>
    Effect.gen(function*() {
      const list = yield* HostList.make(hosts("a"))
      assert.deepStrictEqual(rounds(take(list, 3)), [false, true, true])
    }))

  it.effect("success resets the round but not the position", () =>
    Effect.gen(function*() {
      const list = yield* HostList.make(hosts("a", "b", "c"))
      const order = names(take(list, 3))
      list.next()
      list.succeeded()
      const taken = take(list, 4)
      assert.deepStrictEqual(names(taken), [order[1], order[2], order[0], order[1]])
      assert.deepStrictEqual(rounds(taken), [false, false, false, true])
    }))

  it.effect("does not depend on the caller's array", () =>
    Effect.gen(function*() {
      const mutable: [Host, ...Array<Host>] = [{ host: "a", port: 2181 }, { host: "b", port: 2181 }]
      const list = yield* HostList.make(mutable)
      mutable.pop()
      assert.strictEqual(list.size, 2)
      assert.sameMembers(names(take(list, 2)), ["a", "b"])
    }))

  it.effect("update goes on behind the current host if it is still there", () =>
    Effect.gen(function*() {
      for (let run = 0; run < 50; run++) {
        const list = yield* HostList.make(five)
        const current = names(take(list, 1))[0]
        assert.isFalse(yield* list.update(five))
        assert.strictEqual(list.size, 5)
        const taken = take(list, 6)
        assert.strictEqual(names(taken)[4], current)
        assert.strictEqual(new Set(names(taken)).size, 5)
        assert.deepStrictEqual(rounds(taken), [false, false, false, false, false, true])
      }
    }))

  it.effect("update begins anew if the current host is gone", () =>
    Effect.gen(function*() {
      const list = yield* HostList.make(hosts("a"))
      list.next()
      yield* list.update(hosts("b", "c"))
      const taken = take(list, 3)
      assert.sameMembers(names(taken.slice(0, 2)), ["b", "c"])
      assert.deepStrictEqual(rounds(taken), [false, false, true])
    }))

  it.effect("update does not mistake another port for the current server", () =>
    Effect.gen(function*() {
      const firsts = new Set<string>()
      for (let run = 0; run < 50; run++) {
        const list = yield* HostList.make(hosts("a"))
        list.next()
        yield* list.update([{ host: "a", port: 1 }, { host: "b", port: 1 }])
        firsts.add(list.next().host.host)
      }
      assert.sameMembers([...firsts], ["a", "b"])
    }).pipe(Random.withSeed("ports")))

  it.effect("update before the first attempt may begin with any host", () =>
    Effect.gen(function*() {
      const firsts = new Set<string>()
      for (let run = 0; run < 50; run++) {
        const list = yield* HostList.make(hosts("a"))
        yield* list.update(hosts("a", "b"))
        firsts.add(list.next().host.host)
      }
      assert.sameMembers([...firsts], ["a", "b"])
    }).pipe(Random.withSeed("fresh")))

  it.effect("update to a shorter list stays inside it", () =>
    Effect.gen(function*() {
      const list = yield* HostList.make(five)
      take(list, 5)
      yield* list.update(hosts("x", "y"))
      assert.sameMembers(names(take(list, 2)), ["x", "y"])
    }))

  const cases = [
    ["servers are added", hosts("a", "b", "c"), five, 2 / 5],
    ["servers are removed", five, hosts("a", "b", "c"), 2 / 5],
    ["one is replaced", hosts("a", "b", "c"), hosts("a", "b", "x"), 1 / 3],
    ["added while ours goes", hosts("a", "b", "c"), hosts("b", "c", "x", "y", "z"), 3 / 5],
    ["removed and replaced", five, hosts("a", "b", "x"), 3 / 5],
    ["all are replaced", hosts("a", "b", "c"), hosts("x", "y", "z"), 1]
  ] as const
  for (const [name, before, after, share] of cases) {
    it.effect(`${name}: all have their share then, and no more have moved than must`, () =>
      Effect.gen(function*() {
        const clients = 6000
        const { counts, moved } = yield* rebalanced(before, after, clients)
        for (const { host } of after) assert.closeTo((counts.get(host) ?? 0) / clients, 1 / after.length, 0.03, host)
        assert.closeTo(moved, share, 0.03)
      }).pipe(Random.withSeed(name)))
  }

  it.effect("who moves tries every server once, those of the odds first, then goes round", () =>
    Effect.gen(function*() {
      const list = yield* HostList.make(hosts("a"))
      list.next()
      assert.isTrue(yield* list.update(hosts("x", "y", "z")))
      const taken = take(list, 6)
      assert.sameMembers(names(taken.slice(0, 3)), ["x", "y", "z"])
      assert.deepStrictEqual(rounds(taken), [false, false, false, true, false, false])
    }))

  it.effect("a preferred server is tried next, and the round goes on behind it", () =>
    Effect.gen(function*() {
      const list = yield* HostList.make(five)
      const order = names(take(list, 5))
      const host = { host: order[2] ?? "", port: 2181 }
      list.prefer(host)
      assert.deepStrictEqual(list.next().host, host)
      list.succeeded()
      assert.strictEqual(list.next().host.host, order[3])
    }))
})

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as References from "effect/References"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as SetPartitioner from "../../src/recipe/SetPartitioner.ts"
import { record } from "../../src/testing/Recording.ts"
import { ZooKeeper } from "../../src/ZooKeeper.ts"
import { connect, shared } from "../support/Clients.ts"
import { atEveryRequest, cutAt, eventually, expire, interruptedAt, type World, world } from "../support/Faults.ts"
import { onEveryServer } from "./servers.ts"
import { setPartitioner } from "./setPartitioner.ts"

onEveryServer(setPartitioner)

const memberOf = (zk: World["zk"], path: string, identifier: string) =>
  Effect.provideService(
    SetPartitioner.make(path, { items: ["a", "b"], identifier, settleTime: 30 }),
    ZooKeeper,
    zk
  )

const test = <E>(title: string, body: (world: World) => Effect.Effect<void, E, Scope.Scope>, sessionTimeout = 4000) =>
  it.live(title, () =>
    Effect.flatMap(world({ sessionTimeout }), body).pipe(
      // Lost connections are what these tests are about.
      Effect.provideService(References.MinimumLogLevel, "Error")
    ), 60_000)

/** What is left of members and locks. */
const leftovers = ({ witness }: World, path: string) =>
  Effect.gen(function*() {
    const below = ["party", "sets", "locks/a", "locks/b"].map((each) => `${path}/${each}`)
    const found = yield* Effect.forEach(below, (each) =>
      Effect.catchTag(witness.getChildren(each), "NoNode", () => Effect.succeed([])))
    return found.flat()
  })

describe.skipIf(shared === undefined)("set partitioner: faults", () => {
  test("a reply lost at any request", (there) =>
    Effect.gen(function*() {
      const requests = yield* atEveryRequest((index) =>
        Effect.scoped(Effect.gen(function*() {
          const path = `${there.root}/work-${index}`
          const seen = yield* record((yield* memberOf(there.zk, path, "me")).partition)
          yield* seen.upTo((items) => items.join() === "a,b")
          yield* seen.stop
          yield* eventually(Effect.map(leftovers(there, path), (names) => names.length === 0))
        })), cutAt(there.proxy))
      assert.isAbove(requests, 12)
    }))

  test("interrupted at any request, with and without its reply, leaves neither member nor lock", (there) =>
    Effect.gen(function*() {
      for (const lost of [false, true]) {
        for (let index = 0, reached = true; reached; index++) {
          const path = `${there.root}/work-${lost}-${index}`
          const { partition } = yield* memberOf(there.zk, path, "me")
          reached = yield* interruptedAt(
            there.proxy,
            index,
            Stream.runDrain(Stream.takeUntil(partition, (items) => items.length === 2)),
            lost
          )
          yield* eventually(Effect.map(leftovers(there, path), (names) => names.length === 0))
          if (!reached) assert.isAbove(index, 10)
        }
      }
    }))

  test("goes on in a new session, and lets go of what it had", (there) =>
    Effect.gen(function*() {
      const states = yield* record((yield* memberOf(there.zk, there.root, "me")).states)
      yield* states.upTo(({ _tag }) => _tag === "Acquired")
      yield* expire(there)
      assert.strictEqual((yield* states.next)._tag, "Releasing")
      yield* states.upTo(({ _tag }) => _tag === "Acquired")
      const { id } = yield* there.zk.session
      const [member] = yield* there.witness.getChildren(`${there.root}/party`)
      const { stat } = yield* there.witness.get(`${there.root}/party/${member}`)
      assert.strictEqual(stat.ephemeralOwner, id)
    }), 1000)

  test("ends when the client does", (there) =>
    Effect.gen(function*() {
      const seen = yield* Effect.scoped(Effect.gen(function*() {
        const zk = yield* connect()
        const { partition } = yield* memberOf(zk, there.root, "me")
        const fiber = yield* Effect.forkDetach(Effect.flip(Stream.runDrain(partition)), { startImmediately: true })
        yield* eventually(Effect.map(leftovers(there, there.root), (names) => names.length === 4))
        return fiber
      }))
      const error = yield* Fiber.join(seen)
      assert.isTrue(error._tag === "ConnectionError" && error.reason._tag === "Closed")
      yield* eventually(Effect.map(leftovers(there, there.root), (names) => names.length === 0))
    }))
})

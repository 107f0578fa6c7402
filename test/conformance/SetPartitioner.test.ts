import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as SetPartitioner from "../../src/recipe/SetPartitioner.ts"
import { record } from "../../src/testing/Recording.ts"
import { ZooKeeper } from "../../src/ZooKeeper.ts"
import { connect } from "../support/Clients.ts"
import {
  atEveryRequest,
  brief,
  cutAt,
  eventually,
  expire,
  faults,
  interruptedAtEveryRequest,
  type World
} from "../support/Faults.ts"
import { onEveryServer } from "./servers.ts"
import { setPartitioner } from "./setPartitioner.ts"

onEveryServer(setPartitioner)

const memberOf = (zk: World["zk"], path: string, identifier: string) =>
  Effect.provideService(
    SetPartitioner.make(path, { items: ["a", "b"], identifier, settleTime: 30 }),
    ZooKeeper,
    zk
  )

/** What is left of members and locks. */
const leftovers = ({ witness }: World, path: string) =>
  Effect.gen(function*() {
    const below = ["party", "sets", "locks/a", "locks/b"].map((each) => `${path}/${each}`)
    const found = yield* Effect.forEach(below, (each) =>
      Effect.catchTag(witness.getChildren(each), "NoNode", () => Effect.succeed([])))
    return found.flat()
  })

faults("set partitioner: faults", (test) => {
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
      const requests = yield* interruptedAtEveryRequest(there.proxy, (name, interrupted) =>
        Effect.gen(function*() {
          const path = `${there.root}/work-${name}`
          const { partition } = yield* memberOf(there.zk, path, "me")
          yield* interrupted(Stream.runDrain(Stream.takeUntil(partition, (items) => items.length === 2)))
          yield* eventually(Effect.map(leftovers(there, path), (names) => names.length === 0))
        }))
      assert.isAbove(requests, 10)
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
      assert.strictEqual((yield* there.witness.get(`${there.root}/sets/${member}`)).stat.czxid, stat.czxid)
    }), brief)

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

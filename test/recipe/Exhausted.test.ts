/** What becomes of the order when the parent's counter is at its end: servers give 2147483647 again and again. */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as MemoryServer from "../../src/memory/Server.ts"
import * as Lock from "../../src/recipe/Lock.ts"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import { eventually } from "../conformance/lock.ts"
import { dial } from "../memory/dial.ts"

const lockOf = (zk: ZooKeeper.Service) => Effect.provideService(Lock.make("/lock"), ZooKeeper.ZooKeeper, zk)

describe("a parent whose numbers are exhausted", () => {
  it.live("is refused, and those before are served", () =>
    Effect.gen(function*() {
      const server = yield* MemoryServer.make()
      const client = ZooKeeper.make({ hosts: "memory:2181", dial: dial(server) })
      const [first, second, third] = [yield* client, yield* client, yield* client]
      yield* first.create("/lock")
      const znode = server.tree.get("/lock") ?? assert.fail("no /lock")
      znode.cversion = 0x7fff_fffd
      const release = yield* Deferred.make<void>()
      const holder = yield* Effect.forkChild((yield* lockOf(first)).withLock(Deferred.await(release)))
      const watching = yield* lockOf(third)
      yield* eventually(watching.contenders, ({ length }) => length === 1)
      const waiter = yield* Effect.forkChild((yield* lockOf(second)).withLock(Effect.succeed("in")))
      yield* eventually(watching.contenders, ({ length }) => length === 2)
      for (let round = 0; round < 3; round++) {
        const error = yield* Effect.flip((yield* lockOf(third)).withLock(Effect.void))
        assert.isTrue(error._tag === "SequenceExhausted" && error.path === "/lock")
        assert.strictEqual((yield* watching.contenders).length, 2)
      }
      yield* Deferred.succeed(release, undefined)
      yield* Fiber.join(holder)
      assert.strictEqual(yield* Fiber.join(waiter), "in")
      assert.deepStrictEqual(yield* third.getChildren("/lock"), [])
      // As the error says.
      yield* third.delete("/lock")
      yield* (yield* lockOf(third)).withLock(Effect.void)
    }).pipe(Effect.scoped))
})

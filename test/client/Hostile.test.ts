/**
 * A server that breaks the protocol, at the handshake or at any later frame, in
 * every way of `HostileServer.deeds`: every operation ends, with success or a
 * typed error; the client backs off; and once the server is honest again, the
 * client is as good as new. All in virtual time.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Server from "../../src/memory/Server.ts"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import { ConnectionError } from "../../src/ZooKeeperError.ts"
import * as HostileServer from "../support/HostileServer.ts"

/** Seconds of hostility, in virtual time. */
const hostility = 30

const attack = (deed: string, after: number, seed: number) =>
  Effect.gen(function*() {
    const server = yield* Server.make({ tickTime: 500, minSessionTimeout: 1000 })
    const options = { deed: HostileServer.deeds[deed] ?? assert.fail(deed), after, draw: HostileServer.drawFrom(seed) }
    const hostile = HostileServer.make(server, options)
    const connect = ZooKeeper.make({
      hosts: "hostile:2181",
      dial: hostile.dial,
      sessionTimeout: "6 seconds",
      connectTimeout: "5 minutes",
      requestTimeout: "3 seconds"
    })
    const made = yield* Effect.forkScoped(connect, { startImmediately: true })
    const errors: Array<unknown> = []
    const work = Effect.gen(function*() {
      const zk = yield* Fiber.join(made)
      yield* Stream.runDrain(zk.watch("/a")).pipe(
        Effect.catch((error) => Effect.sync(() => errors.push(error))),
        Effect.forkScoped
      )
      while (true) {
        const exit = yield* Effect.exit(zk.get("/"))
        if (Exit.isFailure(exit)) errors.push(Cause.squash(exit.cause))
        yield* Effect.sleep("1 second")
      }
    })
    yield* Effect.forkScoped(work, { startImmediately: true })
    for (let second = 0; second < hostility; second++) yield* TestClock.adjust("1 second")
    const dials = hostile.dials()
    assert.isAtLeast(hostile.deeds(), 1)
    hostile.repent()
    for (let second = 0; second < 10; second++) yield* TestClock.adjust("1 second")
    const zk = yield* Fiber.join(made)
    const read = yield* Effect.forkChild(zk.get("/"), { startImmediately: true })
    yield* TestClock.adjust("1 second")
    const { stat } = yield* Fiber.join(read)
    assert.isAtLeast(stat.numChildren, 1)
    for (const error of errors) assert.instanceOf(error, ConnectionError)
    // Back-off grows, whatever the server did before it broke off.
    assert.isBelow(dials, 2 * hostility, `${dials} connections`)
  }).pipe(Effect.scoped, Effect.provide(Logger.layer([])))

describe("a hostile server", () => {
  for (const deed of Object.keys(HostileServer.deeds)) {
    it.effect(deed, () =>
      Effect.gen(function*() {
        for (const after of [0, 1, 2, 4]) {
          for (let seed = 1; seed <= 2; seed++) {
            yield* Effect.catchCause(attack(deed, after, seed), (cause) =>
              Effect.failCause(
                Cause.fromReasons([...cause.reasons, ...Cause.die(`after ${after} frames, seed ${seed}`).reasons])
              ))
          }
        }
      }))
  }

  it.effect("a reply of 256 MiB takes no memory, and fails alone", () =>
    Effect.gen(function*() {
      const server = yield* Server.make({})
      const deed = HostileServer.deeds["a reply of 256 MiB"] ?? assert.fail()
      const hostile = HostileServer.make(server, { deed, after: 2, draw: HostileServer.drawFrom(1) })
      const zk = yield* ZooKeeper.make({ hosts: "hostile:2181", dial: hostile.dial })
      yield* zk.get("/")
      const before = process.memoryUsage().arrayBuffers
      const error = yield* Effect.flip(zk.get("/"))
      assert.isBelow(process.memoryUsage().arrayBuffers - before, 2 ** 24)
      assert.strictEqual(error._tag === "ConnectionError" ? error.reason._tag : error._tag, "TooLarge")
      yield* zk.get("/")
      assert.strictEqual(hostile.dials(), 1)
    }).pipe(Effect.scoped, Effect.provide(Logger.layer([]))))
})

/** Typed znodes and watches with a function on every server; and when sessions end. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Schedule from "effect/Schedule"
import * as ChildrenWatch from "../../src/recipe/ChildrenWatch.ts"
import * as DataWatch from "../../src/recipe/DataWatch.ts"
import * as PatientChildrenWatch from "../../src/recipe/PatientChildrenWatch.ts"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import { connect, proxy as makeProxy, root as makeRoot, shared, sharedHost, through, untilState } from "../support/Clients.ts"
import { atEveryRequest, cutAt, faults } from "../support/Faults.ts"
import { text } from "../../src/testing/Recording.ts"
import { fourLetterWord } from "../support/ZooKeeperServer.ts"
import { of } from "./clients.ts"
import { onEveryServer } from "./servers.ts"
import { following } from "./following.ts"

onEveryServer(following)

describe.skipIf(shared === undefined)("following", () => {
  it.live("an expired session ends a ChildrenWatch where it shall, and nothing else; no watch is left", () =>
    Effect.gen(function*() {
      const other = yield* connect()
      const root = yield* makeRoot(other)
      const proxy = yield* makeProxy
      const zk = yield* through(proxy, { sessionTimeout: "1 second", reconnect: Schedule.spaced("20 millis") })
      const as = Effect.provideService(ZooKeeper.ZooKeeper, zk)
      const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(as(effect), { startImmediately: true })
      const ending = yield* fork(ChildrenWatch.run(root, () => Effect.void, { allowSessionLost: false }))
      const children = yield* fork(ChildrenWatch.run(root, (state) =>
        Effect.succeed(!Option.exists(state, ({ children }) => children.includes("late")))))
      const data = yield* fork(DataWatch.run(root, (znode) => Effect.succeed(!Option.contains(text(znode), "late"))))
      const patient = yield* fork(PatientChildrenWatch.once(root, { timeBoundary: "1500 millis" }))
      const expired = yield* Effect.forkChild(untilState(zk, "Expired"), { startImmediately: true })
      yield* proxy.refuse(true)
      proxy.cut()
      yield* Fiber.join(expired)
      const error = yield* Effect.flip(Fiber.join(ending))
      assert.isTrue(error._tag === "ConnectionError" && error.reason._tag === "SessionExpired")
      yield* other.create(`${root}/late`)
      yield* other.set(root, "late")
      yield* proxy.refuse(false)
      yield* Fiber.join(children)
      yield* Fiber.join(data)
      assert.deepStrictEqual((yield* Fiber.join(patient)).children, ["late"])
      yield* zk.sync(root)
      const port = Number(sharedHost.split(":").at(-1))
      assert.notInclude(yield* Effect.orDie(fourLetterWord(port, "wchp")), root)
    }).pipe(Effect.provideService(References.MinimumLogLevel, "Error")), 60_000)
})

faults("watches with a function: faults", (test) => {
  test("the last state is told, whichever reply is lost", ({ proxy, root, witness, zk }) =>
    Effect.gen(function*() {
      const requests = yield* atEveryRequest((index) =>
        Effect.gen(function*() {
          const path = yield* witness.create(`${root}/${index}`)
          const data = yield* Effect.forkChild(
            of(zk, DataWatch.run(path, (znode) => Effect.succeed(!Option.contains(text(znode), "last")))),
            { startImmediately: true }
          )
          const children = yield* Effect.forkChild(
            of(zk, ChildrenWatch.run(path, (state) =>
              Effect.succeed(!Option.exists(state, ({ children }) => children.includes("last"))))),
            { startImmediately: true }
          )
          for (const value of ["first", "last"]) {
            yield* witness.set(path, value)
            yield* witness.create(`${path}/${value}`)
          }
          yield* Fiber.join(data)
          yield* Fiber.join(children)
        }), cutAt(proxy))
      assert.isAtLeast(requests, 2)
    }))
})

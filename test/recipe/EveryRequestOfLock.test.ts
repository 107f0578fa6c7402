/** What `EveryRequest.test.ts` does in memory, for the lock, on any server through a proxy. */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as References from "effect/References"
import { OpCode } from "../../src/jute/OpCode.ts"
import * as Lock from "../../src/recipe/Lock.ts"
import { ZooKeeper } from "../../src/ZooKeeper.ts"
import * as Clients from "../support/Clients.ts"
import type * as Proxy from "../support/Proxy.ts"

const counts = ({ opCode }: Proxy.Request) =>
  opCode !== OpCode.Ping && opCode !== OpCode.CloseSession && opCode !== OpCode.SetWatches
  && opCode !== OpCode.SetWatches2 && opCode >= 0

/** One run; whether there was such a request at all. */
const run = (at: number, mishap: { readonly interrupts: boolean; readonly cut: "request" | "reply" | undefined }) =>
  Effect.gen(function*() {
    const proxy = yield* Clients.proxy
    const zk = yield* Clients.through(proxy)
    const rival = yield* Clients.connect()
    const root = yield* Clients.root(rival)
    const path = `${root}/lock`
    const happened = yield* Deferred.make<void>()
    let count = 0
    let target: { readonly connection: number; readonly xid: number } | undefined
    proxy.onRequest((request) => {
      if (!counts(request) || count++ !== at) return undefined
      target = request
      if (mishap.cut !== "reply") Deferred.doneUnsafe(happened, Exit.void)
      return mishap.cut === "request" ? { _tag: "Cut" } : undefined
    })
    proxy.onReply(({ connection, xid }) => {
      if (mishap.cut !== "reply" || target?.xid !== xid || target.connection !== connection) return undefined
      Deferred.doneUnsafe(happened, Exit.void)
      return { _tag: "Cut" }
    })
    const fiber = yield* Effect.forkDetach(
      Effect.provideService(Lock.withLock(path)(Effect.void), ZooKeeper, zk),
      { startImmediately: true }
    )
    yield* Effect.raceFirst(Deferred.await(happened), Fiber.await(fiber))
    if (mishap.interrupts) yield* Fiber.interrupt(fiber)
    else yield* Fiber.join(fiber)
    yield* Effect.provideService(Lock.withLock(path, { timeout: "10 seconds" })(Effect.void), ZooKeeper, rival)
    yield* zk.session
    yield* Effect.repeat(rival.getChildren(path), { until: (children) => children.length === 0 }).pipe(
      Effect.timeout("10 seconds")
    )
    return count > at
  }).pipe(Effect.scoped, Effect.provideService(References.MinimumLogLevel, "Error"))

describe.skipIf(Clients.shared === undefined)("every request of a lock", () => {
  for (const interrupts of [true, false]) {
    for (const cut of ["request", "reply", undefined] as const) {
      if (!interrupts && cut === undefined) continue
      const what = [interrupts ? ["interrupted"] : [], cut === undefined ? [] : [`${cut} lost`]].flat().join(", ")
      it.live(what, () =>
        Effect.gen(function*() {
          let at = 0
          while (yield* run(at, { interrupts, cut })) at++
          assert.isAtLeast(at, 6)
        }), 60_000)
    }
  }
})

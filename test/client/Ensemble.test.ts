import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Option, Stream } from "effect"
import { ConnectionError } from "../../src/ZooKeeperError.ts"
import { connect, text, untilState } from "../support/Clients.ts"
import * as ZooKeeperServer from "../support/ZooKeeperServer.ts"

const failed = (exit: Exit.Exit<unknown, unknown>): ConnectionError | undefined => {
  if (Exit.isSuccess(exit)) return undefined
  for (const reason of exit.cause.reasons) {
    if (reason._tag === "Fail" && reason.error instanceof ConnectionError) return reason.error
  }
  return undefined
}

const reasonOf = (error: unknown) => error instanceof ConnectionError ? error.reason._tag : String(error)

describe.skipIf(!ZooKeeperServer.canStart)("Ensemble of three", () => {
  it.live("the leader is killed during 10 000 pipelined writes: acknowledged are there, NotApplied are not", () =>
    Effect.gen(function*() {
      const ensemble = yield* ZooKeeperServer.ensemble()
      const zk = yield* connect({ hosts: ensemble.hosts, sessionTimeout: "10 seconds", connectTimeout: "30 seconds" })
      yield* zk.create("/writes")
      const names = Array.from({ length: 10_000 }, (_, index) => `/writes/${index}`)
      const writing = yield* Effect.forkChild(
        Effect.forEach(names, (name) => Effect.exit(zk.create(name)), { concurrency: 1000 })
      )
      yield* zk.changes("/writes/2000").pipe(
        Stream.takeUntil(Option.isSome),
        Stream.runDrain
      )
      const leader = yield* ensemble.leader
      yield* leader.kill9
      const exits = yield* Fiber.join(writing)

      const observer = yield* connect({ hosts: ensemble.hosts, connectTimeout: "30 seconds" })
      yield* observer.sync("/")
      const found = new Set(yield* observer.getChildren("/writes"))
      let unknown = 0
      for (const [index, exit] of exits.entries()) {
        const there = found.has(String(index))
        const error = failed(exit)
        if (Exit.isSuccess(exit)) assert.isTrue(there, `acknowledged write ${index} is missing`)
        else if (error?.outcome === "NotApplied") assert.isFalse(there, `write ${index} was said to be NotApplied`)
        else {
          assert.strictEqual(error?.outcome, "Unknown", `write ${index}`)
          unknown++
        }
      }
      assert.isAtMost(unknown, 1000)
      assert.isAbove(exits.filter(Exit.isSuccess).length, 5000)
    }), 120_000)

  it.live("a frozen member is left within two thirds of the timeout; session, ephemerals and watches go on", () =>
    Effect.gen(function*() {
      const ensemble = yield* ZooKeeperServer.ensemble()
      // A follower: an election would take longer than the session has left.
      const leader = yield* ensemble.leader
      const zk = yield* Effect.repeat(
        connect({ hosts: ensemble.hosts, sessionTimeout: "6 seconds", connectTimeout: "30 seconds" }),
        { until: (client) => Effect.map(Effect.orDie(client.session), ({ server }) => server.port !== leader.port) }
      )
      const before = yield* zk.session
      const path = yield* zk.create("/held", "1", { mode: "ephemeral" })
      const states: Array<string> = []
      yield* zk.changes(path).pipe(
        Stream.runForEach((node) =>
          Effect.sync(() => states.push(Option.match(node, { onNone: () => "-", onSome: ({ data }) => text(data) })))
        ),
        Effect.forkScoped
      )
      const member = ensemble.members.find(({ port }) => port === before.server.port)
      assert.isDefined(member)
      if (member === undefined) return
      yield* member.freeze
      yield* untilState(zk, "Suspended")
      const other = yield* connect({
        hosts: ensemble.members.filter((each) => each !== member).map(({ hosts }) => hosts),
        connectTimeout: "30 seconds"
      })
      yield* untilState(zk, "Connected")
      assert.strictEqual((yield* zk.session).id, before.id)
      assert.notStrictEqual((yield* zk.session).server.port, before.server.port)
      yield* other.set(path, "2")
      yield* zk.sync(path)
      assert.strictEqual(text((yield* zk.get(path)).data), "2")
      yield* Effect.repeat(Effect.yieldNow, { until: () => states.at(-1) === "2" })
      yield* member.thaw
    }), 120_000)

  it.live("a session that moved: the new handle works, ephemerals survive", () =>
    Effect.gen(function*() {
      const ensemble = yield* ZooKeeperServer.ensemble()
      const [first, second] = ensemble.members
      if (first === undefined || second === undefined) return assert.fail("two members")
      const old = yield* connect({ hosts: first.hosts, connectTimeout: "30 seconds", onExpiry: "end" })
      yield* old.create("/moved", "", { mode: "ephemeral" })
      const session = yield* old.session
      const moved = yield* connect({ hosts: second.hosts, resume: session })
      yield* moved.set("/moved", "by the new handle")
      assert.strictEqual((yield* moved.session).id, session.id)
      const error = yield* Effect.flip(old.set("/moved", "by the old handle"))
      assert.strictEqual(error._tag, "ConnectionError")
      assert.strictEqual(text((yield* moved.get("/moved")).data), "by the new handle")
    }), 120_000)

  it.live("without a quorum it serves reads to those who want that, refuses writes, and all is well when it is back", () =>
    Effect.gen(function*() {
      const ensemble = yield* ZooKeeperServer.ensemble({
        config: { localSessionsEnabled: true, localSessionsUpgradingEnabled: true }
      })
      const [survivor, ...others] = ensemble.members
      if (survivor === undefined) return assert.fail("three members")
      yield* Effect.scoped(Effect.flatMap(
        connect({ hosts: ensemble.hosts, connectTimeout: "30 seconds" }),
        (zk) => zk.create("/data", "1")
      ))
      yield* Effect.forEach(others, (member) => member.kill9, { discard: true })
      yield* Effect.repeat(survivor.mode, { until: (mode) => Option.contains(mode, "read-only") })

      const refused = yield* Effect.flip(
        Effect.scoped(connect({ hosts: ensemble.hosts, connectTimeout: "1 second" }))
      )
      assert.strictEqual(reasonOf(refused), "Unreachable")

      const zk = yield* connect({ hosts: ensemble.hosts, readOnly: true, connectTimeout: "30 seconds" })
      assert.isTrue((yield* zk.session).readOnly)
      assert.strictEqual(text((yield* zk.get("/data")).data), "1")
      for (const write of [zk.set("/data", "2"), zk.create("/x"), zk.delete("/data"), zk.sync("/")]) {
        const error = yield* Effect.flip(Effect.asVoid<unknown, unknown, never>(write))
        assert.strictEqual(reasonOf(error), "NotReadOnly")
        assert.isTrue(error instanceof ConnectionError && error.outcome === "NotApplied")
      }
      const seen: Array<string> = []
      yield* zk.changes("/data").pipe(
        Stream.runForEach((node) =>
          Effect.sync(() => seen.push(Option.match(node, { onNone: () => "", onSome: ({ data }) => text(data) })))
        ),
        Effect.forkScoped
      )
      const states: Array<string> = []
      yield* zk.states.pipe(Stream.runForEach(({ _tag }) => Effect.sync(() => states.push(_tag))), Effect.forkScoped)
      yield* Effect.forEach(others, (member) => member.start, { discard: true })
      yield* Stream.runHead(Stream.filter(zk.states, (state) => state._tag === "Connected" && !state.readOnly))
      yield* zk.set("/data", "2")
      yield* Effect.repeat(Effect.sleep("5 millis"), { until: () => seen.at(-1) === "2" })
      assert.notInclude(states, "Expired")
    }), 120_000)
})

import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option, Schedule, Stream } from "effect"
import { connect, proxy, shared, text, untilState } from "../support/Clients.ts"
import * as ZooKeeperServer from "../support/ZooKeeperServer.ts"

describe.skipIf(!ZooKeeperServer.canStart || shared === undefined)("A server of its own", () => {
  it.live("is restarted: session, ephemerals and watches survive", () =>
    Effect.gen(function*() {
      const server = yield* ZooKeeperServer.standalone()
      const zk = yield* connect({ hosts: server.hosts, sessionTimeout: "20 seconds" })
      const before = yield* zk.session
      const path = yield* zk.create("/held", "1", { mode: "ephemeral" })
      const seen: Array<string> = []
      const watching = yield* zk.changes(path).pipe(
        Stream.map(Option.match({ onNone: () => "gone", onSome: ({ data }) => text(data) })),
        Stream.tap((state) => Effect.sync(() => seen.push(state))),
        Stream.takeUntil((state) => state === "2"),
        Stream.runDrain,
        Effect.forkScoped({ startImmediately: true })
      )
      yield* zk.sync("/")
      yield* server.restart
      yield* zk.set(path, "2")
      assert.strictEqual((yield* zk.session).id, before.id)
      yield* Fiber.join(watching)
      assert.deepStrictEqual(seen, ["1", "2"])
    }), 60_000)

  it.live("with a limit of connections: refused without a crash, served when one is free", () =>
    Effect.gen(function*() {
      const server = yield* ZooKeeperServer.standalone({ config: { maxClientCnxns: 1 } })
      const second = yield* Effect.scoped(Effect.gen(function*() {
        yield* connect({ hosts: server.hosts })
        const refused = yield* Effect.flip(connect({ hosts: server.hosts, connectTimeout: "600 millis" }))
        assert.strictEqual(refused._tag === "ConnectionError" && refused.reason._tag, "Unreachable")
        return yield* Effect.forkDetach(Effect.scoped(Effect.flatMap(connect({ hosts: server.hosts }), (zk) => zk.get("/"))))
      }))
      yield* Fiber.join(second)
    }), 60_000)

  it.live("that has lost its data refuses in silence: at the deadline the session is given up, a new one begins", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      const zk = yield* connect({ hosts: via.hosts, sessionTimeout: "2 seconds" })
      yield* Effect.repeat(zk.sync("/"), { times: 2 })
      const path = yield* zk.create("/newest-", "", { mode: "ephemeralSequential" })
      yield* Effect.repeat(zk.set(path, ""), { times: 200 })
      const before = yield* zk.session
      const ended = yield* Effect.forkScoped(Effect.flip(zk.sessionEnd), { startImmediately: true })
      const empty = yield* ZooKeeperServer.standalone()
      via.route(empty.port)
      via.cut()
      yield* untilState(zk, "Expired")
      const { reason } = yield* Fiber.join(ended)
      assert.strictEqual(reason._tag === "SessionExpired" && reason.dataLoss?.seen, before.lastZxid)
      assert.include(reason.message, "lost data")
      assert.strictEqual(Option.isNone(yield* zk.exists(path)), true)
      const after = yield* zk.session
      assert.notStrictEqual(after.id, before.id)
      assert.isTrue(after.lastZxid < before.lastZxid)
    }), 60_000)

  it.live("that has lost its data is believed after some rounds, long before the deadline; onExpiry end leaves the choice", () =>
    Effect.gen(function*() {
      const old = yield* connect()
      const { id } = yield* old.session
      const empty = yield* ZooKeeperServer.standalone()
      const ended = yield* Effect.flip(connect({
        hosts: empty.hosts,
        sessionTimeout: "60 seconds",
        connectTimeout: "30 seconds",
        onExpiry: "end",
        reconnect: Schedule.spaced("20 millis"),
        resume: { id, password: (yield* old.session).password, lastZxid: 2n ** 40n }
      }))
      assert.strictEqual(ended._tag, "ConnectionError")
      if (ended._tag !== "ConnectionError" || ended.reason._tag !== "SessionExpired") return assert.fail(String(ended))
      assert.strictEqual(ended.reason.dataLoss?.seen, 2n ** 40n)
      // The way out: without what was known of the past.
      const zk = yield* connect({ hosts: empty.hosts })
      yield* zk.exists("/")
    }), 60_000)
})

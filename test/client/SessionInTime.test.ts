/** Moments of a session that only a clock of the test's own can hit: on the in-memory server. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Logger, References, Schedule, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as ConnectionString from "../../src/ConnectionString.ts"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import { ConnectionError } from "../../src/ZooKeeperError.ts"
import { ZooKeeperTest } from "../../src/ZooKeeperTest.ts"

const reasonOf = (error: unknown): string => error instanceof ConnectionError ? error.reason._tag : String(error)

const scenario = <A, E>(title: string, body: (test: ZooKeeperTest["Service"]) => Effect.Effect<A, E, Scope.Scope>) =>
  it.effect(title, () =>
    Effect.flatMap(ZooKeeperTest, body).pipe(
      Effect.provide(ZooKeeperTest.layerEnsemble()),
      Effect.provideService(References.MinimumLogLevel, "Error")
    ))

describe("Session in time", () => {
  scenario("who has waited for the connection finds the state Connected", (test) =>
    Effect.gen(function*() {
      const zk = yield* test.client()
      assert.strictEqual((yield* zk.state)._tag, "Connected")
      yield* test.disconnect()
      yield* Effect.yieldNow
      const state = yield* Effect.forkChild(Effect.andThen(zk.session, zk.state))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(state))._tag, "Connected")
    }))

  scenario("onExpiry end: a session that expires between two attempts is followed by none", (test) =>
    Effect.gen(function*() {
      const zk = yield* test.client({ onExpiry: "end", sessionTimeout: "10 seconds" })
      yield* test.refuseConnections()
      yield* test.disconnect()
      yield* TestClock.adjust("9 seconds")
      assert.strictEqual((yield* zk.state)._tag, "Expired")
      yield* test.heal
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* zk.state)._tag, "Expired")
      assert.strictEqual(reasonOf(yield* Effect.flip(zk.create("/late"))), "SessionExpired")
      assert.lengthOf((yield* test.dump).sessions, 0)
    }))

  scenario("onExpiry end: sessionEnd says so to whoever asks later, too", (test) =>
    Effect.gen(function*() {
      const zk = yield* test.client({ onExpiry: "end" })
      yield* test.of(zk).expireSession
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* zk.state)._tag, "Expired")
      const end = yield* Effect.forkChild(Effect.flip(zk.sessionEnd), { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      assert.isDefined(end.pollUnsafe())
      assert.strictEqual(reasonOf(yield* Fiber.join(end)), "SessionExpired")
    }))

  scenario("after its deadline a session does not live again, whatever a server that lags may answer", (test) =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      // The machine sleeps: its monotonic clock stands still, so that no timer is due when it wakes up.
      let slept = 0
      const zk = yield* Effect.provideService(test.client({ sessionTimeout: "10 seconds" }), Clock.Clock, {
        currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + slept,
        currentTimeMillis: Effect.map(clock.currentTimeMillis, (now) => now + slept),
        currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe() + BigInt(slept) * 1_000_000n,
        currentTimeNanos: Effect.map(clock.currentTimeNanos, (now) => now + BigInt(slept) * 1_000_000n),
        monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
        monotonicTimeNanos: clock.monotonicTimeNanos,
        sleep: (duration) => clock.sleep(duration)
      })
      const { id, isAlive } = yield* zk.session
      assert.isTrue(yield* isAlive)
      slept = 9500
      assert.isFalse(yield* isAlive)
      yield* zk.exists("/")
      assert.isFalse(yield* isAlive)
      yield* TestClock.adjust("10 seconds")
      assert.notStrictEqual((yield* zk.session).id, id)
      assert.isFalse(yield* isAlive)
    }))

  scenario("an identity that is added while a connection is prepared is there when addAuth has succeeded", (test) =>
    Effect.gen(function*() {
      const zk = yield* test.client()
      yield* Effect.forkScoped(Stream.runDrain(zk.changes("/watched")), { startImmediately: true })
      yield* test.delay("100 millis")
      yield* TestClock.adjust("1 second")
      yield* test.disconnect()
      const users = Array.from({ length: 60 }, (_, at) => `user${at}`)
      const added = []
      for (const user of users) {
        yield* TestClock.adjust("10 millis")
        added.push(yield* Effect.forkChild(Effect.exit(zk.addAuth("digest", `${user}:`)), { startImmediately: true }))
      }
      yield* TestClock.adjust("1 second")
      yield* test.delay(0)
      const identities = (yield* zk.whoAmI).map(({ user }) => user)
      for (const [at, fiber] of added.entries()) {
        if (Exit.isSuccess(yield* Fiber.join(fiber))) assert.include(identities, users[at])
      }
    }))

  scenario("an identity that is refused while a connection is prepared is the end, whatever is answered behind it", (test) =>
    Effect.gen(function*() {
      for (let after = 0; after < 600; after += 10) {
        const zk = yield* test.client()
        yield* Effect.forkScoped(Effect.ignore(Stream.runDrain(zk.changes("/watched"))), { startImmediately: true })
        yield* TestClock.adjust("1 second")
        yield* test.delay("100 millis")
        yield* test.disconnect()
        yield* TestClock.adjust(after)
        const added = yield* Effect.forkChild(Effect.exit(zk.addAuth("unknown", "")), { startImmediately: true })
        yield* TestClock.adjust("3 seconds")
        yield* Fiber.join(added)
        assert.strictEqual((yield* zk.state)._tag, "AuthFailed", `${after} ms behind the cut`)
        yield* test.delay(0)
      }
    }))

  for (const operation of ["addAuth", "setWatches"]) {
    scenario(`a server that answers pings, but ${operation} never, is left; the session goes on`, (test) =>
      Effect.gen(function*() {
        const zk = yield* test.client({ sessionTimeout: "10 seconds", auth: [{ scheme: "digest", credential: "user:" }] })
        const { id } = yield* zk.session
        yield* Effect.forkScoped(Stream.runDrain(zk.changes("/watched")), { startImmediately: true })
        yield* zk.sync("/")
        let dropped = 0
        yield* test.onReply((reply) => {
          if (reply.operation !== operation || ++dropped > 1) return undefined
          return { _tag: "Drop" }
        })
        yield* test.disconnect()
        yield* TestClock.adjust("9 seconds")
        assert.strictEqual((yield* zk.state)._tag, "Suspended")
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual((yield* zk.state)._tag, "Connected")
        assert.strictEqual((yield* zk.session).id, id)
        assert.strictEqual(dropped, 2)
      }))
  }

  scenario("requestTimeout bounds an identity that is added, too", (test) =>
    Effect.gen(function*() {
      const zk = yield* test.client({ requestTimeout: "3 seconds" })
      // Of the first connection only: the next one may be made at once.
      let isLost = false
      yield* test.onReply(({ operation }) => {
        if (operation !== "addAuth" || isLost) return undefined
        isLost = true
        return { _tag: "Drop" }
      })
      const adding = yield* Effect.forkChild(Effect.flip(zk.addAuth("digest", "user:")), { startImmediately: true })
      yield* TestClock.adjust("3100 millis")
      assert.strictEqual(reasonOf(yield* Fiber.join(adding)), "RequestTimeout")
      yield* TestClock.adjust("1 second")
      assert.include((yield* zk.whoAmI).map(({ authScheme }) => authScheme), "digest")
    }))

  for (
    const [title, isFirst, servers, sessionTimeout, within] of [
      ["its share of the session timeout, among few servers", false, 5, 10_000, 2000],
      ["a second at least, among many", false, 30, 10_000, 1000],
      ["a third of the session timeout at most, so that the session outlives a mute server", false, 30, 2400, 800],
      ["a third of the session timeout, where there is one server and no session yet", true, 1, 10_000, 3333],
      ["a second, however short the session timeout that is asked for, while there is no session", true, 1, 10, 1000]
    ] as const
  ) {
    it.effect(`an attempt to connect is given ${title}`, () =>
      Effect.gen(function*() {
        const test = yield* ZooKeeperTest
        const clock = yield* Clock.Clock
        const dialled: Array<number> = []
        const dial: ZooKeeperTest["Service"]["dial"] = (host) =>
          Effect.suspend(() => {
            dialled.push(clock.currentTimeMillisUnsafe())
            return test.dial(host)
          })
        const connecting = ZooKeeper.make({ hosts: test.hosts, sessionTimeout, dial, reconnect: Schedule.spaced(0) })
        if (!isFirst) yield* connecting
        yield* test.muteConnections()
        yield* isFirst ? Effect.forkScoped(connecting) : test.disconnect()
        yield* TestClock.adjust(2 * within)
        const [at = 0, next = 0] = isFirst ? dialled : dialled.slice(1)
        yield* test.heal
        // So that closing has somebody to say farewell to.
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(Math.floor(next - at), within)
      }).pipe(
        Effect.provide(ZooKeeperTest.layerEnsemble({ size: servers, minSessionTimeout: 1000 })),
        Effect.provideService(References.MinimumLogLevel, "Error")
      ))
  }

  it.effect("a round without success is reported once, with what each server said", () => {
    const reports: Array<unknown> = []
    const logger = Logger.make(({ fiber, logLevel, message }) => {
      if (String(message) !== "No ZooKeeper server serves us; trying again") return
      const { attempts, lastZxid, sessionId } = fiber.getRef(References.CurrentLogAnnotations)
      assert.deepStrictEqual([logLevel, sessionId, lastZxid], ["Warn", "0x0", "0x0"])
      reports.push(attempts)
    })
    return Effect.gen(function*() {
      const test = yield* ZooKeeperTest
      let dialled = 0
      const dial: ZooKeeperTest["Service"]["dial"] = (host) =>
        Effect.suspend(() => {
          dialled++
          return test.dial(host)
        })
      yield* test.refuseConnections()
      const connecting = yield* Effect.forkChild(
        ZooKeeper.make({ hosts: test.hosts, dial, reconnect: Schedule.spaced("1 second"), connectTimeout: "1 minute" })
      )
      yield* TestClock.adjust("4500 millis")
      assert.strictEqual(dialled, 5 * 3)
      assert.lengthOf(reports, 5)
      for (const report of reports) for (const host of test.hosts) assert.include(report, `${host}: `)
      yield* test.heal
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(connecting)
      assert.lengthOf(reports, 5)
    }).pipe(Effect.scoped, Effect.provide([ZooKeeperTest.layerEnsemble({ size: 3 }), Logger.layer([logger])]))
  })

  it.effect("followConfig as a function says where members are; with tls it must", () =>
    Effect.gen(function*() {
      const test = yield* ZooKeeperTest
      const [first, , third] = (yield* ConnectionString.parse(test.hosts)).hosts
      if (first === undefined || third === undefined) return assert.fail("three members")
      const zk = yield* ZooKeeper.make({
        hosts: `${first.host}:${first.port}`,
        dial: test.dial,
        followConfig: ({ client }) => client?.port === third.port && client.host === third.host ? third : undefined
      })
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual((yield* zk.session).server, third)
      const error = yield* Effect.flip(ZooKeeper.make({ hosts: test.hosts, tls: true, followConfig: true }))
      assert.isTrue(error._tag === "BadArguments" && error.argument === "followConfig")
    }).pipe(
      Effect.provide(ZooKeeperTest.layerEnsemble({ size: 3 })),
      Effect.provideService(References.MinimumLogLevel, "Error")
    ))

  scenario("a read with a watch that is interrupted leaves no watch, though its scope stays open", (test) =>
    Effect.gen(function*() {
      const zk = yield* test.client()
      const scope = yield* Effect.scope
      const watching = Effect.forkChild(Scope.provide(zk.getAndWatch("/"), scope), { startImmediately: true })
      // Sent, and not yet answered.
      yield* test.freeze("toClient")
      const sent = yield* watching
      yield* test.waitForRequest(({ operation }) => operation === "get")
      yield* Fiber.interrupt(sent)
      yield* test.thaw
      yield* zk.sync("/")
      assert.deepStrictEqual((yield* test.dump).watches, [])
      // Not yet sent.
      yield* test.refuseConnections()
      yield* test.disconnect()
      yield* Fiber.interrupt(yield* watching)
      yield* test.heal
      yield* TestClock.adjust("3 seconds")
      yield* zk.sync("/")
      assert.deepStrictEqual((yield* test.dump).watches, [])
    }))

  scenario("a read with a watch whose reply is lost fails once and leaves no watch", (test) =>
    Effect.gen(function*() {
      const zk = yield* test.client()
      yield* zk.create("/a")
      yield* test.loseReply(({ operation }) => operation === "exists")
      const error = yield* Effect.flip(zk.existsAndWatch("/a"))
      assert.strictEqual(reasonOf(error), "ConnectionLoss")
      assert.isTrue(error._tag === "ConnectionError" && error.outcome === "NotApplied")
      yield* TestClock.adjust("1 second")
      yield* zk.sync("/")
      assert.deepStrictEqual((yield* test.dump).watches, [])
      const { event } = yield* zk.existsAndWatch("/a")
      assert.lengthOf((yield* test.dump).watches, 1)
      yield* zk.delete("/a")
      assert.deepStrictEqual(yield* event, { _tag: "NodeDeleted", path: "/a" })
    }))

  scenario("dns-srv: a client that is unusable for good looks up nothing any more", (test) =>
    Effect.gen(function*() {
      let lookups = 0
      const [{ host, port }] = (yield* ConnectionString.parse(test.hosts)).hosts
      const lookupSrv = () => Effect.sync(() => (lookups++, [{ host, port }]))
      const zk = yield* ZooKeeper.make({ hosts: "dns-srv://zookeeper.example", lookupSrv, dial: test.dial })
      yield* TestClock.adjust("10 minutes")
      assert.isAtLeast(lookups, 10)
      assert.strictEqual(reasonOf(yield* Effect.flip(zk.addAuth("unknown", ""))), "AuthFailed")
      yield* TestClock.adjust("2 minutes")
      const before = lookups
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(lookups, before)
    }))

  it.effect("dns-srv: bad options are refused before the name is looked up", () =>
    Effect.gen(function*() {
      let lookups = 0
      const lookupSrv = () => Effect.sync(() => (lookups++, []))
      const hosts = "dns-srv://zookeeper.example"
      for (
        const options of [
          { sessionTimeout: 0 },
          // As it may come from elsewhere: its type is right, what it says is not.
          { requestTimeout: `${""} millis` as `${number} millis` },
          { maxInFlight: 0 },
          { defaultAcl: [] },
          { auth: [{ scheme: "", credential: "user:password" }] },
          { tls: { cert: "x" } }
        ]
      ) {
        const error = yield* Effect.flip(ZooKeeper.make({ hosts, lookupSrv, ...options }))
        assert.strictEqual(error._tag, "BadArguments")
      }
      assert.strictEqual(lookups, 0)
    }))

  it.effect("dns-srv: the look-up and the connection have one connectTimeout together", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(Effect.flip(ZooKeeper.make({
        hosts: "dns-srv://zookeeper.example",
        lookupSrv: () => Effect.delay(Effect.succeed([{ host: "nowhere", port: 1 }]), "14 seconds"),
        dial: () => Effect.never,
        connectTimeout: "15 seconds"
      })))
      yield* TestClock.adjust("15 seconds")
      assert.isDefined(fiber.pollUnsafe())
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(reasonOf(error), "Unreachable")
      assert.include(error.message, "nowhere:1: no answer yet")
    }))
})

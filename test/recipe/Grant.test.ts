/** When a grant ends, by the clock: on the in-memory server, under TestClock. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as References from "effect/References"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import type * as Grant from "../../src/recipe/Grant.ts"
import * as Lock from "../../src/recipe/Lock.ts"
import { ZooKeeper } from "../../src/ZooKeeper.ts"
import * as ZooKeeperTest from "../../src/ZooKeeperTest.ts"

/** A holder that does nothing, and what became of it. */
const holder = (options: Grant.Options & { readonly sessionTimeout?: number }) =>
  Effect.gen(function*() {
    const test = yield* ZooKeeperTest.ZooKeeperTest
    const zk = yield* test.client({ sessionTimeout: options.sessionTimeout ?? 10_000 })
    const lock = yield* Effect.provideService(Lock.make("/lock", options), ZooKeeper, zk)
    const held = yield* Deferred.make<Grant.Grant>()
    let endedAt: number | undefined
    const fiber = yield* Effect.forkDetach(
      Effect.exit(lock.withLock((grant) =>
        Effect.andThen(Deferred.succeed(held, grant), Effect.never).pipe(
          Effect.onInterrupt(() => Effect.map(Clock.currentTimeMillis, (now) => void (endedAt = now)))
        )
      )),
      { startImmediately: true }
    )
    const grant = yield* Deferred.await(held)
    return { test, zk, grant, fiber, endedAt: () => endedAt }
  })

const test = <A, E>(title: string, body: Effect.Effect<A, E, ZooKeeperTest.ZooKeeperTest | Scope.Scope>) =>
  it.effect(title, () =>
    body.pipe(
      Effect.provide(ZooKeeperTest.layerEnsemble()),
      Effect.provideService(References.MinimumLogLevel, "Error")
    ), 30_000)

/** Advances the time in small steps, so that everything has its turn. */
const pass = (millis: number) =>
  Effect.repeat(TestClock.adjust(50), { times: Math.ceil(millis / 50) - 1 })

describe("a grant", () => {
  test("ends before the server can give it to another, when nothing passes any more", Effect.gen(function*() {
    const { endedAt, fiber, grant, test, zk } = yield* holder({})
    const rival = yield* test.client()
    const waiting = yield* Effect.forkDetach(
      Effect.provideService(
        Lock.withLock("/lock")(Clock.currentTimeMillis),
        ZooKeeper,
        rival
      ),
      { startImmediately: true }
    )
    yield* pass(1000)
    yield* test.of(zk).freeze()
    yield* pass(20_000)
    const exit = yield* Effect.flatMap(Fiber.join(fiber), Effect.flip)
    assert.isTrue(exit._tag === "GrantLost" && exit.reason === "SessionEnded")
    assert.isFalse(yield* grant.isValid)
    const since = yield* Fiber.join(waiting)
    const until = endedAt()
    assert.isDefined(until)
    assert.isBelow(until ?? Infinity, since)
    // It did not let go at the first sign of trouble either.
    assert.isAtLeast(until ?? 0, 9000)
    yield* test.heal
  }))

  test("outlives a suspended connection, unless it is told to stop", Effect.gen(function*() {
    const holding = yield* holder({})
    yield* holding.test.of(holding.zk).disconnect()
    yield* pass(1000)
    assert.isTrue(yield* holding.grant.isValid)
    yield* Fiber.interrupt(holding.fiber)
    const stopping = yield* holder({ onSuspended: "stop" })
    yield* stopping.test.of(stopping.zk).disconnect()
    const error = yield* Effect.flatMap(Fiber.join(stopping.fiber), Effect.flip)
    assert.isTrue(error._tag === "GrantLost" && error.reason === "Suspended")
    yield* pass(1000)
    assert.deepStrictEqual(yield* stopping.zk.getChildren("/lock"), [])
  }))

  test("is invalid at once when the process wakes up too late, before any event", Effect.gen(function*() {
    const { grant, test, zk } = yield* holder({})
    assert.isTrue(yield* grant.isValid)
    yield* test.of(zk).freeze()
    // One jump: what wakes up first is our own look, queued before all timers.
    const looking = yield* Effect.forkDetach(
      Effect.andThen(Effect.sleep(9050), Effect.all([grant.isValid, Effect.exit(grant.protect(Effect.void))])),
      { startImmediately: true }
    )
    yield* TestClock.adjust(9050)
    const [isValid, exit] = yield* Fiber.join(looking)
    assert.isFalse(isValid)
    assert.strictEqual((yield* Effect.flip(exit))._tag, "GrantLost")
    yield* test.heal
  }))

  test("with strict validity ends although pings are answered", Effect.gen(function*() {
    const { endedAt, fiber, test, zk } = yield* holder({ validity: "strict" })
    // A server that cannot reach a quorum: it answers pings, and nothing else comes of it.
    yield* test.of(zk).failNext("transaction", "Throttled", { times: 10_000 })
    yield* pass(15_000)
    const error = yield* Effect.flatMap(Fiber.join(fiber), Effect.flip)
    assert.isTrue(error._tag === "GrantLost" && error.reason === "Unproven")
    assert.isAtMost(endedAt() ?? Infinity, 9100)
    yield* test.heal
  }))

  test("with strict validity goes on while it is proven", Effect.gen(function*() {
    const { fiber, grant } = yield* holder({ validity: "strict" })
    yield* pass(30_000)
    assert.isTrue(yield* grant.isValid)
    yield* Fiber.interrupt(fiber)
  }))

  test("is lost with its session, before the next holder gets in", Effect.gen(function*() {
    const { endedAt, fiber, test, zk } = yield* holder({})
    yield* test.of(zk).expireSession
    yield* pass(1000)
    const error = yield* Effect.flatMap(Fiber.join(fiber), Effect.flip)
    assert.strictEqual(error._tag, "GrantLost")
    assert.isDefined(endedAt())
    // A waiter of the same client goes on in the new session.
    const again = yield* Effect.provideService(Lock.withLock("/lock")(Effect.succeed("in")), ZooKeeper, zk)
    assert.strictEqual(again, "in")
  }))
})

/** A rival that holds the lock, and a waiter behind it. */
const waiting = (options: ZooKeeperTest.ClientOptions = {}) =>
  Effect.gen(function*() {
    const test = yield* ZooKeeperTest.ZooKeeperTest
    const rival = yield* test.client()
    const zk = yield* test.client(options)
    const lock = yield* Effect.provideService(Lock.make("/lock"), ZooKeeper, zk)
    const release = yield* Deferred.make<void>()
    const holding = yield* Effect.forkDetach(
      Effect.provideService(Lock.withLock("/lock")(Deferred.await(release)), ZooKeeper, rival),
      { startImmediately: true }
    )
    yield* TestClock.adjust(1)
    const fiber = yield* Effect.forkDetach(
      Effect.exit(lock.withLock((grant) => Effect.succeed(grant.sessionId))),
      { startImmediately: true }
    )
    yield* TestClock.adjust(1)
    return {
      test,
      zk,
      fiber,
      release: Effect.andThen(Deferred.succeed(release, undefined), Fiber.join(holding)),
      contenders: lock.contenders
    }
  })

describe("a waiter", () => {
  test("whose session ends queues again in the next one", Effect.gen(function*() {
    const { contenders, fiber, release, test, zk } = yield* waiting()
    const before = (yield* zk.session).id
    assert.strictEqual((yield* contenders).length, 2)
    yield* test.of(zk).expireSession
    yield* pass(1000)
    const [, second, ...others] = yield* contenders
    const now = (yield* zk.session).id
    assert.notStrictEqual(now, before)
    assert.strictEqual(second?.sessionId, now)
    assert.deepStrictEqual(others, [])
    yield* release
    assert.strictEqual(yield* yield* Fiber.join(fiber), now)
  }))

  test("whose client has no next session is told", Effect.gen(function*() {
    const { fiber, release, test, zk } = yield* waiting({ onExpiry: "end" })
    yield* test.of(zk).expireSession
    yield* pass(1000)
    const error = yield* Effect.flip(yield* Fiber.join(fiber))
    assert.isTrue(error._tag === "ConnectionError" && error.reason._tag === "SessionExpired")
    yield* release
  }))

  test("whose client is refused is told", Effect.gen(function*() {
    const { fiber, release, zk } = yield* waiting()
    yield* Effect.flip(zk.addAuth("unheard-of", "x"))
    const error = yield* Effect.flip(yield* Fiber.join(fiber))
    assert.isTrue(error._tag === "ConnectionError" && error.reason._tag === "AuthFailed")
    yield* release
  }))

  test("looks again by itself, should the server forget to tell", Effect.gen(function*() {
    const { fiber, release, test, zk } = yield* waiting()
    yield* test.of(zk).onReply(({ operation }) => operation === "event" ? { _tag: "Drop" } : undefined)
    yield* release
    // The session timeout.
    yield* pass(10_100)
    assert.isTrue((yield* Fiber.join(fiber))._tag === "Success")
  }))

  test("does not take for its own what the session before has left", Effect.gen(function*() {
    const test = yield* ZooKeeperTest.ZooKeeperTest
    const zk = yield* test.client()
    const observer = yield* test.client({ sessionTimeout: "20 seconds" })
    yield* observer.create("/lock")
    const before = (yield* zk.session).id
    // Created, never answered; and nobody lets the client in again until it has given the session up.
    yield* test.of(zk).loseReply(({ operation }) => operation === "create")
    yield* test.of(zk).refuseConnections()
    const lock = yield* Effect.provideService(Lock.make("/lock"), ZooKeeper, zk)
    const fiber = yield* Effect.forkDetach(lock.withLock((grant) => Effect.succeed(grant)), { startImmediately: true })
    const children = Effect.map(observer.getChildren("/lock"), ({ length }) => length)
    yield* pass(9100)
    assert.strictEqual(yield* children, 1)
    yield* test.of(zk).refuseConnections(false)
    yield* pass(20_000)
    const grant = yield* Fiber.join(fiber)
    assert.notStrictEqual(grant.sessionId, before)
    assert.strictEqual(yield* children, 0)
  }))
})

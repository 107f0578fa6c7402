/**
 * What recipes do where no server has a quorum, and their client accepts one
 * that is read-only: in memory, under `TestClock`.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as References from "effect/References"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import * as Barrier from "../../src/recipe/Barrier.ts"
import * as Counter from "../../src/recipe/Counter.ts"
import * as DistributedQueue from "../../src/recipe/DistributedQueue.ts"
import * as DoubleBarrier from "../../src/recipe/DoubleBarrier.ts"
import * as Election from "../../src/recipe/Election.ts"
import * as GroupMember from "../../src/recipe/GroupMember.ts"
import * as Lease from "../../src/recipe/Lease.ts"
import * as Lock from "../../src/recipe/Lock.ts"
import * as LockingQueue from "../../src/recipe/LockingQueue.ts"
import * as MultiLock from "../../src/recipe/MultiLock.ts"
import * as Party from "../../src/recipe/Party.ts"
import * as PersistentNode from "../../src/recipe/PersistentNode.ts"
import * as Queue from "../../src/recipe/Queue.ts"
import * as ReadWriteLock from "../../src/recipe/ReadWriteLock.ts"
import * as Semaphore from "../../src/recipe/Semaphore.ts"
import * as ServiceRegistry from "../../src/recipe/ServiceRegistry.ts"
import { type Service, ZooKeeper } from "../../src/ZooKeeper.ts"
import * as ZooKeeperTest from "../../src/ZooKeeperTest.ts"

type Use = Effect.Effect<unknown, { readonly _tag: string }, ZooKeeper | Scope.Scope>

/** They wait, as without a connection. */
const waiting: { readonly [name: string]: Use } = {
  "Lock": Effect.flatMap(Lock.make("/r"), (lock) => lock.acquire()),
  "Lock, tried": Effect.flatMap(Lock.make("/r"), (lock) => lock.tryAcquire),
  "ReadWriteLock": Effect.flatMap(ReadWriteLock.make("/r"), ({ read }) => read.acquire()),
  "Semaphore": Effect.flatMap(Semaphore.make("/r/semaphore", { permits: 1 }), (semaphore) => semaphore.acquire()),
  "MultiLock": Effect.gen(function*() {
    const locks = yield* Effect.forEach(["/r/a", "/r/b"], (path) => Lock.make(path))
    return yield* Effect.flatMap(MultiLock.make(locks), (lock) => lock.acquire())
  }),
  "Election": Effect.flatMap(Election.make("/r"), (election) => election.lead(Effect.void)),
  "Lease": Effect.flatMap(Lease.make("/r/lease", { duration: "1 minute", identifier: "a" }), ({ obtain }) => obtain),
  "PersistentNode": PersistentNode.make("/r/node"),
  "GroupMember": GroupMember.join("/r", { id: "m" }),
  "Party": Party.join("/r"),
  "ServiceRegistry": ServiceRegistry.make("/r", Schema.String).register({ name: "svc" })
}

/** They fail, after the pauses of `RetryPolicy.command`. */
const failing: { readonly [name: string]: Use } = {
  "Counter": Effect.flatMap(Counter.make("/r/number"), ({ increment }) => increment),
  "Queue, offer": Effect.flatMap(Queue.make("/r/queue"), (queue) => queue.offer("a")),
  "Queue, take": Effect.flatMap(Queue.make("/r/queue"), ({ take }) => take),
  "DistributedQueue": Effect.flatMap(DistributedQueue.make("/r/queue"), (queue) => queue.offer(["a"])),
  "LockingQueue": Effect.flatMap(LockingQueue.make("/r/locking"), (queue) => queue.offer("a")),
  "Barrier": Effect.flatMap(Barrier.make("/r/barrier"), ({ create }) => create),
  "DoubleBarrier": Effect.flatMap(DoubleBarrier.make("/r/double", { members: 1 }), ({ enter }) => enter)
}

/** A client that is content with a server without quorum, and the only server is one. */
const withoutQuorum = <E>(
  title: string,
  body: (world: {
    readonly test: ZooKeeperTest.ZooKeeperTest["Service"]
    readonly zk: Service
  }) => Effect.Effect<void, E, Scope.Scope>
) =>
  it.effect(title, () =>
    Effect.gen(function*() {
      const test = yield* ZooKeeperTest.ZooKeeperTest
      const writer = yield* test.client()
      yield* writer.create("/r/queue", "", { makeParents: true })
      yield* writer.create("/r/queue/entry-100-0000000000", "a")
      yield* test.readOnly(true)
      const zk = yield* test.client({ readOnly: true })
      assert.isTrue((yield* zk.session).readOnly)
      yield* body({ test, zk })
    }).pipe(
      Effect.scoped,
      Effect.provide(ZooKeeperTest.layerEnsemble()),
      Effect.provideService(References.MinimumLogLevel, "None")
    ))

/** How something that was begun has ended. */
const ended = <A, E>(fiber: Fiber.Fiber<Exit.Exit<A, E>>) => Effect.flatten(Fiber.join(fiber))

const minute = Effect.repeat(TestClock.adjust("1 second"), { times: 59 })

describe("on a read-only server", () => {
  for (const [name, use] of Object.entries({ ...waiting, ...failing })) {
    const isWaiting = Object.hasOwn(waiting, name)
    withoutQuorum(`${name}: ${isWaiting ? "waits" : "fails"}, and asks rarely`, ({ test, zk }) =>
      Effect.gen(function*() {
        const own = (yield* zk.session).id
        const run = Effect.scoped(Effect.exit(Effect.provideService(use, ZooKeeper, zk)))
        const first = yield* Effect.forkChild(run, { startImmediately: true })
        yield* minute
        const asked = (yield* test.requests).filter(({ operation, sessionId }) =>
          sessionId === own && operation !== "ping")
        assert.isAtLeast(asked.length, 1)
        assert.isAtMost(asked.length, 80)
        const exit = first.pollUnsafe()
        if (!isWaiting) {
          const error = yield* Effect.flip(ended(first))
          assert.isTrue(error._tag === "ConnectionError")
          assert.include(String(error), "read-only")
        } else assert.isUndefined(exit)
        // Who interrupts does not wait for a server.
        const second = yield* Effect.forkChild(run, { startImmediately: true })
        yield* TestClock.adjust("1 second")
        yield* Fiber.interrupt(second).pipe(Effect.forkChild({ startImmediately: true }))
        yield* TestClock.adjust("5 seconds")
        assert.isDefined(second.pollUnsafe())
        // With a quorum everything is had; the client looks for one every minute at least.
        yield* test.readOnly(false)
        yield* Effect.repeat(minute, { times: 2 })
        yield* isWaiting ? ended(first) : Effect.flatten(run)
      }))
  }

  withoutQuorum("a deadline holds", ({ zk }) =>
    Effect.gen(function*() {
      const waiting = yield* Effect.forkChild(
        Effect.exit(Effect.provideService(Lock.withLock("/r", { timeout: "7 seconds" })(Effect.void), ZooKeeper, zk)),
        { startImmediately: true }
      )
      yield* TestClock.adjust("6 seconds")
      assert.isUndefined(waiting.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Effect.flip(ended(waiting)))._tag, "AcquireTimeout")
    }))

  it.effect("a holder's session is no read-only one: the grant ends with its local deadline, as without a connection", () =>
    Effect.gen(function*() {
      const test = yield* ZooKeeperTest.ZooKeeperTest
      const zk = yield* test.client({ readOnly: true, sessionTimeout: "10 seconds" })
      const lock = yield* Effect.provideService(Lock.make("/r"), ZooKeeper, zk)
      const grant = yield* lock.acquire()
      const held = yield* Effect.forkChild(Effect.exit(grant.protect(Effect.never)), { startImmediately: true })
      yield* test.readOnly(true)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* zk.state)._tag, "Suspended")
      assert.isTrue(yield* grant.isValid)
      yield* TestClock.adjust("5 seconds")
      assert.isFalse(yield* grant.isValid)
      assert.strictEqual((yield* Effect.flip(ended(held)))._tag, "GrantLost")
      // The session that follows may only read.
      yield* TestClock.adjust("5 seconds")
      assert.isTrue((yield* zk.session).readOnly)
      assert.strictEqual((yield* Effect.flip(grant.guard([])))._tag, "GrantLost")
    }).pipe(
      Effect.scoped,
      Effect.provide(ZooKeeperTest.layerEnsemble()),
      Effect.provideService(References.MinimumLogLevel, "None")
    ))
})

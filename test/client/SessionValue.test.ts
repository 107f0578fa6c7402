/** The session as a value: what it says stays about that very session. */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as References from "effect/References"
import * as TestClock from "effect/testing/TestClock"
import { ZooKeeper } from "../../src/ZooKeeper.ts"
import { ZooKeeperTest } from "../../src/ZooKeeperTest.ts"

it.effect("a session that has ended says so, also when there is a next one", () =>
  Effect.gen(function*() {
    const zk = yield* ZooKeeper
    const test = yield* ZooKeeperTest
    const first = yield* zk.session
    assert.isTrue(yield* first.isAlive)
    yield* test.expireSession
    yield* TestClock.adjust("1 second")
    const error = yield* Effect.flip(first.ended)
    assert.strictEqual(error.reason._tag, "SessionExpired")
    assert.isFalse(yield* first.isAlive)
    const second = yield* zk.session
    assert.notStrictEqual(second.id, first.id)
    assert.isTrue(yield* second.isAlive)
    yield* test.freeze()
    yield* TestClock.adjust(second.timeout)
    assert.isFalse(yield* second.isAlive)
    assert.strictEqual((yield* Effect.flip(second.ended)).reason._tag, "SessionExpired")
    yield* test.heal
  }).pipe(
    Effect.provide(ZooKeeperTest.layer()),
    Effect.provideService(References.MinimumLogLevel, "Error")
  ))

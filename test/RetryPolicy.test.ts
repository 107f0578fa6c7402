import { assert, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Schedule } from "effect"
import { TestClock } from "effect/testing"
import * as RetryPolicy from "../src/RetryPolicy.ts"
import { ConnectionError, ConnectionLoss, NoNode, SessionExpired } from "../src/ZooKeeperError.ts"

const lost = (outcome: "NotApplied" | "Unknown") =>
  new ConnectionError({ reason: new ConnectionLoss({ detail: "cut" }), outcome })

const counted = <E>(error: E) => {
  const calls = { count: 0 }
  return {
    calls,
    effect: Effect.suspend(() => {
      calls.count++
      return Effect.fail(error)
    })
  }
}

it.effect("repeats what certainly had no effect, and gives up in seconds", () =>
  Effect.gen(function*() {
    const { calls, effect } = counted(lost("NotApplied"))
    const fiber = yield* Effect.forkChild(Effect.flip(RetryPolicy.retry(effect)))
    yield* TestClock.adjust("15 seconds")
    assert.instanceOf(yield* Fiber.join(fiber), ConnectionError)
    assert.strictEqual(calls.count, 9)
  }))

it.effect("repeats nothing else: unknown outcomes, ended sessions, answers about znodes", () =>
  Effect.gen(function*() {
    for (
      const error of [
        lost("Unknown"),
        new ConnectionError({ reason: new SessionExpired({}), outcome: "NotApplied" }),
        new NoNode({ path: "/" })
      ]
    ) {
      const { calls, effect } = counted(error)
      yield* Effect.flip(RetryPolicy.retry(effect))
      assert.strictEqual(calls.count, 1)
    }
  }))

it.effect("takes any Schedule, data-last too", () =>
  Effect.gen(function*() {
    const { calls, effect } = counted(lost("NotApplied"))
    yield* Effect.flip(effect.pipe(RetryPolicy.retry(Schedule.recurs(3))))
    assert.strictEqual(calls.count, 4)
  }))

it.effect("the pauses of a connection are capped and jittered, without end", () =>
  Effect.gen(function*() {
    const step = yield* Schedule.toStep(RetryPolicy.connection)
    for (let round = 0; round < 40; round++) {
      const [, pause] = yield* Effect.orDie(step(0, undefined))
      const millis = Duration.toMillis(pause)
      const plain = Math.min(5000, 100 * 2 ** round)
      assert.isAtLeast(millis, plain * 0.8 - 1)
      assert.isAtMost(millis, plain * 1.2 + 1)
    }
  }))

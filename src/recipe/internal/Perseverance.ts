/**
 * Effects that are repeated over connections and sessions until they succeed,
 * for what a recipe keeps up as long as it lives.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as RetryPolicy from "../../RetryPolicy.ts"
import type { Service } from "../../ZooKeeper.ts"
import { ConnectionError } from "../../ZooKeeperError.ts"

/** Whether another connection, or another session, may do what this one could not. */
export const isPassing = (error: unknown): error is ConnectionError =>
  error instanceof ConnectionError && (error.isRetryable || error.reason._tag === "SessionExpired")

/**
 * Repeats an effect that may be done any number of times. Fails with everything
 * that is not about the connection, and when there will never be another one.
 */
export const persevere = <A, E, R>(
  zk: Service,
  effect: Effect.Effect<A, E | ConnectionError, R>
): Effect.Effect<A, E | ConnectionError, R> =>
  Effect.gen(function*() {
    const pause = yield* Schedule.toStepWithSleep(RetryPolicy.connection)
    while (true) {
      const result = yield* Effect.result(effect)
      if (Result.isSuccess(result)) return result.success
      if (!isPassing(result.failure)) return yield* Effect.fail(result.failure)
      // Says so where the client has ended; a session that is over may only have to be replaced.
      yield* zk.session
      yield* Effect.ignore(pause(undefined))
    }
  })

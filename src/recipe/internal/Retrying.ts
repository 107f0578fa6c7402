/**
 * What recipes repeat by themselves, and how they read errors.
 */
import * as Effect from "effect/Effect"
import * as RetryPolicy from "../../RetryPolicy.ts"
import type { Service } from "../../ZooKeeper.ts"
import { ConnectionError } from "../../ZooKeeperError.ts"

/** A lost reply to a write: it may have been applied. */
export const isUnknown = (error: unknown): error is ConnectionError =>
  error instanceof ConnectionError && error.outcome === "Unknown" && error.reason._tag !== "TooLarge"

/** Certainly without effect, and only because the session had come to its end. */
export const isExpired = (error: unknown): error is ConnectionError =>
  error instanceof ConnectionError && error.outcome === "NotApplied" && error.reason._tag === "SessionExpired"

/**
 * Whether the client goes on: after its end everything fails, and repeating is
 * of no use. `Expired` may be the end or the moment before the next session:
 * waiting for that tells.
 */
const isAlive = (zk: Service): Effect.Effect<boolean> =>
  Effect.flatMap(zk.state, ({ _tag }) =>
    _tag === "Expired"
      ? Effect.match(zk.session, { onFailure: () => false, onSuccess: () => true })
      : Effect.succeed(_tag !== "AuthFailed" && _tag !== "Closed"))

/**
 * Repeats what certainly had no effect and does not depend on the session, by
 * `RetryPolicy.command`: also in the next session where one has ended.
 */
export const retrying = <A, E, R>(zk: Service, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.retry(effect, {
    schedule: RetryPolicy.command,
    while: (error) => isExpired(error) ? isAlive(zk) : RetryPolicy.isSafe(error)
  })

/**
 * The same for what may be made twice as well as once: reads, and writes whose
 * repetition finds out by itself that it is one.
 */
export const repeating = <A, E, R>(zk: Service, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.retry(effect, {
    schedule: RetryPolicy.command,
    while: (error) =>
      !(error instanceof ConnectionError) || error.reason._tag === "TooLarge"
        ? false
        : error.reason._tag === "SessionExpired"
        ? isAlive(zk)
        : error.isRetryable
  })

/**
 * Waits for a change. That the session ends while waiting is a reason to look
 * again, in the next one; only the end of the client is a failure.
 */
export const awaiting = <A>(
  zk: Service,
  event: Effect.Effect<A, ConnectionError>
): Effect.Effect<void, ConnectionError> =>
  Effect.catchIf(
    Effect.asVoid(event),
    (error) => error.isRetryable || error.reason._tag === "SessionExpired",
    () => Effect.asVoid(zk.session)
  )

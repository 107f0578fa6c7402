/**
 * When to try again, as Schedules, in the place of kazoo's `KazooRetry`.
 *
 * {@link retry} repeats only what is safe to repeat: a failure that says that
 * nothing was applied and that trying again can help. A write whose reply was
 * lost is not repeated: its error says `outcome: "Unknown"`, and only the caller
 * knows how to find out. `create` with `protected`, `update` and the reads do
 * that by themselves.
 *
 * | KazooRetry | here |
 * | --- | --- |
 * | `max_tries` | `Schedule.upTo({ times })` |
 * | `delay`, `backoff` | `Schedule.exponential(delay, backoff)` |
 * | `max_delay` | `Schedule.min([…, Schedule.spaced(maxDelay)])` |
 * | `max_jitter` | `Schedule.jittered` (±20 %), `Schedule.modifyDelay` |
 * | `deadline` | `Schedule.upTo({ duration })` |
 * | `ignore_expire` | not here: what belonged to a session must be redone, not repeated |
 * | `interrupt` | interruption |
 * | `sleep_func` | `Clock`, `TestClock` |
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Schedule from "effect/Schedule"

/**
 * Pauses between rounds over all servers: 100 ms doubling up to 5 s, each
 * jittered by 20 %, without end.
 *
 * @example
 * ```ts
 * import * as Schedule from "effect/Schedule"
 * import * as RetryPolicy from "effect-zookeeper/RetryPolicy"
 * import * as ZooKeeper from "effect-zookeeper/ZooKeeper"
 *
 * // What the option `reconnect` is by default, and another one.
 * export const patient = ZooKeeper.layer({ hosts: "zk1.example", reconnect: RetryPolicy.connection })
 * export const eager = ZooKeeper.layer({ hosts: "zk1.example", reconnect: Schedule.spaced("200 millis") })
 * ```
 *
 * @category schedules
 * @since 0.1.0
 */
export const connection: Schedule.Schedule<unknown> = Schedule.min([
  Schedule.exponential("100 millis"),
  Schedule.spaced("5 seconds")
]).pipe(Schedule.jittered)

/**
 * Pauses between tries of a command: 50 ms doubling up to 2 s, jittered, given
 * up after 8 repetitions or 15 s.
 *
 * @example
 * ```ts
 * import * as Schedule from "effect/Schedule"
 * import * as RetryPolicy from "effect-zookeeper/RetryPolicy"
 * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
 *
 * // Half as patient as the default.
 * const impatient = RetryPolicy.command.pipe(Schedule.upTo({ times: 4 }))
 *
 * export const program = ZooKeeper.use((zk) => zk.exists("/config").pipe(RetryPolicy.retry(impatient)))
 * ```
 *
 * @category schedules
 * @since 0.1.0
 */
export const command: Schedule.Schedule<unknown> = Schedule.min([
  Schedule.exponential("50 millis"),
  Schedule.spaced("2 seconds")
]).pipe(Schedule.jittered, Schedule.upTo({ times: 8, duration: "15 seconds" }))

/**
 * Whether repeating is safe and can help: the connection failed, the request
 * certainly had no effect, and the reason is a passing one.
 *
 * @example
 * ```ts
 * import * as RetryPolicy from "effect-zookeeper/RetryPolicy"
 * import { ConnectionError, ConnectionLoss, NoNode } from "effect-zookeeper/ZooKeeperError"
 *
 * const reason = new ConnectionLoss({ detail: "cut" })
 *
 * RetryPolicy.isSafe(new ConnectionError({ reason, outcome: "NotApplied" })) // => true
 * RetryPolicy.isSafe(new ConnectionError({ reason, outcome: "Unknown" })) // => false
 * RetryPolicy.isSafe(new NoNode({ path: "/a" })) // => false
 * ```
 *
 * @category predicates
 * @since 0.1.0
 */
export const isSafe = (error: unknown): boolean =>
  typeof error === "object" && error !== null && "_tag" in error && error._tag === "ConnectionError"
  && "outcome" in error && error.outcome === "NotApplied" && "isRetryable" in error && error.isRetryable === true

/**
 * Repeats an operation while that is safe, by {@link command} unless another
 * Schedule is given; then fails with the last error. Interruption ends the pause
 * at once. Source: kazoo's `client.retry`, which repeats writes blindly.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as RetryPolicy from "effect-zookeeper/RetryPolicy"
 * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
 *
 * export const config = Effect.gen(function*() {
 *   const zk = yield* ZooKeeper
 *   return yield* RetryPolicy.retry(zk.get("/config"))
 * })
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const retry: {
  (policy: Schedule.Schedule<unknown>): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, policy?: Schedule.Schedule<unknown>): Effect.Effect<A, E, R>
} = dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R>(self: Effect.Effect<A, E, R>, policy: Schedule.Schedule<unknown> = command): Effect.Effect<A, E, R> =>
    Effect.retry(self, { schedule: policy, while: isSafe })
)

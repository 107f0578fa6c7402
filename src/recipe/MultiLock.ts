/**
 * Several locks as one: all of them or none.
 *
 * They are acquired one after the other in the order of their paths, whatever
 * the order in which they are given: two who want the same locks cannot wait
 * for each other. One deadline covers all; whatever ends the attempt, all that
 * were acquired are released. Where one is lost the whole is lost, the others are
 * held until the scope closes all the same.
 *
 * **Guarantee.** Each of them is a grant in the sense of `Grant`, and so is the
 * whole: `isValid` and `guard` ask for all of them, `token` is the greatest of
 * theirs. That token grows only among holders of the same locks: where others take
 * one of them alone, its own grant's token is what to compare. Who takes some of
 * the locks by themselves, in another order, can still wait for ever for one who
 * holds the rest: `timeout` is for that.
 *
 * Has the purpose of Curator's `InterProcessMultiLock`, which keeps the given
 * order, gives each lock the whole time, and goes on after a failure.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Lock from "effect-zookeeper/recipe/Lock"
 * import * as MultiLock from "effect-zookeeper/recipe/MultiLock"
 *
 * export const transfer = Effect.gen(function*() {
 *   const from = yield* Lock.make("/accounts/1/lock")
 *   const to = yield* Lock.make("/accounts/2/lock")
 *   const both = yield* MultiLock.make([from, to])
 *   yield* both.withLock(Effect.log("nobody else has either"), { timeout: "10 seconds" })
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Acquisition from "../client/Acquisition.ts"
import { BadArguments } from "../ZooKeeperError.ts"
import type * as Grant from "./Grant.ts"
import { AcquireTimeout } from "./Grant.ts"
import * as Grants from "./internal/Grants.ts"
import * as Reentrancy from "./internal/Reentrancy.ts"
import type * as Lock from "./Lock.ts"

/**
 * Several locks as one.
 *
 * @category models
 * @since 0.1.0
 */
export interface MultiLock extends Pick<Lock.Lock, "withLock" | "acquire" | "tryAcquire"> {
  /** In the order in which they are acquired. */
  readonly locks: readonly [Lock.Lock, ...ReadonlyArray<Lock.Lock>]
}

/**
 * Combines locks on different paths, of any kind and layout. The grant's `path`
 * is that of the first, its `token` the newest; `guard` checks all of them.
 *
 * Fails with `BadArguments` where there is no lock, or two have the same path.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (locks: ReadonlyArray<Lock.Lock>): Effect.Effect<MultiLock, BadArguments> => {
  const [first, ...others] = locks.toSorted((a, b) => a.path < b.path ? -1 : a.path > b.path ? 1 : 0)
  if (first === undefined) {
    return Effect.fail(new BadArguments({ argument: "locks", value: "[]", problem: "at least one is needed" }))
  }
  const paths = locks.map(({ path }) => path)
  const twice = paths.find((path, index) => paths.indexOf(path) !== index)
  if (twice !== undefined) {
    return Effect.fail(
      new BadArguments({ argument: "locks", value: twice, problem: "two locks on one path would wait for each other" })
    )
  }

  /** Each lock is given what is left of the time. */
  const acquireAll = (timeout: Grant.AcquireOptions["timeout"]) =>
    Effect.gen(function*() {
      const millis = timeout === undefined ? Infinity : Duration.toMillis(timeout)
      const { monotonicTimeNanos } = yield* Clock.Clock
      const started = yield* monotonicTimeNanos
      const acquireNext = (lock: Lock.Lock) =>
        Effect.flatMap(monotonicTimeNanos, (now) => {
          const left = millis - Number(now - started) / 1e6
          return lock.acquire(left === Infinity ? {} : { timeout: Math.max(0, left) })
        }).pipe(
          Effect.catchTag("AcquireTimeout", ({ path }) => Effect.fail(new AcquireTimeout({ path, millis })))
        )
      const grant = yield* acquireNext(first)
      return Grants.all([grant, ...yield* Effect.forEach(others, acquireNext)])
    })

  const acquire: MultiLock["acquire"] = (options) => Acquisition.wholly(acquireAll(options?.timeout))

  const tryAcquire: Effect.Effect<Option.Option<Grant.Grant>, Grant.AcquireError, Scope.Scope> = Acquisition.keepingIf(
    Effect.gen(function*() {
      const grants: Array<Grant.Grant> = []
      for (const lock of others) {
        const grant = yield* lock.tryAcquire
        if (Option.isNone(grant)) return Option.none()
        grants.push(grant.value)
      }
      return Option.map(yield* first.tryAcquire, (grant) => Grants.all([grant, ...grants]))
    }),
    Option.isSome
  )

  return Effect.succeed({
    locks: [first, ...others],
    acquire,
    tryAcquire,
    withLock: (effect, options) => Reentrancy.hold(acquire(options), effect)
  })
}

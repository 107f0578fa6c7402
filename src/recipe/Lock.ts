/**
 * A lock that one holder has at a time, in the order in which they came.
 *
 * **Guarantee.** One holder at a time that may believe so; what that is worth for
 * what the holder has sent elsewhere, and what it must do about it (`guard`, or
 * hand on the `token`), says {@link Grant.Grant}. Waiting goes on over cuts and new
 * sessions; a new session queues at the end. A release wakes one waiter.
 * Interruption, failure or the deadline leave no znode behind: where it cannot be
 * removed at once, because the connection is lost, it is removed in the
 * background, or ends with the session.
 *
 * Follows kazoo's `Lock` (`layout: "kazoo"`, the default) or Curator's
 * `InterProcessMutex` (`"curator"`), and queues with theirs on one path. Unlike
 * them it tells its holder when the lock is lost, has one deadline for the whole
 * wait, and is not re-entrant but says so.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Lock from "effect-zookeeper/recipe/Lock"
 *
 * export const report = Effect.log("only one of us writes this").pipe(
 *   Lock.withLock("/locks/report")
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Acl } from "../Acl.ts"
import * as ZnodePath from "../ZnodePath.ts"
import { type Data, type OperationError, ZooKeeper } from "../ZooKeeper.ts"
import type { BadArguments, NoAuth, QuotaExceeded } from "../ZooKeeperError.ts"
import type * as Grant from "./Grant.ts"
import * as Contention from "./internal/Contention.ts"
import { revocationMark } from "./internal/Grants.ts"
import * as Layouts from "./internal/Layout.ts"
import * as Reentrancy from "./internal/Reentrancy.ts"

/**
 * Whose znodes the recipe's look like.
 *
 * @category models
 * @since 0.1.0
 */
export type Layout = Layouts.Layout

/**
 * Options of a lock.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends Grant.Options {
  /** @default "kazoo" */
  readonly layout?: Layout | undefined
  /** What the contender's znode holds, for others to see. @default empty */
  readonly identifier?: Data | undefined
  /** Of the contender's znode, and of missing parents. @default the layer's `defaultAcl` */
  readonly acl?: ReadonlyArray<Acl> | undefined
  /**
   * Further markers that tell a contender, when they stand before the number at
   * the end of a name: kazoo's `extra_lock_patterns`. `["-lock-"]` lets a lock of
   * kazoo's layout respect Curator's and Go's contenders, which do not respect
   * it in turn.
   *
   * @default none
   */
  readonly extraLockPatterns?: ReadonlyArray<string> | undefined
}

/**
 * Somebody who holds the lock or waits for it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Contender {
  /** Its znode. */
  readonly path: string
  readonly identifier: Uint8Array
  readonly sessionId: bigint
  /** The fencing token that it has, or will have. */
  readonly token: bigint
}

/**
 * What runs while the lock is held: an effect, or a function of the grant.
 *
 * @category models
 * @since 0.1.0
 */
export type Protected<A, E, R> = Effect.Effect<A, E, R> | ((grant: Grant.Grant) => Effect.Effect<A, E, R>)

/**
 * A lock.
 *
 * @category models
 * @since 0.1.0
 */
export interface Lock {
  readonly path: string
  /**
   * Acquires, runs, releases. The effect is interrupted when the lock is lost;
   * the result is `GrantLost` then.
   */
  readonly withLock: <A, E, R>(
    effect: Protected<A, E, R>,
    options?: Grant.AcquireOptions
  ) => Effect.Effect<A, E | Grant.AcquireError | Grant.AcquireTimeout | Grant.GrantLost, R>
  /**
   * Held until the scope closes. Nothing is interrupted by itself: see `protect`
   * and `lost` of the grant. Only who still waits when the scope closes is.
   */
  readonly acquire: (
    options?: Grant.AcquireOptions
  ) => Effect.Effect<Grant.Grant, Grant.AcquireError | Grant.AcquireTimeout, Scope.Scope>
  /** Held until the scope closes, if nobody else holds it or waits for it; does not wait for others. */
  readonly tryAcquire: Effect.Effect<Option.Option<Grant.Grant>, Grant.AcquireError, Scope.Scope>
  /**
   * Asks the holder to let go, as Curator's `Revoker` does: by replacing its
   * identifier with `__REVOKE__`, which completes `revocation` of its grant. It
   * is for the holder to comply. Whether there was a holder.
   */
  readonly revoke: Effect.Effect<boolean, NoAuth | QuotaExceeded | OperationError>
  /** Who holds it (the first) and who waits, in order. The connected server's view, which may be late. */
  readonly contenders: Effect.Effect<ReadonlyArray<Contender>, NoAuth | OperationError>
}

/**
 * The lock on a path. Nothing is sent yet.
 *
 * Fails with `BadArguments` where the path is malformed.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Option from "effect/Option"
 * import * as Lock from "effect-zookeeper/recipe/Lock"
 *
 * export const program = Effect.gen(function*() {
 *   const lock = yield* Lock.make("/locks/report", { identifier: "worker-1" })
 *   // For as long as a scope is open, if nobody has it.
 *   const isOurs = yield* Effect.scoped(Effect.map(lock.tryAcquire, Option.isSome))
 *   return isOurs // => true
 * })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  path: string,
  options: Options = {}
): Effect.fn.Return<Lock, BadArguments, ZooKeeper> {
  const zk = yield* ZooKeeper
  yield* ZnodePath.validate(path)
  const layout = options.layout ?? "kazoo"
  const marker = Layouts.markers[layout].lock
  return fromContention(zk, {
    ...options,
    parent: path,
    layout,
    marker,
    markers: [marker, ...options.extraLockPatterns ?? []],
    data: options.identifier ?? "",
    acl: options.acl,
    blocker: (ahead) => ahead.at(-1)
  })
})

/**
 * A lock that has its own idea of whom to wait for.
 *
 * @internal
 * @category constructors
 * @since 0.1.0
 */
export const fromContention = (zk: ZooKeeper["Service"], contention: Contention.Contention): Lock => {
  const path = contention.parent
  // Readers and writers of one path are different locks to wait for, and one to deadlock on.
  const wanted = { zk, path, weight: 1, limit: 1 }
  const acquire: Lock["acquire"] = (options) => Reentrancy.acquire(wanted, Contention.acquire(zk, contention, options))
  const contenders: Lock["contenders"] = Effect.map(Contention.contenders(zk, contention), (found) =>
    found.map(({ name, znode }) => ({
      path: ZnodePath.join(path, name),
      identifier: znode.data,
      sessionId: znode.stat.ephemeralOwner,
      token: znode.stat.czxid
    })))
  return {
    path,
    acquire,
    tryAcquire: Reentrancy.tryAcquire(wanted, Contention.tryAcquire(zk, contention)),
    withLock: (effect, options) => Reentrancy.hold(acquire(options), effect),
    contenders,
    revoke: Effect.flatMap(contenders, ([holder]) =>
      holder === undefined
        ? Effect.succeed(false)
        : zk.set(holder.path, revocationMark).pipe(
          Effect.as(true),
          Effect.catchTags({
            NoNode: () => Effect.succeed(false),
            // Any version will do.
            BadVersion: (error) => Effect.die(error)
          })
        ))
  }
}

/**
 * Runs an effect while the lock on a path is held.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Lock from "effect-zookeeper/recipe/Lock"
 *
 * export const once = Lock.withLock("/locks/migration", { timeout: "30 seconds" })(
 *   (grant) => Effect.log(`fencing token ${grant.token}`)
 * )
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const withLock = (path: string, options?: Options & Grant.AcquireOptions) =>
<A, E, R>(
  effect: Protected<A, E, R>
): Effect.Effect<A, E | Grant.AcquireError | Grant.AcquireTimeout | Grant.GrantLost, R | ZooKeeper> =>
  Effect.flatMap(make(path, options), (lock) => lock.withLock(effect, options))

/**
 * A lock that many readers share and a writer has alone, in the order in which
 * they came: a writer that waits holds up later readers, so that none starves.
 *
 * **Guarantee.** A writer is alone, readers are among themselves. What is granted,
 * and what its holder must do about the limits, is that of `Grant`; how waiting
 * ends is that of `Lock`. A reader's token says which writers came before it, and
 * orders no readers. A reader cannot become a writer (it fails with `AlreadyHeld`):
 * only the other way, `downgrade`, is possible. A writer waits for
 * the one before it, a reader for the last writer before it: nobody is woken by
 * what does not exclude it.
 *
 * Follows kazoo's `WriteLock` and `ReadLock` (`layout: "kazoo"`, the default) or
 * Curator's `InterProcessReadWriteLock` (`"curator"`), and queues with theirs.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as ReadWriteLock from "effect-zookeeper/recipe/ReadWriteLock"
 *
 * export const program = Effect.gen(function*() {
 *   const catalogue = yield* ReadWriteLock.make("/locks/catalogue")
 *   yield* catalogue.read.withLock(Effect.log("beside other readers"))
 *   yield* catalogue.write.withLock(Effect.log("alone"))
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Uuid from "../client/Uuid.ts"
import * as ZnodePath from "../ZnodePath.ts"
import { type CreateError, ZooKeeper } from "../ZooKeeper.ts"
import type { BadArguments } from "../ZooKeeperError.ts"
import * as Grant from "./Grant.ts"
import * as Grants from "./internal/Grants.ts"
import * as Layouts from "./internal/Layout.ts"
import * as OwnZnode from "./internal/OwnZnode.ts"
import * as Lock from "./Lock.ts"

/**
 * Options of a read-write lock: those of `Lock`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends Lock.Options {}

/**
 * A read-write lock. `contenders` of either side lists readers and writers.
 *
 * @category models
 * @since 0.1.0
 */
export interface ReadWriteLock {
  readonly path: string
  /** The readers' side. */
  readonly read: Lock.Lock
  /** The writers' side. */
  readonly write: Lock.Lock
  /**
   * The readers' side for who holds the writers' side: at once, ahead of all
   * writers that wait. Other readers come in when the write grant's scope closes.
   * The new grant lasts until its own scope closes, so open that one further
   * out. As in Curator since 5.5 the znode takes over the writer's number, and the
   * grant its token.
   *
   * `GrantLost` where the write grant is over.
   */
  readonly downgrade: (
    write: Grant.Grant
  ) => Effect.Effect<Grant.Grant, Grant.GrantLost | CreateError, Scope.Scope>
}

/**
 * The read-write lock on a path. Nothing is sent yet.
 *
 * Fails with `BadArguments` where the path is malformed.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  path: string,
  options: Options = {}
): Effect.fn.Return<ReadWriteLock, BadArguments, ZooKeeper> {
  const zk = yield* ZooKeeper
  yield* ZnodePath.validate(path)
  const layout = options.layout ?? "kazoo"
  const { read, write } = Layouts.markers[layout]
  const extra = options.extraLockPatterns ?? []
  const contention = {
    ...options,
    parent: path,
    layout,
    markers: [write, read, ...extra],
    data: options.identifier ?? "",
    acl: options.acl
  }
  return {
    path,
    write: Lock.fromContention(zk, { ...contention, marker: write, blocker: (ahead) => ahead.at(-1) }),
    read: Lock.fromContention(zk, {
      ...contention,
      marker: read,
      blocker: (ahead) => ahead.findLast(({ marker }) => marker !== read)
    }),
    downgrade: (grant) =>
      Effect.gen(function*() {
        const own = yield* OwnZnode.make(zk, {
          parent: path,
          prefix: Layouts.prefix(layout, yield* Uuid.next),
          name: `${read}${grant.path.slice(-10)}`,
          data: contention.data,
          mode: "ephemeral",
          acl: options.acl,
          createWith: OwnZnode.underGrant(zk, grant)
        })
        // Writers that wait were created before this znode, and come after it.
        return { ...yield* Grants.make(zk, own, options), token: grant.token }
      }).pipe(
        // With the session the write grant is over as well.
        Effect.catchIf(OwnZnode.isExpired, () =>
          Effect.fail(new Grant.GrantLost({ path: grant.path, reason: "SessionEnded" })))
      )
  }
})

/**
 * A copy of a tree of znodes in memory that follows the ensemble: a snapshot,
 * and every change from the same moment on.
 *
 * **Guarantees**
 *
 * - When the tree rests and the client is connected, the cache equals the tree.
 * - Changes applied to the snapshot they follow rebuild the cache exactly:
 *   `Created` only where there was nothing, `Updated` and `Deleted` with what
 *   was there. A znode that was deleted and created again is told as both,
 *   recognised by its czxid, even when nobody was connected meanwhile.
 * - Of one path, mzxid only grows: neither a reconnect nor a new session on a
 *   server that lags behind makes the cache go back in time.
 * - Parents are told before their children when they appear, after them when
 *   they vanish. Between paths there is no other order: states between two
 *   readings collapse, and the whole is not the tree of one zxid. Where that is
 *   needed, {@link TreeCache.awaitZxid} gives a lower bound.
 *
 * One recursive watch follows all (ZooKeeper 3.6 and later); older servers get a
 * watch per znode. Changes are read many at a time; after a reconnect everything
 * is read again in requests of 256 znodes, four at a time, and children are
 * listed only where their parent's pzxid says that they have changed.
 *
 * Znodes that may not be read are treated as absent, with all below them. The
 * root may be missing: it appears when it is created.
 *
 * kazoo's and Curator's TreeCache and CuratorCache in one; kazoo's creates its
 * root, this one writes nothing.
 *
 * @example
 * ```ts
 * import * as Console from "effect/Console"
 * import * as Effect from "effect/Effect"
 * import * as Stream from "effect/Stream"
 * import * as TreeCache from "effect-zookeeper/recipe/TreeCache"
 *
 * export const printChanges = Effect.scoped(Effect.gen(function*() {
 *   const cache = yield* TreeCache.make("/services", { maxDepth: 2 })
 *   yield* Stream.runForEach(cache.changes, (change) =>
 *     change._tag === "Snapshot"
 *       ? Console.log(`${change.nodes.size} znodes`)
 *       : Console.log(`${change._tag} ${change.path}`))
 * }))
 * ```
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Znode } from "../Znode.ts"
import * as ZnodePath from "../ZnodePath.ts"
import { type OperationError, ZooKeeper } from "../ZooKeeper.ts"
import { BadArguments, type NoAuth } from "../ZooKeeperError.ts"
import { CachedTree } from "./internal/CachedTree.ts"
import { persevere } from "./internal/Perseverance.ts"
import * as TreeFollower from "./internal/TreeFollower.ts"

/**
 * The whole cache: the beginning of a subscription. It comes again, in place of
 * the changes, where a consumer has left more than 16 384 of them untaken; it
 * replaces everything known before.
 *
 * @category models
 * @since 0.1.0
 */
export interface Snapshot {
  readonly _tag: "Snapshot"
  /** By path. */
  readonly nodes: ReadonlyMap<string, Znode>
}

/**
 * A znode is there that was not.
 *
 * @category models
 * @since 0.1.0
 */
export interface Created {
  readonly _tag: "Created"
  readonly path: string
  readonly znode: Znode
}

/**
 * The data of a znode was written, once or more often.
 *
 * @category models
 * @since 0.1.0
 */
export interface Updated {
  readonly _tag: "Updated"
  readonly path: string
  readonly znode: Znode
  /** What the cache held before. */
  readonly previous: Znode
}

/**
 * A znode is not there any more.
 *
 * @category models
 * @since 0.1.0
 */
export interface Deleted {
  readonly _tag: "Deleted"
  readonly path: string
  /** What the cache held before. */
  readonly previous: Znode
}

/**
 * An element of {@link TreeCache.changes}.
 *
 * @category models
 * @since 0.1.0
 */
export type Change = Snapshot | Created | Updated | Deleted

/**
 * How a cache can fail: `NoAuth` when its root may not be read at first; a
 * `ConnectionError` when the client is closed, its identities are refused, or
 * the names of a znode's children exceed `maxReplySize`; `BadArguments` for a
 * malformed path or depth. Lost connections and expired sessions are survived.
 *
 * @category errors
 * @since 0.1.0
 */
export type TreeCacheError = NoAuth | OperationError

/**
 * What a cache holds.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Levels below the root; 0 is the root alone. @default all */
  readonly maxDepth?: number | undefined
  /** Whether a znode, and with it everything below it, is kept. Not asked for the root. @default all */
  readonly filter?: ((path: string) => boolean) | undefined
  /** Whether data is kept, or only Stats. @default true */
  readonly data?: boolean | undefined
}

/**
 * A cache that lives as long as its scope.
 *
 * @category models
 * @since 0.1.0
 */
export interface TreeCache {
  /** The root. */
  readonly path: string
  /**
   * A znode as cached. Its Stat is that of its newest reading: what children
   * change in it (`numChildren`, `cversion`, `pzxid`) may be older.
   */
  readonly get: (path: string) => Effect.Effect<Option.Option<Znode>>
  /** Names of the cached children, in no particular order; `None` where there is no such znode. */
  readonly children: (path: string) => Effect.Effect<Option.Option<ReadonlyArray<string>>>
  /** All znodes by path, now. */
  readonly snapshot: Effect.Effect<ReadonlyMap<string, Znode>>
  /** A snapshot, then every change of the cache after it. Ends with the cache's scope. */
  readonly changes: Stream.Stream<Change, TreeCacheError>
  /** The snapshot now, then a newer one whenever there is one: for consumers who want the last state only. */
  readonly states: Stream.Stream<ReadonlyMap<string, Znode>, TreeCacheError>
  /**
   * Completes when the cache has seen at least everything up to a zxid: that of
   * one's own write (`stat.mzxid`), or one that another process has told.
   *
   * The client's last zxid, after a `sync` where it is too small, names a point
   * of which the server has told all events already; when these are read, the
   * cache holds the state of that point or a later one. `sync` is no quorum
   * operation: a leader deposed without its knowledge may answer it, and then
   * this waits until the zxid is really there. A zxid that no server ever
   * reaches is waited for until interruption, which closing the cache's scope is too.
   */
  readonly awaitZxid: (zxid: bigint) => Effect.Effect<void, TreeCacheError>
}

/** Changes that one consumer may leave untaken. */
const largestBacklog = 16_384

type Subscription<A> = Queue.Queue<A, TreeCacheError | Cause.Done>

/** Depth of a path below the root. */
const depthBelow = (root: string, path: string): number => {
  let depth = 0
  for (let index = root === "/" ? 0 : root.length; index < path.length; index++) {
    if (path.charCodeAt(index) === 47 && index + 1 < path.length) depth++
  }
  return depth
}

/**
 * A cache of a znode and all below it, complete when this returns. Fails with
 * what {@link TreeCacheError} says. Closing the scope ends its watches and
 * streams; it never writes.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  path: string,
  options: Options = {}
): Effect.fn.Return<TreeCache, TreeCacheError, ZooKeeper | Scope.Scope> {
  const zk = yield* ZooKeeper
  const root = yield* ZnodePath.validate(path)
  const { filter, maxDepth = Number.POSITIVE_INFINITY } = options
  if (!(maxDepth >= 0)) {
    return yield* new BadArguments({ argument: "maxDepth", value: String(maxDepth), problem: "must be 0 or more" })
  }
  const listeners = new Set<Subscription<Change>>()
  const sleepers = new Set<Subscription<void>>()
  let ended: Cause.Cause<TreeCacheError | Cause.Done> | undefined
  const end = (cause: Cause.Cause<TreeCacheError | Cause.Done>): void => {
    ended ??= cause
    for (const listener of listeners) Queue.failCauseUnsafe(listener, ended)
    for (const sleeper of sleepers) Queue.failCauseUnsafe(sleeper, ended)
  }

  const tree: CachedTree = new CachedTree(root, options.data ?? true, (change) => {
    for (const listener of listeners) {
      if (Queue.sizeUnsafe(listener) < largestBacklog) Queue.offerUnsafe(listener, change)
      else beginAgain(listener)
    }
    for (const sleeper of sleepers) Queue.offerUnsafe(sleeper, undefined)
  })

  const beginning = (): Change => ({ _tag: "Snapshot", nodes: tree.snapshot() })

  const beginAgain = (listener: Subscription<Change>): void => {
    while (Queue.takeUnsafe(listener) !== undefined) continue
    Queue.offerUnsafe(listener, beginning())
  }

  /** Whether the filter lets a path and everything above it through. */
  const admits = (candidate: string): boolean => {
    if (filter === undefined || candidate === root) return true
    let isKnown = true
    for (let slash = root === "/" ? 0 : root.length; slash !== -1;) {
      slash = candidate.indexOf("/", slash + 1)
      const at = slash === -1 ? candidate : candidate.slice(0, slash)
      isKnown &&= tree.has(at)
      if (!isKnown && !filter(at)) return false
    }
    return true
  }

  yield* Effect.addFinalizer(() => Effect.sync(() => end(Cause.fail(Cause.Done()))))
  const follower = yield* TreeFollower.follow({
    zk,
    root,
    tree,
    selects: (candidate) => depthBelow(root, candidate) <= maxDepth && admits(candidate),
    descends: (candidate) => depthBelow(root, candidate) < maxDepth,
    failed: (error) => end(Cause.fail(error))
  })

  /** From this moment on, until the stream or the cache ends. */
  const subscribe = <A>(to: Set<Subscription<A>>, subscription: Subscription<A>, first: () => A) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        to.add(subscription)
        Queue.offerUnsafe(subscription, first())
        if (ended !== undefined) Queue.failCauseUnsafe(subscription, ended)
      }),
      () => Effect.sync(() => to.delete(subscription))
    )

  const changes: TreeCache["changes"] = Stream.callback((listener) =>
    subscribe(listeners, listener, beginning)
  )

  const states: TreeCache["states"] = Stream.callback<void, TreeCacheError>(
    (sleeper) => subscribe(sleepers, sleeper, () => undefined),
    { bufferSize: 1, strategy: "sliding" }
  ).pipe(Stream.map(() => tree.snapshot()))

  const awaitZxid: TreeCache["awaitZxid"] = (zxid) =>
    Effect.gen(function*() {
      while (true) {
        if ((yield* zk.session).lastZxid < zxid) yield* persevere(zk, zk.sync(root))
        const { lastZxid } = yield* zk.session
        yield* follower.settled
        if (lastZxid >= zxid) return
        yield* Effect.sleep("100 millis")
      }
    })

  return {
    path: root,
    get: (at) => Effect.sync(() => Option.fromUndefinedOr(tree.get(at))),
    children: (at) => Effect.sync(() => Option.fromUndefinedOr(tree.children(at))),
    snapshot: Effect.sync(() => tree.snapshot()),
    changes,
    states,
    awaitZxid
  }
})

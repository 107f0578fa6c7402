/**
 * A barrier: as long as its znode is there, everybody waits; when it is gone,
 * everybody goes on. As kazoo's `Barrier` and Curator's `DistributedBarrier`
 * keep it, which share one layout.
 *
 * **Guarantee.** Nobody passes before the znode was seen to be missing, on a
 * server that had caught up with the leader when the wait began. A wait survives
 * reconnects and new sessions, and looks again after each; it never sleeps
 * through the removal.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Barrier from "effect-zookeeper/recipe/Barrier"
 *
 * export const afterMigration = Effect.gen(function*() {
 *   const barrier = yield* Barrier.make("/migration")
 *   yield* barrier.wait
 *   yield* Effect.log("migrated")
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Telemetry from "../client/Telemetry.ts"
import * as ZnodePath from "../ZnodePath.ts"
import { type CreateError, type OperationError, ZooKeeper } from "../ZooKeeper.ts"
import { BadArguments, type NoAuth, type NotEmpty } from "../ZooKeeperError.ts"
import { awaiting, isUnknown, repeating, retrying } from "./internal/Retrying.ts"

/**
 * A barrier.
 *
 * @category models
 * @since 0.1.0
 */
export interface Barrier {
  readonly path: string
  /** Sets the barrier up, parents included. One that is there already is fine. */
  readonly create: Effect.Effect<void, Exclude<CreateError, { readonly _tag: "NodeExists" }>>
  /**
   * Takes the barrier away, and tells whether there was one that nobody else took
   * away. When a reply is lost, only the barrier that was there before is taken away, not one that
   * somebody has set up since.
   */
  readonly remove: Effect.Effect<boolean, NoAuth | NotEmpty | OperationError>
  /** Whether the barrier is there now. */
  readonly isThere: Effect.Effect<boolean, NoAuth | OperationError>
  /**
   * Waits until there is no barrier; there may be none to begin with. Give it a
   * deadline with `Effect.timeout`: interruption leaves nothing behind.
   */
  readonly wait: Effect.Effect<void, NoAuth | OperationError>
}

/**
 * The barrier at a path. Nothing is sent before it is used. Fails with
 * `BadArguments` where the path is malformed or the root.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  path: string
): Effect.fn.Return<Barrier, BadArguments, ZooKeeper> {
  const zk = yield* ZooKeeper
  yield* ZnodePath.validate(path)
  if (path === "/") {
    return yield* new BadArguments({ argument: "path", value: path, problem: "the root cannot be a barrier" })
  }
  const look = repeating(zk, zk.exists(path))

  /** Deletes the barrier of this czxid; `isAgain` where an earlier try may have done it. */
  const removeThis = (czxid: bigint, isAgain: boolean): Effect.Effect<boolean, NoAuth | NotEmpty | OperationError> =>
    retrying(zk, zk.delete(path)).pipe(
      Effect.as(true),
      Effect.catchTag(["NoNode", "BadVersion"], () => Effect.succeed(isAgain)),
      Effect.catchIf(isUnknown, () =>
        Effect.flatMap(
          repeating(zk, Effect.andThen(zk.sync(path), zk.exists(path))),
          Option.match({
            onNone: () => Effect.succeed(true),
            onSome: (stat) => stat.czxid === czxid ? removeThis(czxid, true) : Effect.succeed(true)
          })
        ))
    )

  const wait: Barrier["wait"] = Effect.suspend(() =>
    Effect.scoped(Effect.flatMap(repeating(zk, zk.existsAndWatch(path)), ({ event, value }) =>
      Option.isNone(value) ? Effect.succeed(true) : Effect.as(awaiting(zk, event), false))).pipe(
        Effect.flatMap((isGone) => isGone ? Effect.void : wait)
      )
  )

  return {
    path,
    create: repeating(zk, zk.ensurePath(path)),
    remove: Effect.flatMap(
      look,
      Option.match({ onNone: () => Effect.succeed(false), onSome: ({ czxid }) => removeThis(czxid, false) })
    ),
    isThere: Effect.map(look, Option.isSome),
    wait: Telemetry.phase("wait", path)(Effect.andThen(repeating(zk, zk.sync(path)), wait))
  }
})

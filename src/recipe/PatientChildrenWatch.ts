/**
 * The children of a znode once they have been quiet for a while: when a fleet
 * starts or restarts, one reaction instead of one per member.
 *
 * kazoo's PatientChildrenWatch. Quiet means that nobody was created or deleted
 * below the znode for the time boundary, proven by a read at its end: time
 * without a connection does not count as quiet by itself.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as PatientChildrenWatch from "effect-zookeeper/recipe/PatientChildrenWatch"
 *
 * export const main = Effect.gen(function*() {
 *   const { changed, children } = yield* PatientChildrenWatch.once("/workers", { timeBoundary: "5 seconds" })
 *   console.log(children)
 *   yield* changed
 * })
 * ```
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Children } from "../Znode.ts"
import { type OperationError, type Service, ZooKeeper } from "../ZooKeeper.ts"
import type { NoAuth } from "../ZooKeeperError.ts"
import { isPassing } from "./internal/Perseverance.ts"

/**
 * How patient to be.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** For how long nothing may change. @default "30 seconds" */
  readonly timeBoundary?: Duration.Input | undefined
}

/**
 * Children that were quiet, and what tells when they are not any more.
 *
 * @category models
 * @since 0.1.0
 */
export interface Quiet extends Children {
  /**
   * Completes when the children have changed since they were read, or the znode
   * was deleted; at once where that has happened already. Any number of fibers
   * may wait; nothing is watched while none does.
   */
  readonly changed: Effect.Effect<void, NoAuth | OperationError>
}

const isSame = (before: Children, now: Children): boolean =>
  before.stat.pzxid === now.stat.pzxid && before.stat.czxid === now.stat.czxid

/** `None` where something has changed meanwhile: the watch tells. */
const confirmed = (zk: Service, path: string, before: Children) =>
  zk.getChildrenWithStat(path).pipe(
    Effect.map((now) => isSame(before, now) ? Option.some(now) : Option.none()),
    Effect.catchTag("NoNode", () => Effect.succeedNone)
  )

const quiet = (zk: Service, path: string, { timeBoundary = "30 seconds" }: Options) =>
  zk.childrenChanges(path).pipe(
    Stream.switchMap((state) =>
      Option.isNone(state)
        ? Stream.empty
        : Stream.fromEffect(
          Effect.sleep(timeBoundary).pipe(
            Effect.andThen(confirmed(zk, path, state.value)),
            Effect.retry({ while: isPassing })
          )
        )
    ),
    Stream.filter(Option.isSome),
    Stream.map(({ value }) => value)
  )

/**
 * The children whenever they have been quiet for the time boundary after a
 * change. Where there is no znode there is nothing to tell.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Stream from "effect/Stream"
 * import * as PatientChildrenWatch from "effect-zookeeper/recipe/PatientChildrenWatch"
 *
 * export const main = Stream.runForEach(
 *   PatientChildrenWatch.changes("/workers", { timeBoundary: "2 seconds" }),
 *   ({ children }) => Effect.log(`${children.length} workers share the work from now on`)
 * )
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const changes = (
  path: string,
  options: Options = {}
): Stream.Stream<Children, NoAuth | OperationError, ZooKeeper> =>
  Stream.unwrap(Effect.map(ZooKeeper, (zk) => quiet(zk, path, options)))

/**
 * Waits until there is a znode and its children have been quiet for the time
 * boundary. Restless children are waited for without bound: add a timeout where
 * that may be too long. Fails with `NoAuth` and `OperationError`.
 *
 * @category running
 * @since 0.1.0
 */
export const once = (
  path: string,
  options: Options = {}
): Effect.Effect<Quiet, NoAuth | OperationError, ZooKeeper> =>
  Effect.flatMap(ZooKeeper, (zk) =>
    Effect.flatMap(
      Stream.runHead(quiet(zk, path, options)),
      Option.match({
        onNone: () => Effect.never,
        onSome: (found): Effect.Effect<Quiet> =>
          Effect.succeed({
            ...found,
            changed: zk.childrenChanges(path).pipe(
              Stream.filter((now) => Option.isNone(now) || !isSame(found, now.value)),
              Stream.runHead,
              Effect.asVoid
            )
          })
      })
    ))

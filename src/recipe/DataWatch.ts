/**
 * A function that is called with a znode now and whenever it has changed:
 * kazoo's DataWatch, for code that moves from there. Everyone else will prefer
 * the stream it is made of, `ZooKeeper.changes`.
 *
 * | kazoo | here |
 * | --- | --- |
 * | `DataWatch(client, path, f)` | `Effect.forkScoped(DataWatch.run(path, f))` |
 * | `f(None, None)` | `f(Option.none(), …)` |
 * | `f` returns `False` | `f` succeeds with `false` |
 * | the third argument, `event` | the second |
 * | `ExistingDataWatch` | {@link runExisting} |
 *
 * **Guarantee.** The last state is never lost: once the znode rests and there is a
 * connection, the function has been called with it, or will be when the call that
 * is going on has ended; also where connections, replies and sessions were lost
 * meanwhile. What is not guaranteed is every state before it: one call at a time,
 * and changes during a call, or between two readings, collapse into the next one.
 * So write the function as one that looks at what is, not as one that counts what
 * happens. It goes on over reconnects and new sessions, and its watch is removed
 * from the server when it ends.
 *
 * @example
 * ```ts
 * import * as Console from "effect/Console"
 * import * as Effect from "effect/Effect"
 * import * as Option from "effect/Option"
 * import * as DataWatch from "effect-zookeeper/recipe/DataWatch"
 *
 * // Until the znode is deleted.
 * export const main = DataWatch.run("/config", (znode) =>
 *   Effect.as(
 *     Console.log(Option.map(znode, ({ stat }) => stat.version)),
 *     Option.isSome(znode)
 *   ))
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { NodeEvent } from "../WatchEvent.ts"
import type { Znode } from "../Znode.ts"
import { type OperationError, ZooKeeper } from "../ZooKeeper.ts"
import type { NoAuth } from "../ZooKeeperError.ts"

/**
 * Is called with the znode, `None` while there is none, and with what happened
 * since the last call: nothing at the first. It goes on until it succeeds with
 * `false`. A znode that was deleted and created again between two calls is told
 * as `NodeCreated`.
 *
 * @category models
 * @since 0.1.0
 */
export type Callback<E, R> = (
  znode: Option.Option<Znode>,
  event: Option.Option<NodeEvent>
) => Effect.Effect<boolean | void, E, R>

const eventBetween = (path: string, before: Option.Option<Znode>, now: Option.Option<Znode>): NodeEvent => {
  if (Option.isNone(now)) return { _tag: "NodeDeleted", path }
  const same = Option.isSome(before) && before.value.stat.czxid === now.value.stat.czxid
  return { _tag: same ? "NodeDataChanged" : "NodeCreated", path }
}

/**
 * Calls the function until it succeeds with `false`. Fails with what it fails
 * with, with `NoAuth`, and with what `ZooKeeper.changes` fails with.
 *
 * @category running
 * @since 0.1.0
 */
export const run = <E, R>(
  path: string,
  f: Callback<E, R>
): Effect.Effect<void, E | NoAuth | OperationError, R | ZooKeeper> =>
  Effect.flatMap(ZooKeeper, (zk) => {
    let before: Option.Option<Option.Option<Znode>> = Option.none()
    return Stream.runForEachWhile(zk.changes(path), (now) => {
      const event = Option.map(before, (before) => eventBetween(path, before, now))
      before = Option.some(now)
      return Effect.map(f(now, event), (goesOn) => goesOn !== false)
    })
  })

/**
 * {@link run} for a znode that exists: it ends, without calling the function,
 * when there is no such znode, or no more. One that was deleted and created again
 * between two readings is not missed: that is told as `NodeCreated`.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as DataWatch from "effect-zookeeper/recipe/DataWatch"
 *
 * export const program = DataWatch.runExisting("/config", ({ data }) => Effect.log(`${data.length} bytes`))
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const runExisting = <E, R>(
  path: string,
  f: (znode: Znode, event: Option.Option<NodeEvent>) => Effect.Effect<boolean | void, E, R>
): Effect.Effect<void, E | NoAuth | OperationError, R | ZooKeeper> =>
  run(path, (znode, event) => Option.isSome(znode) ? f(znode.value, event) : Effect.succeed(false))

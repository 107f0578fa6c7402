/**
 * A function that is called with the children of a znode now and whenever they
 * have changed: kazoo's ChildrenWatch, for code that moves from there. Everyone
 * else will prefer the stream it is made of, `ZooKeeper.childrenChanges`.
 *
 * | kazoo | here |
 * | --- | --- |
 * | `ChildrenWatch(client, path, f)` | `Effect.forkScoped(ChildrenWatch.run(path, f))` |
 * | ends silently where there is no znode | `f(Option.none())`, which decides |
 * | `f` returns `False` | `f` succeeds with `false` |
 * | `allow_session_lost=False` | `{ allowSessionLost: false }`: fails with `SessionExpired` |
 * | `send_event=True` | not here: the children tell all there is |
 *
 * **Guarantee.** The last list is never lost: once the children rest and there is a
 * connection, the function has been called with them, or will be when the call
 * that is going on has ended; also where connections, replies and sessions were
 * lost meanwhile. What is not guaranteed is every list before it: one call at a
 * time, and changes during a call, or between two readings, collapse into the next
 * one: a child that comes and goes in between is in none of them, and one that was
 * deleted and created again looks the same. It goes on over reconnects and, by
 * default, new sessions; its watch is removed from the server when it ends.
 *
 * @example
 * ```ts
 * import * as Console from "effect/Console"
 * import * as Effect from "effect/Effect"
 * import * as Option from "effect/Option"
 * import * as ChildrenWatch from "effect-zookeeper/recipe/ChildrenWatch"
 *
 * // Until the znode is deleted.
 * export const main = ChildrenWatch.run("/workers", (state) =>
 *   Effect.as(
 *     Console.log(Option.map(state, ({ children }) => children)),
 *     Option.isSome(state)
 *   ))
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Children } from "../Znode.ts"
import { type OperationError, ZooKeeper } from "../ZooKeeper.ts"
import type { NoAuth } from "../ZooKeeperError.ts"

/**
 * How to watch.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Whether to go on in a new session. A mere disconnect ends it in no case. @default true */
  readonly allowSessionLost?: boolean | undefined
}

/**
 * Calls the function with the children, `None` while there is no znode, until it
 * succeeds with `false`. Fails with what it fails with, with `NoAuth`, and with
 * what `ZooKeeper.childrenChanges` fails with.
 *
 * @category running
 * @since 0.1.0
 */
export const run = <E, R>(
  path: string,
  f: (children: Option.Option<Children>) => Effect.Effect<boolean | void, E, R>,
  options: Options = {}
): Effect.Effect<void, E | NoAuth | OperationError, R | ZooKeeper> =>
  Effect.flatMap(ZooKeeper, (zk) => {
    const running = Stream.runForEachWhile(zk.childrenChanges(path), (children) =>
      Effect.map(f(children), (goesOn) => goesOn !== false))
    return options.allowSessionLost === false ? Effect.raceFirst(running, zk.sessionEnd) : running
  })

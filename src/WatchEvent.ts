/**
 * What watches tell.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Stream from "effect/Stream"
 * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
 *
 * // Reads again at every event, and wherever one may be missing.
 * export const kept = ZooKeeper.use((zk) =>
 *   Stream.runForEach(zk.watch("/config"), (event) => {
 *     switch (event._tag) {
 *       case "NodeDeleted":
 *         return Effect.logInfo(`${event.path} is gone`)
 *       case "Gap":
 *       case "NodeCreated":
 *       case "NodeDataChanged":
 *         return Effect.asVoid(zk.exists("/config"))
 *       case "NodeChildrenChanged":
 *         return Effect.void
 *     }
 *   }))
 * ```
 *
 * @since 0.1.0
 */

/**
 * Something happened at a znode. `NodeChildrenChanged` means that a direct
 * child was created or deleted; recursive watches tell that by the child's own
 * event instead.
 *
 * @category models
 * @since 0.1.0
 */
export interface NodeEvent {
  readonly _tag: "NodeCreated" | "NodeDeleted" | "NodeDataChanged" | "NodeChildrenChanged"
  /** The caller's path of the znode. */
  readonly path: string
}

/**
 * Events may have been missed here: the connection was cut, a new session
 * began, or the consumer was too slow. Read again what you keep.
 *
 * @category models
 * @since 0.1.0
 */
export interface Gap {
  readonly _tag: "Gap"
  /**
   * `"Reconnected"`: the connection was cut, the session goes on. `"NewSession"`:
   * it was replaced. `"Overflow"`: 16384 events were waiting for the consumer, and
   * were dropped. `"OneShot"`: a server before 3.6, whose watch fires once, has to
   * be asked for the next one.
   */
  readonly reason: "Reconnected" | "NewSession" | "Overflow" | "OneShot"
}

/**
 * An element of `watch`.
 *
 * @category models
 * @since 0.1.0
 */
export type WatchEvent = NodeEvent | Gap

const tags = [undefined, "NodeCreated", "NodeDeleted", "NodeDataChanged", "NodeChildrenChanged"] as const

/**
 * The name of a type on the wire, 1 to 4; `undefined` for any other. Source:
 * ZooKeeper's `Watcher.Event.EventType`.
 *
 * @example
 * ```ts
 * import * as WatchEvent from "effect-zookeeper/WatchEvent"
 *
 * WatchEvent.tagOf(3) // => "NodeDataChanged"
 * WatchEvent.tagOf(-1) // => undefined
 * ```
 *
 * @category accessors
 * @since 0.1.0
 */
export const tagOf = (type: number): NodeEvent["_tag"] | undefined => tags[type]

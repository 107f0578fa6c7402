/**
 * What watches tell.
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
  /** Why. */
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
 * The name of a type on the wire, 1 to 4; `undefined` for any other.
 *
 * @category accessors
 * @since 0.1.0
 */
export const tagOf = (type: number): NodeEvent["_tag"] | undefined => tags[type]

/**
 * Membership in a group, with a payload, and who else is in it.
 *
 * Curator's GroupMember, in the same layout: `<path>/<id>`, ephemeral, the
 * payload as its data. The group is followed by a cache.
 *
 * **Guarantee.** A member is in the group as long as its scope is open, but for the
 * time between the end of a session and the next; it always counts itself, also
 * then. One that has crashed is listed until its session expires: a list says who
 * was there, not who can be reached. `changes` may skip lists, and never the last
 * one.
 *
 * Ids are unique in a group: a second member with the same id waits until the
 * first is gone, or replaces it with `existing: "replace"`.
 *
 * @example
 * ```ts
 * import * as Console from "effect/Console"
 * import * as Effect from "effect/Effect"
 * import * as Stream from "effect/Stream"
 * import * as GroupMember from "effect-zookeeper/recipe/GroupMember"
 *
 * export const main = Effect.scoped(Effect.gen(function*() {
 *   const member = yield* GroupMember.join("/group", { id: "node-1", data: "10.0.0.1:80" })
 *   yield* Stream.runForEach(member.changes, (members) => Console.log([...members.keys()].join(", ")))
 * }))
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Acl } from "../Acl.ts"
import type { Znode } from "../Znode.ts"
import * as ZnodePath from "../ZnodePath.ts"
import type { Data, ZooKeeper } from "../ZooKeeper.ts"
import { component } from "./internal/Identifier.ts"
import * as PersistentNode from "./PersistentNode.ts"
import * as TreeCache from "./TreeCache.ts"

/**
 * As whom to be in the group.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The name of the znode, unique in the group. */
  readonly id: string
  /** The payload. @default empty */
  readonly data?: Data | undefined
  /** What becomes of a member with the same id: of a crashed process, usually. @default "wait" */
  readonly existing?: "wait" | "replace" | undefined
  /** @default the layer's `defaultAcl` */
  readonly acl?: ReadonlyArray<Acl> | undefined
}

/**
 * How membership can fail.
 *
 * @category errors
 * @since 0.1.0
 */
export type GroupMemberError = PersistentNode.PersistentNodeError | TreeCache.TreeCacheError

/**
 * A member of a group.
 *
 * @category models
 * @since 0.1.0
 */
export interface GroupMember {
  readonly id: string
  /** The payloads of all members by id, itself included. */
  readonly members: Effect.Effect<ReadonlyMap<string, Uint8Array>>
  /** The members now, then whenever somebody has come, gone, or changed its payload. */
  readonly changes: Stream.Stream<ReadonlyMap<string, Uint8Array>, GroupMemberError>
  /** Changes the own payload, and completes when it is written. Interruption does not take it back. */
  readonly set: (data: Data) => Effect.Effect<void, PersistentNode.PersistentNodeError>
  /** Fails when membership is given up; never completes otherwise. */
  readonly failure: Effect.Effect<never, PersistentNode.PersistentNodeError>
}

const encoder = new TextEncoder()

/**
 * Is a member as long as the scope lives. Returns when it is there and the group
 * is known; missing parents are created. Fails with what
 * {@link GroupMemberError} says; failure and interruption leave no member
 * behind.
 *
 * @category constructors
 * @since 0.1.0
 */
export const join = Effect.fnUntraced(function*(
  path: string,
  options: Options
): Effect.fn.Return<GroupMember, GroupMemberError, ZooKeeper | Scope.Scope> {
  const { acl, existing, id } = options
  yield* ZnodePath.validate(path)
  const own = ZnodePath.join(path, yield* component("id", id))
  /** What the node is to hold, and what it is known to have held. */
  let data = bytesOf(options.data ?? "")
  let written = data
  const node = yield* PersistentNode.make(own, data, { acl, existing })
  const cache = yield* TreeCache.make(path, { maxDepth: 1 })

  const membersOf = (nodes: ReadonlyMap<string, Znode>): ReadonlyMap<string, Uint8Array> => {
    const members = new Map<string, Uint8Array>()
    for (const [at, znode] of nodes) if (at !== path) members.set(ZnodePath.name(at), znode.data)
    if (!members.has(id)) members.set(id, data)
    return members
  }

  return {
    id,
    members: Effect.map(cache.snapshot, membersOf),
    changes: Stream.map(cache.states, membersOf),
    set: (next) =>
      Effect.suspend(() => {
        const bytes = bytesOf(next)
        // As the node does, which goes on with it though its caller be interrupted.
        data = bytes
        return node.set(bytes).pipe(
          Effect.map(() => void (written = bytes)),
          Effect.tapError(() => Effect.sync(() => void (data = written)))
        )
      }),
    failure: node.failure
  }
})

const bytesOf = (data: Data): Uint8Array => typeof data === "string" ? encoder.encode(data) : data.slice()

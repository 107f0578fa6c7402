/**
 * Who takes part: members under one path, each with an identifier as its data.
 *
 * kazoo's Party, in the same layout: `<path>/<32 hex digits>__party__`,
 * ephemeral, the identifier in UTF-8. Other children do not count. Unlike
 * kazoo's, membership survives the session: it is taken up again, under the same
 * name, in the next one.
 *
 * **Guarantee.** A member is in the list as long as its scope is open and once only,
 * but for the time between the end of a session and the next. It is listed until
 * its session has expired at the server: one that has crashed for up to the session
 * timeout. So a list says who was there, not who can be reached. `changes` may skip
 * lists, and never the last one. `ShallowParty` keeps the identifier in
 * the name and costs no read per member; `GroupMember` speaks Curator's layout.
 *
 * @example
 * ```ts
 * import * as Console from "effect/Console"
 * import * as Effect from "effect/Effect"
 * import * as Stream from "effect/Stream"
 * import * as Party from "effect-zookeeper/recipe/Party"
 *
 * export const main = Effect.scoped(Effect.gen(function*() {
 *   yield* Party.join("/workers", { identifier: "worker-1" })
 *   yield* Stream.runForEach(Party.changes("/workers"), (members) => Console.log(members.join(", ")))
 * }))
 * ```
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Acl } from "../Acl.ts"
import * as ZnodePath from "../ZnodePath.ts"
import { type OperationError, type Service, ZooKeeper } from "../ZooKeeper.ts"
import type { NoAuth } from "../ZooKeeperError.ts"
import { hex32 } from "./internal/Identifier.ts"
import { persevere } from "./internal/Perseverance.ts"
import * as PersistentNode from "./PersistentNode.ts"

/**
 * As whom to take part.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** What the others see. @default "" */
  readonly identifier?: string | undefined
  /** @default the layer's `defaultAcl` */
  readonly acl?: ReadonlyArray<Acl> | undefined
}

const marker = "__party__"

/**
 * Takes part as long as the scope lives. Returns when the member is there;
 * missing parents are created. Its `failure` tells when membership is given up;
 * failure and interruption leave no member behind. Fails with what
 * `PersistentNode.make` does.
 *
 * @category constructors
 * @since 0.1.0
 */
export const join = (
  path: string,
  options: Options = {}
): Effect.Effect<PersistentNode.PersistentNode, PersistentNode.PersistentNodeError, ZooKeeper | Scope.Scope> =>
  Effect.gen(function*() {
    yield* ZnodePath.validate(path)
    const name = `${yield* hex32}${marker}`
    return yield* PersistentNode.make(ZnodePath.join(path, name), options.identifier, { acl: options.acl })
  })

interface Member {
  readonly identifier: string
  readonly czxid: bigint
}

/** Reads those that are not known yet; the identifier of a member does not change. */
const read = (
  zk: Service,
  path: string,
  names: ReadonlyArray<string>,
  known: Map<string, Member>
): Effect.Effect<ReadonlyArray<string>, OperationError> => {
  const members = names.filter((name) => name.endsWith(marker))
  for (const name of [...known.keys()]) if (!members.includes(name)) known.delete(name)
  const unknown = members.filter((name) => !known.has(name))
  return Effect.map(zk.getMany(unknown.map((name) => ZnodePath.join(path, name))), (znodes) => {
    for (const [index, name] of unknown.entries()) {
      const znode = znodes[index]
      // Who has left meanwhile, or may not be read, does not count.
      if (znode === undefined || Result.isFailure(znode)) continue
      const { data, stat } = znode.success
      known.set(name, { identifier: new TextDecoder().decode(data), czxid: stat.czxid })
    }
    return Array.from(known.values())
      .toSorted((a, b) => a.czxid < b.czxid ? -1 : 1)
      .map(({ identifier }) => identifier)
  })
}

/**
 * The identifiers of the members, in the order in which they have joined. Two
 * members with one identifier are listed twice. Where there is no znode at the
 * path there are none. Fails with `NoAuth` and `OperationError`.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Party from "effect-zookeeper/recipe/Party"
 *
 * export const program = Effect.scoped(Effect.gen(function*() {
 *   yield* Party.join("/party", { identifier: "worker-1" })
 *   return yield* Party.members("/party") // => ["worker-1"]
 * }))
 * ```
 *
 * @category accessors
 * @since 0.1.0
 */
export const members = (
  path: string
): Effect.Effect<ReadonlyArray<string>, NoAuth | OperationError, ZooKeeper> =>
  Effect.gen(function*() {
    const zk = yield* ZooKeeper
    const names = yield* Effect.catchTag(zk.getChildren(path), "NoNode", () => Effect.succeed<Array<string>>([]))
    return yield* read(zk, path, names, new Map())
  })

/**
 * The members now, then whenever they have changed; over reconnects and new
 * sessions, and while there is no znode at the path. Only new members are read.
 *
 * @category accessors
 * @since 0.1.0
 */
export const changes = (
  path: string
): Stream.Stream<ReadonlyArray<string>, NoAuth | OperationError, ZooKeeper> =>
  Stream.unwrap(Effect.map(ZooKeeper, (zk) => {
    const known = new Map<string, Member>()
    return zk.childrenChanges(path).pipe(
      Stream.mapEffect((state) =>
        persevere(zk, read(zk, path, Option.match(state, { onNone: () => [], onSome: ({ children }) => children }), known))
      ),
      Stream.changesWith(Arr.makeEquivalence<string>(Equal.equals))
    )
  }))

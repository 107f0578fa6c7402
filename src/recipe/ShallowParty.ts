/**
 * Who takes part, with the identifiers in the names: one list is one request.
 *
 * kazoo's ShallowParty, in the same layout: `<path>/<32 hex digits>-<identifier>`,
 * ephemeral and empty. What follows the first `-` is the identifier, and every
 * child counts. Membership survives the session; the guarantees are those of
 * `Party`.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as ShallowParty from "effect-zookeeper/recipe/ShallowParty"
 *
 * export const main = Effect.scoped(Effect.gen(function*() {
 *   yield* ShallowParty.join("/workers", { identifier: "worker-1" })
 *   return yield* ShallowParty.members("/workers")
 * }))
 * ```
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as ZnodePath from "../ZnodePath.ts"
import { type OperationError, ZooKeeper } from "../ZooKeeper.ts"
import type { NoAuth } from "../ZooKeeperError.ts"
import { component, hex32 } from "./internal/Identifier.ts"
import type { Options } from "./Party.ts"
import * as PersistentNode from "./PersistentNode.ts"

/**
 * Takes part as long as the scope lives. Returns when the member is there;
 * missing parents are created. Its `failure` tells when membership is given up;
 * failure and interruption leave no member behind. Fails with what
 * `PersistentNode.make` does: with `BadArguments` where the identifier cannot be
 * a name (`ZnodePath.encodeSegment` makes any text one).
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
    const name = yield* component("identifier", `${yield* hex32}-${options.identifier ?? ""}`)
    return yield* PersistentNode.make(ZnodePath.join(path, name), "", { acl: options.acl })
  })

const identifiers = (names: ReadonlyArray<string>): ReadonlyArray<string> =>
  names.map((name) => name.slice(name.indexOf("-") + 1)).toSorted()

/**
 * The identifiers of the members, sorted. Where there is no znode at the path
 * there are none. Fails with `NoAuth` and `OperationError`.
 *
 * @category accessors
 * @since 0.1.0
 */
export const members = (
  path: string
): Effect.Effect<ReadonlyArray<string>, NoAuth | OperationError, ZooKeeper> =>
  Effect.flatMap(ZooKeeper, (zk) =>
    zk.getChildren(path).pipe(
      Effect.map(identifiers),
      Effect.catchTag("NoNode", () => Effect.succeed<ReadonlyArray<string>>([]))
    ))

/**
 * The members now, then whenever they have changed; over reconnects and new
 * sessions, and while there is no znode at the path.
 *
 * @example
 * ```ts
 * import * as Stream from "effect/Stream"
 * import * as ShallowParty from "effect-zookeeper/recipe/ShallowParty"
 *
 * export const program = Stream.runHead(ShallowParty.changes("/party"))
 * ```
 *
 * @category accessors
 * @since 0.1.0
 */
export const changes = (
  path: string
): Stream.Stream<ReadonlyArray<string>, NoAuth | OperationError, ZooKeeper> =>
  Stream.unwrap(Effect.map(ZooKeeper, (zk) =>
    zk.childrenChanges(path).pipe(
      Stream.map(Option.match({ onNone: () => [], onSome: ({ children }) => identifiers(children) })),
      Stream.changesWith(Arr.makeEquivalence<string>(Equal.equals))
    )))

/**
 * Ephemeral znodes under a unique name: found again when the reply to their
 * create was lost, accepted only if the session that owns them is the current
 * one, and removed with the scope, whatever is known about them.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { Acl } from "../../Acl.ts"
import type { SessionInfo } from "../../SessionState.ts"
import * as Transaction from "../../Transaction.ts"
import type { Created, Stat } from "../../Znode.ts"
import * as ZnodePath from "../../ZnodePath.ts"
import type { CreateError, Data, OperationError, Service } from "../../ZooKeeper.ts"
import { ConnectionError, type NoAuth, NoNode } from "../../ZooKeeperError.ts"
import type { Grant, GrantLost } from "../Grant.ts"
import * as Removal from "./Removal.ts"

export interface OwnZnode {
  readonly path: string
  /** As it was when the znode was created or found. */
  readonly stat: Stat
  /** The session that owns it. */
  readonly session: SessionInfo
  /** Deletes it now, or as soon as possible. The end of the scope does the same. */
  readonly remove: Effect.Effect<void>
}

export interface Options<E = never> {
  readonly parent: string
  /** Begins the name, and that of no other znode. */
  readonly prefix: string
  /** The rest of the name. */
  readonly name: string
  readonly data: Data
  readonly mode: "ephemeral" | "ephemeralSequential"
  readonly acl: ReadonlyArray<Acl> | undefined
  /** Creates it in another way than by itself, e.g. in a transaction. */
  readonly createWith?: ((create: Transaction.Create) => Effect.Effect<Created, CreateError | E>) | undefined
}

/** Whether what belonged to a session must be redone in the next. */
export const isExpired = (error: { readonly _tag: string }): boolean =>
  error instanceof ConnectionError && error.reason._tag === "SessionExpired"

/** Passing failures are waited out; a create whose reply was lost is looked for, and repeated if it is not there. */
const createOrFind = <E extends { readonly _tag: string }>(
  zk: Service,
  options: Options<E>
): Effect.Effect<Created, CreateError | E> => {
  const { acl, createWith, data, mode, name, parent, prefix } = options
  const path = ZnodePath.join(parent, prefix + name)
  const create: Effect.Effect<Created, CreateError | E> = createWith === undefined
    ? zk.createWithStat(path, data, { mode, acl })
    : createWith(Transaction.create(path, data, { mode, acl }))
  const find: Effect.Effect<Option.Option<Created>, NoAuth | OperationError> = Removal.persist(
    Effect.gen(function*() {
      // The server that answers now may be behind the one that was asked to create.
      yield* zk.sync(parent)
      const names = yield* zk.getChildren(parent)
      const { id } = yield* zk.session
      let other: Option.Option<Created> = Option.none()
      // Beside ours there may be one of a session that was given up, made before or, late on its way, after it.
      for (const found of names.filter((each) => each.startsWith(prefix))) {
        const foundPath = ZnodePath.join(parent, found)
        const stat = yield* zk.exists(foundPath)
        if (Option.isNone(stat)) continue
        const created = { path: foundPath, stat: stat.value }
        if (stat.value.ephemeralOwner === id) return Option.some(created)
        other = Option.some(created)
      }
      return other
    }).pipe(Effect.catchTag("NoNode", () => Effect.succeedNone))
  )
  const attempt: Effect.Effect<Created, CreateError | E> = create.pipe(
    Effect.catchIf((error) => error instanceof NoNode, () => Effect.andThen(zk.ensurePath(parent, acl), create)),
    Effect.catchIf(
      (error) => error instanceof ConnectionError && error.outcome === "Unknown" && error.reason._tag !== "TooLarge",
      () => Effect.flatMap(find, Option.match({ onNone: () => attempt, onSome: Effect.succeed }))
    )
  )
  return Removal.persist(attempt)
}

/** Creates it in a transaction that requires a grant, so that it cannot come about after the grant's loss. */
export const underGrant = (zk: Service, grant: Grant) =>
(
  create: Transaction.Create
): Effect.Effect<Created, CreateError | GrantLost> =>
  grant.guard([create]).pipe(
    Effect.catchTag("TransactionFailed", ({ error }): Effect.Effect<never, CreateError> =>
      // Of a create alone these cannot be said.
      error._tag === "BadVersion" || error._tag === "NotEmpty" ? Effect.die(error) : Effect.fail(error)),
    Effect.flatMap(([path]) =>
      Effect.flatMap(
        Removal.persist(zk.exists(path)),
        Option.match({
          // Gone again: with its session, and the grant with it, or by somebody's hand.
          onNone: () => underGrant(zk, grant)(create),
          onSome: (stat) => Effect.succeed({ path, stat })
        })
      )
    )
  )

/** What cannot be deleted ends with its session. */
const removable = <E extends { readonly _tag: string }>(effect: Effect.Effect<void, E>) =>
  Effect.catchIf(effect, (error): error is Exclude<E, ConnectionError> => !(error instanceof ConnectionError), () =>
    Effect.void)

/**
 * Creates a znode of our own. A session that ends meanwhile makes it start over
 * in the next one; passing failures are waited out.
 */
export const make = <E extends { readonly _tag: string } = never>(
  zk: Service,
  options: Options<E>
): Effect.Effect<OwnZnode, CreateError | E, Scope.Scope> =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    let known: string | undefined
    let asked = false
    let removed = false
    const remove = Effect.suspend(() => {
      if (removed || !asked) return Effect.void
      removed = true
      return known === undefined
        ? Removal.inBackground(zk, Removal.untilNoneBegins(zk, options.parent, options.prefix))
        : Removal.inBackground(zk, Removal.untilGone(zk, known))
    })
    // Before the request: from now on it may exist.
    yield* Scope.addFinalizer(scope, remove)
    // Nobody would remove it: what is acquired for a scope is not acquired any more once that is closed.
    if (scope.state._tag === "Closed") return yield* Effect.interrupt
    while (true) {
      let session = yield* zk.session
      asked = true
      const created = yield* Effect.catchIf(
        Effect.asSome(createOrFind(zk, options)),
        isExpired,
        () => Effect.succeedNone
      )
      if (created._tag === "None") continue
      const { path, stat } = created.value
      known = path
      if (stat.ephemeralOwner !== session.id) session = yield* zk.session
      if (stat.ephemeralOwner === session.id) return { path, stat, session, remove }
      // Of a session that is over: it is about to vanish, and no good to us.
      yield* Removal.untilGone(zk, path).pipe(Effect.catchIf(isExpired, () => Effect.void), removable)
      known = undefined
    }
  })

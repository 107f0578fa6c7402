/**
 * A znode that is there as long as its scope is, whatever becomes of
 * connections and sessions, and whoever deletes it.
 *
 * **Guarantees**
 *
 * - It is reconciled, not written again: where the right znode of the right
 *   session holds the right bytes, nothing is sent; nobody sees it blink.
 * - A znode in its place that belongs to somebody else is never taken for ours.
 *   Its deletion is waited for (`existing: "wait"`), or it is replaced once, at
 *   the beginning (`"replace"`). What an expired session of this very client has
 *   left is replaced at once, in one transaction.
 * - Deleted or overwritten by others, it is restored.
 * - Closing the scope deletes it and returns when it is proven gone, or its
 *   session over. Where no server can be reached for 5 seconds, closing goes on
 *   without waiting; the removal is repeated in the background until it is
 *   proven or the client is closed. A persistent znode can outlive its process;
 *   an ephemeral one at most by the session timeout.
 * - A persistent znode whose creation was not answered before its session was
 *   given up may come about later, as long as the servers keep that session. It is
 *   waited for, for a session timeout, before another takes its place and before
 *   its removal counts as proven.
 * - What cannot be repaired by trying again (`NoAuth`, an exhausted quota, …) is
 *   not tried again: the node fails, and says so in its state.
 *
 * It does not tell others whether its owner is well: an ephemeral znode outlives
 * a process that hangs by the session timeout.
 *
 * Curator's PersistentNode; kazoo has none.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as PersistentNode from "effect-zookeeper/recipe/PersistentNode"
 *
 * export const announced = Effect.scoped(Effect.gen(function*() {
 *   const node = yield* PersistentNode.make("/workers/w1", "starting")
 *   yield* node.set("ready")
 *   return yield* node.failure
 * }))
 * ```
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type { Acl } from "../Acl.ts"
import * as Transaction from "../Transaction.ts"
import { isSequential, type Stat } from "../Znode.ts"
import * as ZnodePath from "../ZnodePath.ts"
import { type CreateError, type Data, type OperationError, ZooKeeper } from "../ZooKeeper.ts"
import {
  BadArguments,
  type InvalidAcl,
  type NoAuth,
  type NoChildrenForEphemerals,
  type NodeExists,
  type QuotaExceeded,
  type TransactionFailed
} from "../ZooKeeperError.ts"
import { uuid } from "./internal/Identifier.ts"
import { persevere } from "./internal/Perseverance.ts"

/**
 * What a node can fail with for good. `NodeExists` means that the numbers of a
 * sequential parent are exhausted. A `ConnectionError` is one after which there
 * is no other session (`Closed`, `AuthFailed`, `SessionExpired` with `onExpiry:
 * "end"`), or `TooLarge`.
 *
 * @category errors
 * @since 0.1.0
 */
export type PersistentNodeError =
  | NoAuth
  | InvalidAcl
  | NoChildrenForEphemerals
  | QuotaExceeded
  | NodeExists
  | OperationError

/**
 * How a node is doing.
 *
 * - `Absent`: not there as far as is known, and about to be created
 * - `Present`: there, as last read; while disconnected that is the last word
 * - `Waiting`: a znode of somebody else is in its place; `owner` is its session, 0 for a persistent one
 * - `Failed`: given up
 *
 * @category models
 * @since 0.1.0
 */
export type State =
  | { readonly _tag: "Absent" }
  | { readonly _tag: "Present"; readonly path: string; readonly stat: Stat }
  | { readonly _tag: "Waiting"; readonly path: string; readonly owner: bigint }
  | { readonly _tag: "Failed"; readonly error: PersistentNodeError }

/**
 * How a node is kept.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * A sequential node keeps the name that the server first gave it, also when it
   * has to be created again.
   *
   * @default "ephemeral"
   */
  readonly mode?: "ephemeral" | "ephemeralSequential" | "persistent" | "persistentSequential" | undefined
  /** @default the layer's `defaultAcl`. Needs READ and WRITE for ourselves, or restoring fails with `NoAuth`. */
  readonly acl?: ReadonlyArray<Acl> | undefined
  /**
   * What to do at the beginning with a znode that somebody else has left in the
   * place: wait for its deletion, or replace it (an ephemeral node by deleting
   * and creating in one transaction, a persistent one by writing its data).
   *
   * @default "wait"
   */
  readonly existing?: "wait" | "replace" | undefined
  /**
   * Whether the name of a sequential node begins with `_c_<uuid>-`, by which it
   * is found when the reply of its creation was lost. Without it an ephemeral one
   * is found by its session, and the path must be this node's alone in this
   * client; the last component of a persistent one must be unique among its
   * siblings.
   *
   * @default true
   */
  readonly protected?: boolean | undefined
  /** Whether closing the scope deletes the znode, once `make` has returned. @default "remove" */
  readonly onClose?: "remove" | "keep" | undefined
}

/**
 * A node that is kept.
 *
 * @category models
 * @since 0.1.0
 */
export interface PersistentNode {
  /** Its path, with the sequence suffix where there is one. */
  readonly path: string
  /** How it is doing now. */
  readonly state: Effect.Effect<State>
  /** How it is doing now, then every later state. */
  readonly states: Stream.Stream<State>
  /**
   * Changes the data, and completes when it is written. Interruption does not
   * take it back. Where the server refuses it (`NoAuth`, `QuotaExceeded`,
   * `TooLarge`) the data stays what it was. Interrupts where the scope is closed.
   */
  readonly set: (data: Data) => Effect.Effect<void, PersistentNodeError>
  /** Fails when the node is given up; never completes otherwise. */
  readonly failure: Effect.Effect<never, PersistentNodeError>
}

/** How long closing waits for the removal; then it goes on in the background. */
const patience = "5 seconds"

const encoder = new TextEncoder()

const bytesOf = (data: Data): Uint8Array => typeof data === "string" ? encoder.encode(data) : data.slice()

const equal = (left: Uint8Array, right: Uint8Array): boolean =>
  left.length === right.length && left.every((byte, index) => byte === right[index])

/**
 * Creates a znode and keeps it. Returns when it is there for the first time;
 * missing parents are created, persistent and empty. Fails with what
 * {@link PersistentNodeError} says; failure and interruption leave nothing
 * behind, as closing the scope does.
 *
 * With `existing: "wait"` a znode of somebody else is waited for without bound:
 * add a timeout where that may be too long.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  path: string,
  data: Data = "",
  options: Options = {}
): Effect.fn.Return<PersistentNode, PersistentNodeError, ZooKeeper | Scope.Scope> {
  const zk = yield* ZooKeeper
  const mode = options.mode ?? "ephemeral"
  const sequential = isSequential(mode)
  const ephemeral = mode === "ephemeral" || mode === "ephemeralSequential"
  /** The mode in which a node whose name is known is created. */
  const plain = ephemeral ? "ephemeral" as const : "persistent" as const
  const { acl } = options
  yield* (sequential ? ZnodePath.validateSequential(path) : ZnodePath.validate(path))
  if (path === "/" && !sequential) {
    return yield* new BadArguments({ argument: "path", value: path, problem: "the root belongs to everybody" })
  }
  const parent = ZnodePath.parent(path)
  const prefix = sequential && options.protected !== false
    ? `_c_${yield* uuid}-${ZnodePath.name(path)}`
    : ZnodePath.name(path)

  const state = yield* SubscriptionRef.make<State>({ _tag: "Absent" })
  const failed = yield* Deferred.make<never, PersistentNodeError>()
  const wake = yield* Queue.sliding<void>(1)

  /** The path, once it is known. */
  let known = sequential ? undefined : path
  /** Whether a create was sent, so that there may be a node of ours. */
  let attempted = false
  /** Whether the reply to one was lost. */
  let uncertain = false
  /** Sessions in which one is perhaps still on its way. */
  const underway = new Set<bigint>()
  /** Sessions in which it was: what they own is ours. */
  const sessions = new Set<bigint>()
  /** The persistent znode that is ours. */
  let czxid: bigint | undefined
  let mayReplace = options.existing === "replace"

  /** What the node shall hold, what it is known to hold, and who waits for it to be written. */
  let wanted = bytesOf(data)
  let written: Uint8Array | undefined
  /** Whether the caller knows of it: until then it is not kept beyond its scope either. */
  let isMade = false
  /** Interrupts who waits for the node when its scope closes. */
  const closed = yield* Deferred.make<never>()
  const waiting: Array<{ readonly data: Uint8Array; readonly done: Deferred.Deferred<void, PersistentNodeError> }> = []

  // -------------------------------------------------------------------------
  // one look
  // -------------------------------------------------------------------------

  /** What may make a node of ours; once it has certainly failed, it has not. */
  const attempt = <A, E extends CreateError | TransactionFailed>(effect: Effect.Effect<A, E>) =>
    Effect.flatMap(zk.session, ({ id }) => {
      const wasUnderway = underway.has(id)
      attempted = true
      sessions.add(id)
      underway.add(id)
      return effect.pipe(
        Effect.tap(() => Effect.sync(() => underway.delete(id))),
        Effect.tapError((error) =>
          Effect.sync(() => {
            const isUnknown = error._tag === "ConnectionError" && error.outcome === "Unknown"
            uncertain ||= isUnknown
            attempted = uncertain
            // A server answers in order; a request that was not sent says nothing of those before it.
            if (!isUnknown && !(wasUnderway && error._tag === "ConnectionError")) underway.delete(id)
          })
        )
      )
    })

  /**
   * What was asked in a session that has been given up can still come about as
   * long as the servers keep the session: until they have not heard of it for its
   * timeout. Waits for that where it would outlive the session, and tells whether
   * there was anything to wait for.
   */
  const untilArrived: Effect.Effect<boolean, OperationError> = Effect.gen(function*() {
    const { id, timeout } = yield* zk.session
    const late = Array.from(underway).filter((session) => session !== id)
    if (ephemeral || late.length === 0) return false
    yield* Effect.raceFirst(Effect.sleep(timeout), zk.sessionEnd)
    for (const session of late) underway.delete(session)
    return true
  })

  /** The parent is missing at first, or when somebody has deleted it: then it is made, for the next look. */
  const withParent = (create: Effect.Effect<string, CreateError>): Effect.Effect<
    string | undefined,
    PersistentNodeError
  > =>
    Effect.catchTag(create, "NoNode", () =>
      zk.ensurePath(parent).pipe(
        Effect.catchTag("NoNode", () => Effect.void),
        Effect.as(undefined)
      ))

  const find: Effect.Effect<string | undefined, PersistentNodeError> = Effect.gen(function*() {
    yield* zk.sync(parent)
    const names = yield* Effect.catchTag(zk.getChildren(parent), "NoNode", () => Effect.succeed<Array<string>>([]))
    for (const name of names) {
      if (Option.isNone(ZnodePath.sequenceOf(name, prefix))) continue
      const found = ZnodePath.join(parent, name)
      // Another client may use the same prefix.
      const isFound = !ephemeral
        || Option.exists(yield* zk.exists(found), (stat) => sessions.has(stat.ephemeralOwner))
      if (isFound) return found
    }
    return undefined
  })

  /** The name that the server gives, or gave when we did not hear it. */
  const named: Effect.Effect<string | undefined, PersistentNodeError> = Effect.gen(function*() {
    if (known !== undefined) return known
    // What arrives late would be a second one.
    yield* untilArrived
    if (attempted) known = yield* find
    if (known !== undefined) return known
    return known = yield* withParent(attempt(zk.create(ZnodePath.join(parent, prefix), wanted, { mode, acl })))
  })

  const create = (at: string, bytes: Uint8Array): Effect.Effect<void, PersistentNodeError> =>
    withParent(attempt(zk.create(at, bytes, { mode: plain, acl }))).pipe(
      Effect.asVoid,
      Effect.catchTag("NodeExists", () => Effect.void)
    )

  const replace = (at: string, { version }: Stat, bytes: Uint8Array): Effect.Effect<void, PersistentNodeError> =>
    attempt(
      zk.transaction([Transaction.remove(at, version), Transaction.create(at, bytes, { mode: plain, acl })])
    ).pipe(
      Effect.asVoid,
      Effect.catchTag("TransactionFailed", ({ error }) => {
        switch (error._tag) {
          case "NoNode":
          case "NodeExists":
          case "BadVersion":
            return Effect.void
          case "NotEmpty":
            mayReplace = false
            return Effect.void
          default:
            return Effect.fail(error)
        }
      })
    )

  const isOurs = (stat: Stat, session: bigint): boolean =>
    ephemeral
      ? stat.ephemeralOwner === session
      : stat.ephemeralOwner === 0n && (stat.czxid === czxid || czxid === undefined && attempted)

  /** The node holds these bytes: so has everyone who asked for them, or was overtaken by them. */
  const confirm = (bytes: Uint8Array): void => {
    written = bytes
    const done = waiting.splice(0, waiting.findIndex((each) => each.data === bytes) + 1)
    for (const each of done) Deferred.doneUnsafe(each.done, Effect.void)
  }

  /** Compares what is there with what should be, mends it, and sleeps until something changes. */
  const look: Effect.Effect<void, PersistentNodeError> = Effect.scoped(Effect.gen(function*() {
    const bytes = wanted
    const at = yield* named
    if (at === undefined) return
    const read = yield* Effect.result(zk.getAndWatch(at))
    if (Result.isFailure(read)) {
      if (read.failure._tag !== "NoNode") return yield* read.failure
      yield* SubscriptionRef.set(state, { _tag: "Absent" })
      czxid = undefined
      return yield* create(at, bytes)
    }
    const { event, value } = read.success
    const { stat } = value
    const { id } = yield* zk.session
    if (isOurs(stat, id)) {
      if (!equal(value.data, bytes)) {
        return yield* Effect.catchTag(zk.set(at, bytes, stat.version), ["NoNode", "BadVersion"], () => Effect.void)
      }
      czxid = stat.czxid
      mayReplace = uncertain = false
      sessions.add(id)
      confirm(bytes)
      yield* SubscriptionRef.set(state, { _tag: "Present", path: at, stat })
    } else if (ephemeral && sessions.has(stat.ephemeralOwner)) {
      return yield* replace(at, stat, bytes)
    } else if (mayReplace) {
      if (ephemeral || stat.ephemeralOwner !== 0n) return yield* replace(at, stat, bytes)
      czxid = stat.czxid
      return
    } else {
      yield* SubscriptionRef.set(state, { _tag: "Waiting", path: at, owner: stat.ephemeralOwner })
    }
    // The end of the session is news as well: the next look waits for another one.
    yield* Effect.raceFirst(Effect.exit(event), Queue.take(wake))
  }))

  // -------------------------------------------------------------------------
  // life
  // -------------------------------------------------------------------------

  const failWaiting = (error: PersistentNodeError): void => {
    for (const each of waiting.splice(0)) Deferred.doneUnsafe(each.done, Effect.fail(error))
  }

  /** Data that the server does not take is the fault of whoever set it, not of the node. */
  const isRefused = (error: PersistentNodeError): boolean =>
    written !== undefined && wanted !== written && waiting.length > 0
    && (error._tag === "NoAuth" || error._tag === "QuotaExceeded"
      || error._tag === "ConnectionError" && error.reason._tag === "TooLarge")

  const keeping: Effect.Effect<void> = Effect.forever(
    Effect.catch(persevere(zk, look), (error) => {
      if (!isRefused(error)) return Effect.fail(error)
      wanted = written ?? wanted
      failWaiting(error)
      return Effect.void
    })
  ).pipe(
    Effect.catch((error) =>
      Effect.andThen(
        SubscriptionRef.set(state, { _tag: "Failed", error }),
        Effect.sync(() => {
          Deferred.doneUnsafe(failed, Effect.fail(error))
          failWaiting(error)
        })
      )
    )
  )

  /** Ends when there is nothing of ours left, or nothing that outlives its session. */
  const removal = persevere(
    zk,
    Effect.gen(function*() {
      while (true) {
        // A create of an older connection may still be on its way to this server.
        yield* zk.sync(parent)
        const at = known ?? (attempted ? yield* find : undefined)
        const found = at === undefined ? Option.none<Stat>() : yield* zk.exists(at)
        const { id } = yield* zk.session
        if (at !== undefined && Option.isSome(found) && isOurs(found.value, id)) {
          const isDeleted = yield* zk.delete(at, found.value.version).pipe(
            Effect.as(true),
            Effect.catchTags({ NoNode: () => Effect.succeed(true), BadVersion: () => Effect.succeed(false) })
          )
          if (!isDeleted) continue
        }
        if (!(yield* untilArrived)) return
      }
    })
  ).pipe(
    Effect.catch((error) =>
      ephemeral && error._tag === "ConnectionError"
        ? Effect.void
        : Effect.logWarning(`Cannot delete a ZooKeeper znode: ${error.message}`).pipe(Effect.annotateLogs({ path }))
    )
  )

  const { close } = yield* Effect.uninterruptible(Effect.gen(function*() {
    const fiber = yield* Effect.forkDetach(keeping)
    const close = yield* Effect.cached(Effect.gen(function*() {
      yield* Fiber.interrupt(fiber)
      Deferred.doneUnsafe(closed, Effect.interrupt)
      if (options.onClose === "keep" && isMade) return
      const removing = yield* Effect.forkDetach(removal)
      yield* Effect.timeoutOption(Fiber.await(removing), patience)
    }))
    yield* Effect.addFinalizer(() => close)
    return { close }
  }))

  yield* Effect.raceAllFirst([
    Stream.runHead(Stream.filter(SubscriptionRef.changes(state), ({ _tag }) => _tag === "Present")),
    Deferred.await(failed),
    Deferred.await(closed)
  ]).pipe(
    Effect.onExit((exit) => {
      isMade = Exit.isSuccess(exit)
      return isMade ? Effect.void : close
    })
  )

  return {
    path: known ?? path,
    state: SubscriptionRef.get(state),
    states: SubscriptionRef.changes(state),
    set: (data) =>
      Effect.suspend(() => {
        const done = Deferred.makeUnsafe<void, PersistentNodeError>()
        wanted = bytesOf(data)
        waiting.push({ data: wanted, done })
        Queue.offerUnsafe(wake, undefined)
        return Effect.raceAllFirst([Deferred.await(done), Deferred.await(failed), Deferred.await(closed)])
      }),
    failure: Deferred.await(failed)
  }
})

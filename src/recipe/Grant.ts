/**
 * What a recipe grants to one holder at a time: a lock, leadership, a permit.
 *
 * A grant is a znode that belongs to the holder's session. What holds, exactly:
 *
 * - **By the clock.** `isValid` is false from the moment at which the session is
 *   no longer sure to live: the send time of the newest answered request plus
 *   90 % of the negotiated session timeout. It needs no event and no round trip,
 *   so it is already false in the first line that runs after a pause of the
 *   process. At that time no server can have given the grant to another, if
 *   clocks run at like rates.
 * - **By interruption.** What runs in `protect` is interrupted when the grant is
 *   lost, at that deadline at the latest.
 * - **By the server.** `guard` adds a check of the grant's znode to a
 *   transaction: once the znode is gone ZooKeeper refuses the write, whatever
 *   anybody's clock says. For other systems there is `token`, which grows with
 *   each grant: have them refuse a token lower than one they have seen.
 *
 * What does not hold: a request to some other system that was sent before the
 * loss may take effect after it, however early the sender is interrupted. Only
 * `guard` and `token` protect against that, and they must be checked where the
 * write takes effect, in one step with it: so write to ZooKeeper by `guard`, and
 * have the other system compare the token (`… where fence <= :token`). There is no
 * helper for the latter, since a check on this side would be as late as its
 * process. Nor is there a lock-delay for systems that can check nothing: ZooKeeper
 * passes a grant on as soon as the session is over. For those let the new holder
 * wait, before its first write, for as long as a request of the last one can be
 * under way.
 *
 * A server that is read-only (option `readOnly`) gives no grants: who waits for one
 * goes on waiting there, asking every few seconds, until a server with a quorum is
 * found. It refuses the sessions of holders as well: for them it is as if there
 * were no connection.
 *
 * The default `validity: "connection"` takes any answer for a sign of life, pings
 * too. That assumes that a server which has lost its leader stops answering
 * within the session timeout (`syncLimit × tickTime` below it, as is usual).
 * `"strict"` counts only answers that took a quorum.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Lock from "effect-zookeeper/recipe/Lock"
 * import * as Transaction from "effect-zookeeper/Transaction"
 *
 * export const main = Lock.withLock("/locks/report")((grant) =>
 *   Effect.gen(function*() {
 *     // Refused by ZooKeeper itself once the lock is lost.
 *     yield* grant.guard([Transaction.set("/report", "done")])
 *     return grant.token
 *   })
 * )
 * ```
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Transaction from "../Transaction.ts"
import type { CreateError, OperationError } from "../ZooKeeper.ts"
import type { NodeExists, TransactionFailed } from "../ZooKeeperError.ts"

const TypeId = "~effect-zookeeper/recipe/Grant"

/**
 * The grant is over. `reason`:
 *
 * - `"SessionEnded"`: the session expired, its deadline passed unproven, or the
 *   client was closed
 * - `"Deleted"`: somebody deleted the grant's znode
 * - `"Suspended"`: the connection was lost, and `onSuspended: "stop"` was asked for
 * - `"Unproven"`: with `validity: "strict"`, no quorum has answered in time
 * - `"Released"`: the holder itself has let go
 *
 * Somebody else may hold it now. Undo nothing blindly: acquire anew and look.
 *
 * @category errors
 * @since 0.1.0
 */
export class GrantLost extends Schema.TaggedError<GrantLost>(`${TypeId}/GrantLost`)("GrantLost", {
  /** The znode that was the grant. */
  path: Schema.String,
  reason: Schema.Literals(["SessionEnded", "Deleted", "Suspended", "Unproven", "Released"])
}) {
  override get message() {
    return `The grant ${this.path} is over (${this.reason}): acquire it anew before going on`
  }
}

/**
 * The time for acquiring was over. Nothing was left behind.
 *
 * @category errors
 * @since 0.1.0
 */
export class AcquireTimeout extends Schema.TaggedError<AcquireTimeout>(`${TypeId}/AcquireTimeout`)("AcquireTimeout", {
  path: Schema.String,
  /** The bound that passed, in ms. */
  millis: Schema.Finite
}) {
  override get message() {
    return `${this.path} was not to be had within ${this.millis} ms`
  }
}

/**
 * The parent has counted as many sequential children as an int32 holds (2^31-1):
 * ZooKeeper gives its last number again and again, or negative ones, and no
 * order can be trusted.
 * Delete the parent, when nobody uses it, or go on under another path.
 *
 * @category errors
 * @since 0.1.0
 */
export class SequenceExhausted extends Schema.TaggedError<SequenceExhausted>(`${TypeId}/SequenceExhausted`)(
  "SequenceExhausted",
  { path: Schema.String }
) {
  override get message() {
    return `The sequence numbers under ${this.path} are exhausted: delete that znode while it is unused, or use another`
  }
}

/**
 * The fiber, or one that started it inside of the protected effect, holds this
 * already and would wait for itself for ever. Pass the grant on instead.
 *
 * @category errors
 * @since 0.1.0
 */
export class AlreadyHeld extends Schema.TaggedError<AlreadyHeld>(`${TypeId}/AlreadyHeld`)("AlreadyHeld", {
  path: Schema.String
}) {
  override get message() {
    return `${this.path} is held by this fiber already and is not re-entrant: pass the grant on instead`
  }
}

/**
 * What acquiring can fail with, beside the deadline. `ConnectionError` only
 * where waiting is of no use: authentication failed, the client is closed, or
 * its session expired under `onExpiry: "end"`.
 *
 * @category errors
 * @since 0.1.0
 */
export type AcquireError = Exclude<CreateError, NodeExists> | SequenceExhausted | AlreadyHeld

/**
 * When a grant counts as lost, beside the end of its session or its znode.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * While the connection is lost: hold on until the session's local deadline, or
   * stop at once.
   *
   * @default "hold"
   */
  readonly onSuspended?: "hold" | "stop" | undefined
  /**
   * What proves that the session lives: any answer of the connected server, or
   * only such that took a quorum. `"strict"` costs one small transaction per
   * third of the session timeout.
   *
   * @default "connection"
   */
  readonly validity?: "connection" | "strict" | undefined
}

/**
 * Options of one acquisition.
 *
 * @category models
 * @since 0.1.0
 */
export interface AcquireOptions {
  /** For the whole wait, whatever happens in it; then `AcquireTimeout`. @default none */
  readonly timeout?: Duration.Input | undefined
}

/**
 * What is held.
 *
 * @category models
 * @since 0.1.0
 */
export interface Grant {
  /** Its znode. */
  readonly path: string
  /** The session that owns it. */
  readonly sessionId: bigint
  /** The zxid at which its znode was created: larger for each later grant. */
  readonly token: bigint
  /** Whether it is certainly held, by the clock alone. */
  readonly isValid: Effect.Effect<boolean>
  /** Fails when it is lost. */
  readonly lost: Effect.Effect<never, GrantLost>
  /**
   * Completes when somebody asked the holder to let go, as Curator's `Revoker`
   * does: by writing `__REVOKE__` to the grant's znode. It is for the holder to
   * comply.
   */
  readonly revocation: Effect.Effect<void>
  /**
   * Runs an effect that is interrupted when the grant is lost; the result is
   * `GrantLost` then, and also where the grant turns out to be over when the
   * effect has just succeeded.
   */
  readonly protect: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | GrantLost, R>
  /**
   * A transaction that is applied only while the grant's znode exists. The
   * results are those of the given operations.
   */
  readonly guard: <const Operations extends ReadonlyArray<Transaction.Operation>>(
    operations: Operations
  ) => Effect.Effect<Transaction.Results<Operations>, GrantLost | TransactionFailed | OperationError>
}

/**
 * Makes a grant of a znode of our own, and watches over it: one data watch on
 * that znode, the session's end, and what the options ask for.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Telemetry from "../../client/Telemetry.ts"
import type { SessionInfo } from "../../SessionState.ts"
import * as Transaction from "../../Transaction.ts"
import type { Operation, Results } from "../../Transaction.ts"
import type { Service } from "../../ZooKeeper.ts"
import { type ConnectionError, type NoAuth, TransactionFailed, type BadArguments } from "../../ZooKeeperError.ts"
import * as ZooKeeperMetrics from "../../ZooKeeperMetrics.ts"
import { type Grant, GrantLost, type Options } from "../Grant.ts"
import type { OwnZnode } from "./OwnZnode.ts"
import * as Removal from "./Removal.ts"

/** Share of the session timeout for which a proof is good: as the client's own margin. */
const goodFor = 0.9

/** What Curator's `Revoker` writes. */
export const revocationMark = new TextEncoder().encode("__REVOKE__")

const isRevocation = (data: Uint8Array): boolean =>
  data.length === revocationMark.length && data.every((byte, index) => byte === revocationMark[index])

/** Proofs of life that took a quorum. */
class Proof {
  private readonly clock: Clock.Clock
  private readonly millis: number
  private sentAt = 0
  private wall = 0

  constructor(clock: Clock.Clock, session: SessionInfo) {
    this.clock = clock
    this.millis = session.timeout * goodFor
  }

  now(): number {
    return Number(this.clock.monotonicTimeNanosUnsafe()) / 1e6
  }

  renew(sentAt: number): void {
    this.wall = this.clock.currentTimeMillisUnsafe() - (this.now() - sentAt)
    this.sentAt = sentAt
  }

  /** In ms; 0 or less when it is over. */
  left(): number {
    const elapsed = this.now() - this.sentAt
    // A machine that slept has a wall clock far ahead of the monotonic one.
    const slept = this.clock.currentTimeMillisUnsafe() - this.wall - elapsed
    return this.millis - elapsed - (slept > 1000 ? slept : 0)
  }
}

/**
 * A grant for as long as the scope is open. Its end: nobody believes in it any
 * more, then the znode is deleted, as far as that can be done at once.
 *
 * `GrantLost` where the znode is gone, or its session, before it began.
 */
export const make = (
  zk: Service,
  own: Pick<OwnZnode, "path" | "session" | "remove">,
  options: Options
): Effect.Effect<Grant, GrantLost | NoAuth | BadArguments | ConnectionError, Scope.Scope> =>
  Effect.gen(function*() {
    const { path, session } = own
    const scope = yield* Effect.scope
    const clock = yield* Clock.Clock
    const proof = options.validity === "strict" ? new Proof(clock, session) : undefined
    const lostWith = Deferred.makeUnsafe<never, GrantLost>()
    const armed = Deferred.makeUnsafe<bigint, GrantLost | NoAuth | BadArguments | ConnectionError>()
    const revocation = Deferred.makeUnsafe<void>()
    let ended: GrantLost["reason"] | undefined

    const services = yield* Effect.context<never>()
    const begunAt = clock.currentTimeMillisUnsafe()

    /** The error, with its stack, is made where somebody looks at it: most grants end by their release. */
    const lost = Effect.suspend(() => Effect.fail(new GrantLost({ path, reason: ended ?? "Released" })))

    const lose = (reason: GrantLost["reason"]): GrantLost["reason"] => {
      if (ended !== undefined) return ended
      ended = reason
      const seconds = (clock.currentTimeMillisUnsafe() - begunAt) / 1000
      ZooKeeperMetrics.grantHold.updateUnsafe(seconds, services)
      Metric.withAttributes(ZooKeeperMetrics.grantsEnded, { reason }).updateUnsafe(1, services)
      Deferred.doneUnsafe(armed, lost)
      Deferred.doneUnsafe(lostWith, lost)
      return reason
    }
    const losing = (reason: GrantLost["reason"]) => Effect.sync(() => void lose(reason))

    /** `undefined` while it is held. */
    const loss: Effect.Effect<GrantLost["reason"] | undefined> = Effect.map(session.isAlive, (isAlive) =>
      ended ?? (isAlive ? proof !== undefined && proof.left() <= 0 ? lose("Unproven") : undefined : lose("SessionEnded")))

    const held = Effect.flatMap(loss, (reason) => reason === undefined ? Effect.void : lost)

    // ---------------------------------------------------------------------
    // its znode
    // ---------------------------------------------------------------------

    const watchOnce = Effect.scoped(Effect.gen(function*() {
      const { event, value } = yield* Removal.persist(zk.getAndWatch(path))
      if (value.stat.ephemeralOwner !== session.id) return lose("SessionEnded")
      if (isRevocation(value.data)) Deferred.doneUnsafe(revocation, Exit.void)
      Deferred.doneUnsafe(armed, Exit.succeed(value.stat.czxid))
      const happened = yield* Effect.option(event)
      return Option.isSome(happened) && happened.value._tag === "NodeDeleted" ? lose("Deleted") : ended
    }))
    const watching = Effect.repeat(watchOnce, { until: (reason) => reason !== undefined }).pipe(
      Effect.catchTag("NoNode", () => losing("Deleted")),
      Effect.catch((error) => Deferred.fail(armed, error))
    )

    // ---------------------------------------------------------------------
    // its session
    // ---------------------------------------------------------------------

    const sessionEnd = Effect.catch(session.ended, () => losing("SessionEnded"))

    const suspension = Effect.andThen(zk.disconnected, losing("Suspended"))

    /** A transaction goes through the leader and its quorum, even if all it does is look. */
    const prove = (proof: Proof) =>
      Effect.suspend(() => {
        const sentAt = proof.now()
        return zk.transaction([Transaction.check(path)]).pipe(
          Effect.andThen(Effect.sync(() => proof.renew(sentAt))),
          Effect.catchTag("TransactionFailed", () => losing("Deleted"))
        )
      })
    const proving = (proof: Proof) =>
      Effect.forever(Effect.andThen(Effect.sleep(session.timeout / 3), Effect.ignore(Removal.persist(prove(proof)))))
    const unproven = (proof: Proof) =>
      Effect.whileLoop({
        while: () => proof.left() > 0,
        body: () => Effect.sleep(Math.max(1, Math.ceil(proof.left()))),
        step: () => undefined
      }).pipe(Effect.andThen(losing("Unproven")))

    // ---------------------------------------------------------------------

    yield* Effect.forkIn(sessionEnd, scope, { startImmediately: true })
    if (options.onSuspended === "stop") yield* Effect.forkIn(suspension, scope, { startImmediately: true })
    yield* Effect.forkIn(watching, scope, { startImmediately: true })
    // Runs first when the scope closes: belief ends before the znode does, and its watch goes with it.
    yield* Scope.addFinalizer(scope, Effect.andThen(losing("Released"), own.remove))
    const token = yield* Deferred.await(armed)
    if (proof !== undefined) yield* Removal.persist(prove(proof))
    yield* held
    if (proof !== undefined) {
      yield* Effect.forkIn(proving(proof), scope)
      yield* Effect.forkIn(unproven(proof), scope)
    }

    return {
      path,
      sessionId: session.id,
      token,
      isValid: Effect.map(loss, (reason) => reason === undefined),
      lost: Deferred.await(lostWith),
      revocation: Deferred.await(revocation),
      protect: (effect) =>
        held.pipe(
          Effect.andThen(Effect.raceFirst(effect, Deferred.await(lostWith))),
          Effect.tap(() => held),
          Telemetry.phase("protect", path)
        ),
      guard: <const Operations extends ReadonlyArray<Operation>>(operations: Operations) =>
        Effect.andThen(
          held,
          Effect.mapBoth(zk.transaction([Transaction.check(path), ...operations]), {
            // Without the check in front they are the results of what was asked for.
            onSuccess: ([, ...results]) => results as unknown as Results<Operations>,
            onFailure: (error) =>
              error._tag !== "TransactionFailed"
                ? error
                : error.index === 0
                ? new GrantLost({ path, reason: lose("Deleted") })
                : new TransactionFailed({ index: error.index - 1, path: error.path, error: error.error })
          })
        )
    }
  })

/** Several grants as one: lost with the first of them, guarded by all of them. */
export const all = (grants: readonly [Grant, ...ReadonlyArray<Grant>]): Grant => {
  const [first, ...others] = grants
  if (others.length === 0) return first
  const lost = Effect.raceAllFirst(grants.map((grant) => grant.lost))
  const held = Effect.forEach(grants, (grant) => grant.protect(Effect.void), { discard: true })
  return {
    path: first.path,
    sessionId: first.sessionId,
    token: grants.reduce((newest, { token }) => token > newest ? token : newest, first.token),
    isValid: Effect.map(Effect.forEach(grants, ({ isValid }) => isValid), (valid) => valid.every(Boolean)),
    lost,
    revocation: Effect.raceAllFirst(grants.map(({ revocation }) => revocation)),
    protect: (effect) => held.pipe(Effect.andThen(Effect.raceFirst(effect, lost)), Effect.tap(() => held)),
    guard: <const Operations extends ReadonlyArray<Operation>>(operations: Operations) =>
      Effect.andThen(
        held,
        Effect.mapBoth(first.guard([...others.map(({ path }) => Transaction.check(path)), ...operations]), {
          onSuccess: (results) => results.slice(others.length) as unknown as Results<Operations>,
          onFailure: (error) =>
            error._tag !== "TransactionFailed"
              ? error
              : error.index < others.length
              ? new GrantLost({ path: error.path, reason: "Deleted" })
              : new TransactionFailed({ index: error.index - others.length, path: error.path, error: error.error })
        })
      )
  }
}

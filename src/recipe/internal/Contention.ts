/**
 * The queue for a grant: an ephemeral sequential znode each, and each waits for
 * one other znode only.
 *
 * No `sync` is needed before a decision: our own znode's number was given by
 * the leader, and a list that shows our znode shows all that were created
 * before it. It can only be late with deletions, which delays and never errs.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { Acl } from "../../Acl.ts"
import * as Acquisition from "../../client/Acquisition.ts"
import * as Telemetry from "../../client/Telemetry.ts"
import * as Uuid from "../../client/Uuid.ts"
import * as ZnodePath from "../../ZnodePath.ts"
import type { Data, Service } from "../../ZooKeeper.ts"
import * as ZooKeeperMetrics from "../../ZooKeeperMetrics.ts"
import {
  type AcquireOptions,
  AcquireTimeout,
  type AlreadyHeld,
  type AcquireError,
  type Grant,
  type Options as GrantOptions,
  SequenceExhausted
} from "../Grant.ts"
import * as Grants from "./Grants.ts"
import * as Layout from "./Layout.ts"
import * as OwnZnode from "./OwnZnode.ts"
import * as Removal from "./Removal.ts"

export interface Contention extends GrantOptions {
  readonly parent: string
  readonly layout: Layout.Layout
  /** In the name of our own znode, before the number. */
  readonly marker: string
  /** All that tell a contender. */
  readonly markers: ReadonlyArray<string>
  readonly data: Data
  readonly acl: ReadonlyArray<Acl> | undefined
  /** For whom to wait, of those who came before (by arrival); nobody: our turn has come. */
  readonly blocker: (ahead: ReadonlyArray<Layout.Contender>) => Layout.Contender | undefined
}

export type ContentionError = Exclude<AcquireError, AlreadyHeld>

type Outcome =
  | { readonly _tag: "Granted"; readonly grant: Grant }
  | { readonly _tag: "Blocked" }
  /** Our znode or our session is gone: all anew. */
  | { readonly _tag: "Again" }

const again: Outcome = { _tag: "Again" }
const blocked: Outcome = { _tag: "Blocked" }
const granted = (grant: Grant): Outcome => ({ _tag: "Granted", grant })

const list = (zk: Service, { markers, parent }: Pick<Contention, "markers" | "parent">) =>
  Effect.map(Removal.persist(zk.getChildren(parent)), (names) => Layout.contenders(names, markers))

/**
 * Servers give the last number to everyone who comes after it (and documents
 * promise a negative one): neither has an order.
 */
const isExhausted = (mine: Layout.Contender, all: ReadonlyArray<Layout.Contender>): boolean =>
  mine.sequence >= 0x7fff_ffff || all.some(({ sequence }) => sequence < 0)

/** Until that znode has changed, or a session timeout has passed: then one looks again, whatever happened. */
const untilChanged = (zk: Service, path: string, millis: number) =>
  Effect.scoped(Effect.flatMap(
    Removal.persist(zk.getAndWatch(path)),
    ({ event }) => Effect.timeoutOption(event, millis)
  )).pipe(
    Effect.catchTag("NoNode", () => Effect.void)
  )

const contend = (
  zk: Service,
  contention: Contention,
  waits: boolean
): Effect.Effect<Outcome, ContentionError, Scope.Scope> =>
  Effect.gen(function*() {
    const { layout, marker, parent } = contention
    const own = yield* OwnZnode.make(zk, {
      parent,
      prefix: Layout.prefix(layout, yield* Uuid.next),
      name: marker,
      data: contention.data,
      mode: "ephemeralSequential",
      acl: contention.acl
    }).pipe(
      // A unique name cannot be taken: the parent's counter is at its end.
      Effect.catchTag("NodeExists", () => Effect.fail(new SequenceExhausted({ path: parent })))
    )
    const name = ZnodePath.name(own.path)
    return yield* Effect.gen(function*() {
      while (true) {
        const all = yield* list(zk, contention)
        const mine = all.find((each) => each.name === name)
        if (mine === undefined) return again
        if (isExhausted(mine, all)) return yield* new SequenceExhausted({ path: parent })
        const blocker = contention.blocker(all.filter(({ sequence }) => sequence < mine.sequence))
        if (blocker === undefined) return granted(yield* Grants.make(zk, own, contention))
        if (!waits) return blocked
        yield* untilChanged(zk, ZnodePath.join(parent, blocker.name), own.session.timeout)
      }
    }).pipe(
      Effect.catchTag(["NoNode", "GrantLost"], () => Effect.succeed(again)),
      Effect.catchIf(OwnZnode.isExpired, () => Effect.succeed(again))
    )
  })

const settled = (
  zk: Service,
  contention: Contention,
  waits: boolean
): Effect.Effect<Outcome, ContentionError, Scope.Scope> =>
  Effect.repeat(
    Acquisition.keepingIf(contend(zk, contention, waits), ({ _tag }) => _tag === "Granted"),
    { until: ({ _tag }) => _tag !== "Again" }
  )

/** Bounds an acquisition as a whole. What came too late is released. */
export const within = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  path: string,
  timeout: AcquireOptions["timeout"]
): Effect.Effect<A, E | AcquireTimeout, R | Scope.Scope> =>
  timeout === undefined
    ? effect
    : Acquisition.wholly(
      Effect.timeoutOrElse(effect, {
        duration: timeout,
        orElse: () => Effect.fail(new AcquireTimeout({ path, millis: Duration.toMillis(timeout) }))
      })
    )

/** Waits for its turn. A session that ends while waiting costs the place, not the wait. */
export const acquire = (
  zk: Service,
  contention: Contention,
  options: AcquireOptions = {}
): Effect.Effect<Grant, ContentionError | AcquireTimeout, Scope.Scope> =>
  within(
    Effect.flatMap(
      settled(zk, contention, true),
      (outcome) => outcome._tag === "Granted" ? Effect.succeed(outcome.grant) : Effect.never
    ),
    contention.parent,
    options.timeout
  ).pipe(
    Effect.timed,
    Effect.flatMap(([waited, grant]) =>
      Effect.as(Metric.update(ZooKeeperMetrics.grantWait, Duration.toSeconds(waited)), grant)
    ),
    Telemetry.phase("acquire", contention.parent)
  )

/** Only if nobody is before us. */
export const tryAcquire = (
  zk: Service,
  contention: Contention
): Effect.Effect<Option.Option<Grant>, ContentionError, Scope.Scope> =>
  Effect.map(
    settled(zk, contention, false),
    (outcome) => outcome._tag === "Granted" ? Option.some(outcome.grant) : Option.none()
  )

/** Who contends, by arrival: the first ones hold it. */
export const contenders = (zk: Service, contention: Pick<Contention, "markers" | "parent">) =>
  Effect.gen(function*() {
    const all = yield* Effect.catchTag(list(zk, contention), "NoNode", () => Effect.succeed([]))
    const read = yield* zk.getMany(all.map(({ name }) => ZnodePath.join(contention.parent, name)))
    return all.flatMap((contender, index) => {
      const znode = read[index]
      return znode?._tag === "Success" ? [{ ...contender, znode: znode.success }] : []
    })
  })

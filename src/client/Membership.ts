/**
 * Keeps the list of servers as the ensemble, or its name service, has it now.
 */
import { isReadonlyArrayNonEmpty, type NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { formatHost, type Host } from "../ConnectionString.ts"
import { clientHosts, type EnsembleConfig, type Member } from "../EnsembleConfig.ts"
import type { OperationError } from "../ZooKeeper.ts"
import { ConnectionError, type NoAuth, Unreachable } from "../ZooKeeperError.ts"
import type { Session } from "./Session.ts"

export type LookupSrv = (name: string) => Effect.Effect<ReadonlyArray<Host>, ConnectionError>

/** How old the records of a name may be while all is well, and while no server serves us. */
const refreshAfter = "60 seconds"
const refreshSoon = "2 seconds"
const lookupPause = "500 millis"

const isSame = (left: ReadonlyArray<Host>, right: ReadonlyArray<Host>): boolean =>
  left.map(formatHost).toSorted().join() === right.map(formatHost).toSorted().join()

const changed = (session: Session, hosts: ReadonlyArray<Host>, why: string): Effect.Effect<void> => {
  if (!isReadonlyArrayNonEmpty(hosts) || isSame(hosts, session.servers)) return Effect.void
  return Effect.logInfo(`ZooKeeper: other servers, says ${why}`).pipe(
    Effect.annotateLogs({ servers: hosts.map(formatHost).join() }),
    Effect.andThen(session.updateHosts(hosts))
  )
}

/** The servers behind a name, asked for until there are some. */
export const resolve = (
  lookup: LookupSrv,
  name: string,
  within: number
): Effect.Effect<NonEmptyReadonlyArray<Host>, ConnectionError> =>
  Effect.suspend(() => {
    let latest = "no answer"
    const none = () =>
      new ConnectionError({
        reason: new Unreachable({ attempts: `dns-srv://${name}: ${latest}`, millis: within }),
        outcome: "NotApplied"
      })
    return Effect.gen(function*() {
      while (true) {
        const found = yield* Effect.result(lookup(name))
        if (Result.isSuccess(found) && isReadonlyArrayNonEmpty(found.success)) return found.success
        latest = Result.isSuccess(found) ? "there are no SRV records" : found.failure.message
        yield* Effect.sleep(lookupPause)
      }
    }).pipe(Effect.timeoutOrElse({ duration: within, orElse: () => Effect.fail(none()) }))
  })

/** Asks the name service again, sooner while nobody serves us, until nobody ever will. */
export const refreshSrv = (
  session: Session,
  lookup: LookupSrv,
  name: string
): Effect.Effect<void, never, Scope.Scope> => {
  const soon = Effect.andThen(session.untilDisconnected, Effect.sleep(refreshSoon))
  return Effect.timeoutOption(soon, refreshAfter).pipe(
    Effect.andThen(Effect.ignore(lookup(name).pipe(
      Effect.flatMap((hosts) => changed(session, hosts, name)),
      Effect.tapError((error) => Effect.logDebug("ZooKeeper: SRV records cannot be looked up", error))
    ))),
    Effect.repeat({ until: () => session.isOver }),
    Effect.forkScoped,
    Effect.asVoid
  )
}

/** Which of the members' addresses clients shall use. */
export type HostOf = (member: Member) => Host | undefined

/** Follows the ensemble's own configuration. */
export const followConfig = (
  session: Session,
  configs: Stream.Stream<EnsembleConfig, NoAuth | OperationError>,
  hostOf: HostOf | undefined
): Effect.Effect<void, never, Scope.Scope> =>
  configs.pipe(
    Stream.runForEach((config) => {
      const hosts = hostOf === undefined ? clientHosts(config) : config.members.flatMap((member) => hostOf(member) ?? [])
      return changed(session, hosts, "/zookeeper/config")
    }),
    Effect.catch((error) => Effect.logWarning("ZooKeeper: the ensemble's configuration is not followed any more", error)),
    Effect.forkScoped,
    Effect.asVoid
  )

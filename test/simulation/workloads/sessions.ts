/**
 * Clients come and go: they idle, are closed, or are left behind and resumed.
 * Ephemerals live as long as their session, and everyone who waits for a
 * session's end is told of it.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { SessionCredentials } from "../../../src/SessionState.ts"
import type { Participant, Workload } from "../Simulation.ts"

export const sessionsWorkload: Workload = {
  name: "sessions",
  make: (run) => {
    let steps = 0

    /** Waits for the end of the session that is there now, and looks whether it has ended. */
    const awaitEnd = (participant: Participant): Effect.Effect<void, never, Scope.Scope> =>
      Effect.gen(function*() {
        const { zk } = participant
        const { id } = yield* Effect.orDie(zk.session)
        const who = `client${participant.index}`
        yield* Effect.forkScoped(Effect.onExit(zk.sessionEnd, (exit) =>
          Effect.map(zk.state, (state) => {
            const reason = Exit.findErrorOption(exit)
            if (Option.isNone(reason) || reason.value.reason._tag !== "SessionExpired") return
            if (state._tag === "Connected" && state.sessionId === id) {
              run.violation("session", `${who} was told of the end of session ${id.toString(16)}, which is connected`)
            }
          })), { startImmediately: true })
      })

    const step = (participant: Participant): Effect.Effect<void> =>
      Effect.suspend(() => {
        const { index, randomness, zk } = participant
        const who = `client${index}`
        steps++
        switch (randomness.below(4)) {
          case 0:
            // Idle: only pings prove the session.
            return Effect.sleep(randomness.between(0, run.faults.sessionTimeout))
          case 1:
            return zk.createWithStat("/s/e-", "", { mode: "ephemeralSequential" }).pipe(
              Effect.flatMap(({ path, stat }) =>
                Effect.map(zk.state, (state) => {
                  if (state._tag === "Connected" && state.sessionId !== stat.ephemeralOwner) {
                    run.violation("session", `${who} was given ${path} of session ${stat.ephemeralOwner.toString(16)}`)
                  }
                })),
              Effect.ignore
            )
          case 2:
            return Effect.ignore(zk.exists("/s"))
          default:
            return zk.session.pipe(
              Effect.map(({ id }) => {
                if (id !== participant.session) run.violation("session", `${who} says ${id} and has ${participant.session}`)
              }),
              Effect.ignore
            )
        }
      })

    /** One client from its beginning to its end; what it returns is resumed. */
    const life = (participant: Participant, resume: Option.Option<SessionCredentials>) =>
      Effect.scoped(Effect.gen(function*() {
        const { randomness } = participant
        const zk = yield* participant.open({
          ...participant.variety,
          failFast: false,
          resume: Option.getOrUndefined(resume)
        })
        yield* awaitEnd(participant)
        const until = participant.loop.now + randomness.between(0, 8000)
        while (!participant.isOver && participant.loop.now < until) {
          yield* participant.pause
          yield* participant.now
          yield* step(participant)
        }
        if (participant.isOver || randomness.chance(0.5)) return Option.none()
        participant.tap.seen.push({ _tag: "Left", link: participant.tap.current, at: participant.loop.now })
        return yield* Effect.option(zk.detach)
      }))

    return {
      opensItself: true,
      prepare: (zk) => Effect.asVoid(zk.create("/s")),
      client: (participant) =>
        Effect.gen(function*() {
          let left = Option.none<SessionCredentials>()
          while (!participant.isOver) {
            left = yield* life(participant, left)
            checkEnd(run, participant)
          }
          // What was left behind is closed, not left to expire.
          if (Option.isSome(left)) yield* life(participant, left)
        }),
      check: () => {
        const ephemerals = [...run.ensemble.leader.server.tree.ephemerals.values()].reduce((sum, { size }) => sum + size, 0)
        if (ephemerals > 0) run.violation("G1", `${ephemerals} ephemerals have outlived their sessions`)
      },
      calls: () => steps
    }
  }
}

/** A client that is closed has nothing open, and nothing that waits. */
const checkEnd = (run: Parameters<Workload["make"]>[0], { index, loop, tap }: Participant): void => {
  if (tap.open > 0) run.violation("V6", `client${index} was closed at ${loop.now} ms, and a socket is open`)
  if (loop.pendingTimers > 0) run.violation("V6", `client${index} was closed at ${loop.now} ms, and a timer is pending`)
}

/**
 * Clients create, write, delete and read a few znodes, alone and in
 * transactions. Every write is marked, so that it is known what became of it.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Transaction from "../../../src/Transaction.ts"
import { History, type Outcome } from "../History.ts"
import { check, type Model } from "../Linearizability.ts"
import type { Participant, Run, Workload } from "../Simulation.ts"

type Input =
  | { readonly _tag: "Create"; readonly path: string; readonly data: string }
  | { readonly _tag: "Set"; readonly path: string; readonly data: string; readonly version: number }
  | { readonly _tag: "Delete"; readonly path: string; readonly version: number }
  | { readonly _tag: "Get"; readonly path: string; readonly isFresh: boolean }
  | { readonly _tag: "Swap"; readonly path: string; readonly data: string; readonly version: number }

/** `NoNode`, `NodeExists`, `BadVersion`, or what is there: `version data`. */
type Output = string

const absent = "absent"

/** The state is `version data`, as reads show it. */
const znode: Model<string, Input, Output> = {
  initial: absent,
  key: (state) => state,
  partition: (input) => input.path,
  step: (state, input, output) => {
    const answer = (expected: Output, next: string): string | undefined =>
      output === undefined || output === expected ? next : undefined
    const version = state === absent ? -1 : Number(state.slice(0, state.indexOf(" ")))
    switch (input._tag) {
      case "Create":
        return state === absent ? answer("0", `0 ${input.data}`) : answer("NodeExists", state)
      case "Set":
        if (state === absent) return answer("NoNode", state)
        if (input.version !== -1 && input.version !== version) return answer("BadVersion", state)
        return answer(String(version + 1), `${version + 1} ${input.data}`)
      case "Delete":
        if (state === absent) return answer("NoNode", state)
        if (input.version !== -1 && input.version !== version) return answer("BadVersion", state)
        return answer("deleted", absent)
      case "Get":
        return state === absent ? answer("NoNode", state) : answer(state, state)
      case "Swap":
        // In one transaction: what is there goes, and something new is in its place.
        if (state === absent) return answer("NoNode", state)
        if (input.version !== -1 && input.version !== version) return answer("BadVersion", state)
        return answer("0", `0 ${input.data}`)
    }
  }
}

const text = new TextDecoder()

const paths = ["/r/a", "/r/b", "/r/c"] as const

const refused = (error: { readonly _tag: string }): Output => error._tag

export const registerWorkload: Workload = {
  name: "register",
  make: (run) => {
    const history = new History<Input, Output>()
    let marks = 0

    const step = (participant: Participant): Effect.Effect<Outcome<Output>> =>
      Effect.flatMap(participant.now, (now) => {
        const { randomness, zk } = participant
        const path = randomness.pick(paths)
        const version = randomness.pick([-1, -1, 0, 1, 2])
        const kind = randomness.below(12)
        const mark = `w${++marks}`
        const data = `<${mark}>`
        const record = (input: Input) => ({ ...now, input, mark: "data" in input ? mark : undefined })
        if (kind < 3) {
          const options = randomness.chance(0.2) ? { mode: "ephemeral" as const } : {}
          // An ephemeral znode goes with its session, which no model of one znode knows of: it is in a place of its own.
          const at = "mode" in options ? `/r/e${participant.index}` : path
          return history.record(record({ _tag: "Create", path: at, data }), zk.create(at, data, options), {
            done: () => "0",
            refused
          })
        }
        if (kind < 6) {
          return history.record(record({ _tag: "Set", path, data, version }), zk.set(path, data, version), {
            done: (stat) => String(stat.version),
            refused
          })
        }
        if (kind < 7) {
          return history.record(record({ _tag: "Delete", path, version }), zk.delete(path, version), {
            done: () => "deleted",
            refused
          })
        }
        if (kind < 8) {
          const operations = [Transaction.remove(path, version), Transaction.create(path, data)] as const
          return history.record(record({ _tag: "Swap", path, data, version }), zk.transaction(operations), {
            done: () => "0",
            refused: (error) => error._tag === "TransactionFailed" ? error.error._tag : error._tag
          })
        }
        // Where members lag, only what is read behind a sync is as new as it can be.
        const isFresh = randomness.chance(0.5)
        const get = zk.get(path)
        const read = isFresh ? Effect.andThen(zk.sync(path), get) : get
        return history.record(record({ _tag: "Get", path, isFresh }), read, {
          done: (found) => `${found.stat.version} ${text.decode(found.data)}`,
          refused
        })
      })

    return {
      prepare: (zk) => Effect.asVoid(zk.create("/r")),
      client: (participant) =>
        Effect.gen(function*() {
          const { randomness } = participant
          const bursts: Array<Fiber.Fiber<unknown>> = []
          while (!participant.isOver) {
            yield* randomness.chance(0.8) ? participant.pause : Effect.sleep(randomness.between(0, 20))
            const attempt = step(participant)
            if (randomness.chance(0.2)) yield* Effect.timeoutOption(attempt, randomness.between(0, randomness.pick([2, 20, 300])))
            else if (randomness.chance(0.15)) {
              const burst = Array.from({ length: 2 + randomness.below(5) }, () => step(participant))
              bursts.push(yield* Effect.forkChild(Effect.all(burst, { concurrency: "unbounded" }), { startImmediately: true }))
            }
            else yield* attempt
          }
          yield* Fiber.awaitAll(bursts)
        }),
      check: () => checkHistory(run, history),
      calls: () => history.calls.length
    }
  }
}

const checkHistory = (run: Run, history: History<Input, Output>): void => {
  const isLinear = run.faults.members === 1 || run.faults.lag === 0 && run.faults.every.isolate === Infinity
  const operations = history.operations(({ input }) =>
    !input.path.startsWith("/r/e") && (input._tag !== "Get" || input.isFresh || isLinear)
  )
  const verdict = check(operations, znode)
  if (verdict._tag === "Illegal") {
    run.violation(
      "S1",
      `${verdict.part} is not linearizable: ${JSON.stringify(verdict.stuck)} does not fit behind ${verdict.state}`
    )
  } else if (verdict._tag === "Undecided") run.violation("S1", "undecided")
  checkEffects(run, history)
}

/** What the leader has executed against what clients were told. */
const checkEffects = (run: Run, history: History<Input, Output>): void => {
  const times = new Map<string, number>()
  const sessions = new Map<string, bigint>()
  const asked = new Map<string, number>()
  const clients = new Map(history.calls.map(({ client, mark }) => [mark, client] as const))
  const newest = new Map<string, number>()
  for (const { error, marks, session } of run.ensemble.executed) {
    for (const mark of marks) {
      const order = Number(mark.slice(1))
      const who = `${clients.get(mark)} ${session}`
      if (order < (newest.get(who) ?? 0)) run.violation("S2", `client${who}: ${mark} happened behind w${newest.get(who)}`)
      newest.set(who, order)
      asked.set(mark, (asked.get(mark) ?? 0) + 1)
      sessions.set(mark, session)
      if (error === 0) times.set(mark, (times.get(mark) ?? 0) + 1)
    }
  }
  for (const { client, input, mark, outcome, session } of history.calls) {
    const about = `client${client} ${JSON.stringify(input)}`
    if (outcome === undefined) run.violation("V1", `${about} never ended`)
    if (outcome?._tag === "Defect") run.violation("defect", `${about} died: ${outcome.cause}`)
    if (mark === undefined) continue
    const done = times.get(mark) ?? 0
    if ((asked.get(mark) ?? 0) > 1) run.violation("S7", `${about} was asked ${asked.get(mark)} times`)
    const isRefused = outcome?._tag === "Done" && Number.isNaN(Number(outcome.output))
    if (outcome?._tag === "Done" && !isRefused && done !== 1) run.violation("S4", `${about} succeeded and happened ${done} times`)
    if (isRefused && done > 0) run.violation("S5", `${about} was refused and happened`)
    if (outcome?._tag === "NotApplied" && done > 0) run.violation("S5", `${about} was not applied (${outcome.why}) and happened`)
    const executed = sessions.get(mark)
    if (session !== undefined && executed !== undefined && executed !== session) {
      run.violation("session", `${about} belongs to session ${session.toString(16)} and happened in ${executed.toString(16)}`)
    }
  }
}

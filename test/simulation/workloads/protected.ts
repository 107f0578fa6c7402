/**
 * Protected creates: whatever becomes of the replies, each makes one znode, and
 * says which. Parents near the end of their sequence numbers are among them.
 */
import * as Effect from "effect/Effect"
import type { CreateMode } from "../../../src/Znode.ts"
import { type Call, History, type Outcome } from "../History.ts"
import type { Participant, Run, Workload } from "../Simulation.ts"

interface Input {
  readonly mode: CreateMode
  readonly path: string
}

const modes = ["persistentSequential", "ephemeralSequential", "persistent", "ephemeral"] as const

const text = new TextDecoder()

export const protectedWorkload: Workload = {
  name: "protected",
  make: (run) => {
    const history = new History<Input, string>()
    const removed = new Set<string>()
    let marks = 0

    const create = (participant: Participant): Effect.Effect<Outcome<string>> =>
      Effect.flatMap(participant.now, (now) => {
        const { randomness, zk } = participant
        const mode = randomness.pick(modes)
        const mark = `w${++marks}`
        const input = { mode, path: `/p/${mode.endsWith("Sequential") ? "n-" : mark}` }
        const created = zk.createWithStat(input.path, `<${mark}>`, { mode, protected: true })
        return history.record(
          { ...now, input, mark },
          Effect.tap(created, ({ path, stat }) =>
            Effect.map(zk.state, (state) => {
              if (!mode.startsWith("ephemeral") || state._tag !== "Connected") return
              if (stat.ephemeralOwner !== state.sessionId) {
                run.violation(
                  "S4",
                  `client${now.client} was given ${path} of session ${stat.ephemeralOwner.toString(16)}, its own is ${state.sessionId.toString(16)}`
                )
              }
            })),
          { done: ({ path }) => path, refused: (error) => error._tag }
        )
      })

    return {
      prepare: (zk) =>
        Effect.map(zk.create("/p"), () => {
          if (!run.randomness.chance(0.3)) return
          // No client can bring a counter there in time.
          for (const { server } of run.ensemble.members) {
            const parent = server.tree.get("/p")
            if (parent !== undefined) parent.cversion = 0x7fff_fff8
          }
        }),
      client: (participant) =>
        Effect.gen(function*() {
          const mine: Array<string> = []
          const { randomness } = participant
          while (!participant.isOver) {
            yield* participant.pause
            const old = mine.shift()
            if (old !== undefined && randomness.chance(0.3)) {
              removed.add(old)
              yield* Effect.ignore(participant.zk.delete(old))
            }
            const attempt = create(participant)
            const outcome = randomness.chance(0.1)
              ? (yield* Effect.timeoutOption(attempt, randomness.between(0, 500))).pipe((option) =>
                option._tag === "Some" ? option.value : undefined
              )
              : yield* attempt
            if (outcome?._tag === "Done" && outcome.output.startsWith("/")) mine.push(outcome.output)
          }
        }),
      check: () => checkEffects(run, history, removed),
      calls: () => history.calls.length
    }
  }
}

const checkEffects = (run: Run, history: History<Input, string>, removed: ReadonlySet<string>): void => {
  const times = new Map<string, number>()
  for (const { error, marks } of run.ensemble.executed) {
    if (error === 0) for (const mark of marks) times.set(mark, (times.get(mark) ?? 0) + 1)
  }
  const places = new Map<string, string>()
  for (const [path, { data }] of run.ensemble.leader.server.tree.entries()) {
    if (data !== null && path.startsWith("/p/")) places.set(text.decode(data), path)
  }
  for (const call of history.calls) checkCall(run, call, times.get(call.mark ?? "") ?? 0, places.get(`<${call.mark}>`), removed)
}

const checkCall = (
  run: Run,
  { client, input, mark, outcome }: Call<Input, string>,
  done: number,
  place: string | undefined,
  removed: ReadonlySet<string>
): void => {
  const about = `client${client} ${input.mode} ${mark}`
  switch (outcome?._tag) {
    case undefined:
      return run.violation("V1", `${about} never ended`)
    case "Defect":
      return run.violation("defect", `${about} died: ${outcome.cause}`)
    case "NotApplied":
      if (done > 0) run.violation("S5", `${about} was not applied (${outcome.why}) and happened`)
      return
    case "Unknown":
      if (done > 1) run.violation("S7", `${about} happened ${done} times`)
      return
    case "Done":
      if (!outcome.output.startsWith("/")) {
        if (done > 0) run.violation("S5", `${about} was refused (${outcome.output}) and happened`)
        return
      }
      if (done !== 1) run.violation("S4", `${about} succeeded and happened ${done} times`)
      if (place !== undefined && place !== outcome.output) run.violation("S6", `${about} is ${place}, not ${outcome.output}`)
      if (place === undefined && input.mode.startsWith("persistent") && !removed.has(outcome.output)) {
        run.violation("S4", `${about} succeeded, and is not there`)
      }
  }
}

/**
 * Clients count: an increment that is acknowledged is there exactly once, one
 * that is unknown at most once.
 */
import * as Effect from "effect/Effect"
import { History } from "../History.ts"
import { check, type Model } from "../Linearizability.ts"
import type { Participant, Workload } from "../Simulation.ts"

type Input = "increment" | "read"

const counter: Model<number, Input, number> = {
  initial: 0,
  key: String,
  step: (state, input, output) => {
    const next = input === "increment" ? state + 1 : state
    return output === undefined || output === next ? next : undefined
  }
}

const text = new TextDecoder()
const numberIn = (data: Uint8Array): number => Number(text.decode(data))
const path = "/count"

const refused = () => Number.NaN

export const counterWorkload: Workload = {
  name: "counter",
  make: (run) => {
    run.pace = 800
    const history = new History<Input, number>()
    let final = Number.NaN
    const increment = (participant: Participant) =>
      Effect.flatMap(participant.now, (now) =>
        history.record(
          { ...now, input: "increment", mark: undefined },
          participant.zk.update(path, (data) => String(numberIn(data) + 1)),
          { done: ({ data }) => numberIn(data), refused }
        ))

    const read = (participant: Participant) =>
      Effect.flatMap(participant.now, (now) =>
        history.record(
          { ...now, input: "read", mark: undefined },
          Effect.andThen(participant.zk.sync(path), participant.zk.get(path)),
          { done: ({ data }) => numberIn(data), refused }
        ))

    return {
      prepare: (zk) => Effect.asVoid(zk.create(path, "0")),
      client: (participant) =>
        Effect.gen(function*() {
          while (!participant.isOver) {
            yield* participant.pause
            const { randomness } = participant
            if (randomness.chance(0.2)) yield* read(participant)
            else if (randomness.chance(0.1)) yield* Effect.timeoutOption(increment(participant), randomness.between(0, randomness.pick([2, 20, 300])))
            else yield* increment(participant)
          }
        }),
      conclude: (zk) =>
        Effect.map(zk.get(path), ({ data }) => {
          final = numberIn(data)
        }),
      check: () => {
        const increments = history.calls.filter(({ input }) => input === "increment")
        const done = increments.filter(({ outcome }) => outcome?._tag === "Done").length
        const unknown = increments.filter(({ outcome }) => outcome?._tag === "Unknown").length
        if (final < done || final > done + unknown) {
          run.violation("S8", `the counter shows ${final} after ${done} increments and ${unknown} unknown ones`)
        }
        const verdict = check(history.operations(() => true), counter)
        if (verdict._tag === "Illegal") {
          run.violation("S8", `the counter is not linearizable: ${JSON.stringify(verdict.stuck)} does not fit behind ${verdict.state}`)
        } else if (verdict._tag === "Undecided") run.violation("S8", "undecided")
      },
      calls: () => history.calls.length
    }
  }
}

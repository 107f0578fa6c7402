/**
 * Clients count with the counter recipe: a change that succeeds was made once,
 * one that fails was not made, and only `Unknown` leaves it open.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Counter from "../../../src/recipe/Counter.ts"
import { ZooKeeper } from "../../../src/ZooKeeper.ts"
import { History } from "../History.ts"
import { checkNothingBeside, Meeting } from "../Holding.ts"
import { check, type Model } from "../Linearizability.ts"
import type { Participant, Workload } from "../Simulation.ts"

/** 0 reads. */
type Delta = bigint

const counter: Model<bigint, Delta, bigint> = {
  initial: 0n,
  key: String,
  step: (state, delta, output) => {
    const next = state + delta
    return output === undefined || output === next ? next : undefined
  }
}

const path = "/count"

const refused = () => -1n
const done = ({ after }: Counter.Change<bigint>) => after

export const countingWorkload: Workload = {
  name: "counting",
  duration: 8000,
  make: (run) => {
    run.pace = 500
    const history = new History<Delta, bigint>()
    const meeting = new Meeting(run)
    let final: bigint | undefined

    const step = (participant: Participant, counting: Counter.Counter<bigint>) =>
      Effect.flatMap(participant.now, (now) => {
        const { randomness } = participant
        const delta = randomness.pick([1n, 1n, -1n, 5n])
        const change = delta === 1n ? counting.increment : counting.add(delta)
        return history.record({ ...now, input: delta, mark: undefined }, change, { done, refused })
      })

    return {
      client: (participant) =>
        Effect.gen(function*() {
          const { index, randomness, zk } = participant
          let seen: bigint | undefined
          const use = Effect.scoped(Effect.gen(function*() {
            const counting = yield* Counter.make(path)
            yield* Effect.forkScoped(Stream.runForEach(counting.changes, (value) =>
              Effect.sync(() => {
                seen = value
              })))
            const rounds = 1 + randomness.below(6)
            for (let round = 0; round < rounds && !participant.isOver; round++) {
              yield* participant.pause
              const together = Effect.all(
                Array.from({ length: randomness.chance(0.2) ? 2 : 1 }, () => step(participant, counting)),
                { concurrency: "unbounded" }
              )
              yield* randomness.chance(0.2)
                ? Effect.timeoutOption(together, randomness.between(0, randomness.pick([2, 20, 300])))
                : together
            }
          }))
          while (!participant.isOver) yield* Effect.provideService(use, ZooKeeper, zk)
          yield* meeting.all
          yield* Effect.sleep(run.recovery)
          checkNothingBeside(run, path)
          yield* meeting.all
          yield* Effect.provideService(
            Effect.scoped(Effect.gen(function*() {
              const counting = yield* Counter.make(path)
              yield* Effect.forkScoped(Stream.runForEach(counting.changes, (value) =>
                Effect.sync(() => {
                  seen = value
                })))
              yield* Effect.sleep(500)
              const { after } = yield* counting.add(0n)
              final = after
              yield* Effect.sleep(1000)
              if (seen !== after) run.violation("W5", `client${index} was told of ${seen} last, and the counter is ${after}`)
            })),
            ZooKeeper,
            zk
          )
        }),
      check: () => {
        const sum = (tag: string) =>
          history.calls.filter(({ outcome }) => outcome?._tag === tag).reduce((total, { input }) => total + input, 0n)
        const isOpen = history.calls.some(({ outcome }) => outcome?._tag === "Unknown")
        const died = history.calls.find(({ outcome }) => outcome?._tag === "Defect")
        if (died !== undefined) run.violation("defect", JSON.stringify(died.outcome))
        if (!isOpen && final !== sum("Done")) run.violation("S8", `the counter shows ${final} after ${sum("Done")}`)
        const operations = [...history.operations(() => true)]
        if (final !== undefined) operations.push({ input: 0n, call: 1e9, return: 1e9 + 1, output: final })
        const verdict = check(operations, counter)
        if (verdict._tag === "Illegal") {
          run.violation("S8", `not linearizable: ${JSON.stringify(verdict.stuck, (_, value) => String(value))} behind ${verdict.state}`)
        } else if (verdict._tag === "Undecided") run.violation("S8", "undecided")
      },
      calls: () => history.calls.length
    }
  }
}

/**
 * Clients offer items, claim them, and consume them together with a write.
 * Nothing is lost, and each write is made once, whatever becomes of the takers.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as LockingQueue from "../../../src/recipe/LockingQueue.ts"
import * as Transaction from "../../../src/Transaction.ts"
import { ZooKeeper } from "../../../src/ZooKeeper.ts"
import { checkNothingBeside, checkNothingLeft, Meeting, perhapsGivenUp } from "../Holding.ts"
import { History } from "../History.ts"
import type { Participant, Workload } from "../Simulation.ts"

const path = "/jobs"
const text = new TextDecoder()

export const lockingQueueWorkload: Workload = {
  name: "lockingQueue",
  duration: 8000,
  crowd: 6,
  make: (run) => {
    run.pace = 400
    const history = new History<string, "offered">()
    const meeting = new Meeting(run)
    const tokens = new Map<string, bigint>()
    const consumed = new Set<string>()
    let count = 0

    const work = (participant: Participant, claim: LockingQueue.Claim, consumes: boolean) =>
      Effect.gen(function*() {
        const { randomness } = participant
        const item = text.decode(claim.data)
        const before = tokens.get(item)
        if (before !== undefined && before >= claim.token) {
          run.violation("M2", `${item} was claimed with token ${before}, and then with ${claim.token}`)
        }
        if (consumed.has(item)) run.violation("Q2", `${item} was consumed, and is claimed again`)
        tokens.set(item, claim.token)
        yield* Effect.sleep(randomness.between(0, randomness.pick([10, 100, run.faults.sessionTimeout])))
        if (randomness.chance(0.1)) participant.loop.stall(randomness.between(0, 1.5 * run.faults.sessionTimeout))
        if (!consumes) return
        if (randomness.chance(0.3)) yield* claim.renew
        if (randomness.chance(0.2)) return yield* claim.release
        yield* claim.consume([Transaction.create(`/done/${item}`)]).pipe(Effect.tap(() =>
          Effect.sync(() => {
            if (consumed.has(item)) run.violation("Q2", `${item} was consumed twice`)
            consumed.add(item)
          })))
      })

    const step = (participant: Participant, queue: LockingQueue.LockingQueue) =>
      Effect.suspend((): Effect.Effect<unknown> => {
        const { randomness } = participant
        if (randomness.chance(0.4)) {
          const item = `i${++count}`
          return Effect.flatMap(participant.now, (now) =>
            perhapsGivenUp(
              participant,
              history.record({ ...now, input: item, mark: undefined }, queue.offer(item), {
                done: () => "offered",
                refused: (error) => {
                  run.violation("errors", `an offer met ${error._tag}`)
                  return "offered"
                }
              })
            ))
        }
        const claimed: Effect.Effect<unknown, { readonly _tag: string; readonly message: string }, Scope.Scope> =
          randomness.chance(0.5)
            ? Effect.flatMap(queue.take, (claim) => work(participant, claim, true))
            : Effect.flatMap(queue.poll, Option.match({
              onNone: () => Effect.void,
              onSome: (claim) => work(participant, claim, true)
            }))
        const attempt = randomness.chance(0.3)
          ? queue.process((claim) => work(participant, claim, false))
          : Effect.scoped(claimed)
        return Effect.timeoutOption(attempt, randomness.between(0, randomness.pick([30, 300, 3000]))).pipe(
          Effect.catch((error) =>
            Effect.sync(() => {
              if (error._tag !== "ClaimLost" && error._tag !== "ConnectionError") {
                run.violation("errors", `a taker met ${error._tag}: ${error.message}`)
              }
            }))
        )
      })

    return {
      prepare: (zk) => zk.create("/done"),
      client: (participant) =>
        Effect.gen(function*() {
          const { index, randomness, zk } = participant
          const use = Effect.scoped(Effect.gen(function*() {
            const queue = yield* LockingQueue.make(path)
            const rounds = 1 + randomness.below(8)
            for (let round = 0; round < rounds && !participant.isOver; round++) {
              yield* participant.pause
              yield* Effect.all(Array.from({ length: 1 + randomness.below(2) }, () => step(participant, queue)), {
                concurrency: "unbounded"
              })
            }
          }))
          while (!participant.isOver) yield* Effect.provideService(use, ZooKeeper, zk)
          yield* meeting.all
          yield* Effect.sleep(run.recovery)
          checkNothingBeside(run, path)
          checkNothingLeft(run, [`${path}/taken`])
          yield* meeting.all
          if (index > 0) return
          const drain = Effect.scoped(Effect.gen(function*() {
            const queue = yield* LockingQueue.make(path)
            while (true) {
              const claim = yield* queue.poll
              if (Option.isNone(claim)) return
              const item = text.decode(claim.value.data)
              if (consumed.has(item)) run.violation("Q2", `${item} was consumed, and is there in the end`)
              yield* claim.value.consume([Transaction.create(`/done/${item}`)])
            }
          }))
          yield* Effect.provideService(drain, ZooKeeper, zk)
        }),
      check: () => {
        const { tree } = run.ensemble.leader.server
        const done = new Set(tree.get("/done")?.children)
        const left = [...tree.get(`${path}/entries`)?.children ?? []]
        if (left.length > 0) run.violation("V2", `in the end there are ${left.join()}`)
        for (const { input, outcome } of history.calls) {
          if (outcome?._tag === "Defect") run.violation("defect", outcome.cause)
          // What `process` consumes has no write.
          if (outcome?._tag === "Done" && !done.has(input) && !tokens.has(input)) run.violation("Q1", `${input} is lost`)
          if (outcome?._tag === "NotApplied" && (done.has(input) || tokens.has(input))) run.violation("Q4", `${input} was there`)
        }
      },
      calls: () => history.calls.length
    }
  }
}

/**
 * Candidates lead once or for ever, resign, and are interrupted. At most one
 * leads; whoever follows the leader knows in the end that there is none.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Election from "../../../src/recipe/Election.ts"
import { checkHerd, contending, guarded, Holding, mannersOf } from "../Holding.ts"
import type { Workload } from "../Simulation.ts"

const path = "/election"

export const electionWorkload: Workload = {
  name: "election",
  duration: 8000,
  crowd: 8,
  make: (run) => {
    run.pace = 400
    const holding = new Holding(run)
    const layout = run.randomness.pick(["kazoo", "curator", "curatorLatch"])
    return {
      prepare: (zk) => Effect.andThen(zk.create(guarded), zk.create(path)),
      client: contending(run, {
        directories: [path],
        isQuiet: false,
        make: (participant) => {
          const { index, randomness } = participant
          const options = mannersOf(randomness)
          const lead = holding.user(participant, {
            what: path,
            isStrict: options.validity === "strict",
            isProtected: true
          })
          return Effect.gen(function*() {
            const election = yield* Election.make(path, { ...options, layout })
            let known: Option.Option<Election.Candidate> | undefined
            const follow = Stream.runForEach(election.leaderChanges, (leader) =>
              Effect.sync(() => {
                known = leader
              }))
            return {
              attempt: Effect.suspend(() => {
                const bound = randomness.chance(0.2) ? { timeout: randomness.between(0, 3000) } : {}
                switch (randomness.below(4)) {
                  case 0:
                    return Effect.timeoutOption(election.leadAlways(lead), randomness.between(0, 4000))
                  case 1:
                    return Effect.raceFirst(
                      election.lead(lead, bound),
                      Effect.andThen(Effect.sleep(randomness.between(0, 2000)), election.resign)
                    )
                  default:
                    return election.lead(lead, bound)
                }
              }),
              background: follow,
              quiet: Effect.sync(() => {
                if (known === undefined || Option.isSome(known)) {
                  run.violation("M7", `client${index} thinks that ${JSON.stringify(known, (_, value) => String(value))} leads in the end`)
                }
              }),
              // Those who follow the leader watch the path itself.
              last: election.lead(Effect.andThen(Effect.sleep(50), Effect.sync(() => checkHerd(run, `${path}/`))))
            }
          })
        }
      }),
      check: () => holding.checkExclusion(() => true),
      calls: () => holding.holds.length
    }
  }
}

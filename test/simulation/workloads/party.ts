/**
 * Members join a party and leave it, at any moment. In the end everybody knows
 * who is in it, and it is whoever has joined.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Party from "../../../src/recipe/Party.ts"
import * as ShallowParty from "../../../src/recipe/ShallowParty.ts"
import { ZooKeeper } from "../../../src/ZooKeeper.ts"
import { checkNothingLeft, expecting, Meeting } from "../Holding.ts"
import type { Workload } from "../Simulation.ts"

const path = "/party"

/** Both parties are used alike. */
const partying = (name: string, recipe: Pick<typeof Party, "changes" | "join" | "members">): Workload => ({
  name,
  duration: 8000,
  crowd: 6,
  make: (run) => {
    run.pace = 600
    const meeting = new Meeting(run)
    let joined = 0
    return {
      prepare: (zk) => zk.create(path),
      client: (participant) =>
        Effect.gen(function*() {
          const { index, randomness } = participant
          const identifier = `guest-${index}`
          let seen: ReadonlyArray<string> = ["nobody knows"]
          yield* Effect.forkScoped(expecting(
            run,
            participant,
            [],
            Stream.runForEach(recipe.changes(path), (members) =>
              Effect.sync(() => {
                seen = members
              }))
          ))
          while (!participant.isOver) {
            yield* participant.pause
            joined++
            const stay = Effect.andThen(recipe.join(path, { identifier: "passing" }), Effect.sleep(randomness.between(0, 1000)))
            yield* Effect.timeoutOption(Effect.scoped(stay), randomness.between(0, randomness.pick([3, 30, 300, 3000])))
          }
          const scope = yield* Scope.make()
          yield* Scope.provide(recipe.join(path, { identifier }), scope)
          yield* meeting.all
          yield* Effect.sleep(run.recovery)
          const expected = run.participants.map((each) => `guest-${each.index}`).join()
          const there = yield* recipe.members(path)
          if (there.toSorted().join() !== expected) run.violation("G2", `client${index} finds ${there.join()}, not ${expected}`)
          if (seen.toSorted().join() !== expected) run.violation("W5", `client${index} was told of ${seen.join()} last, not ${expected}`)
          yield* meeting.all
          yield* Scope.close(scope, Exit.void)
          yield* meeting.all
          yield* Effect.sleep(1000)
          checkNothingLeft(run, [path], false)
          if (seen.length > 0) run.violation("W5", `client${index} was told of ${seen.join()} last, and there is nobody`)
        }).pipe((client) => Effect.suspend(() => Effect.provideService(client, ZooKeeper, participant.zk))),
      check: () => undefined,
      calls: () => joined
    }
  }
})

export const partyWorkload = partying("party", Party)
export const shallowPartyWorkload = partying("shallowParty", ShallowParty)

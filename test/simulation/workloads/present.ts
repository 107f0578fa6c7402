/**
 * Nodes that stay: each client keeps one of each kind, while everyone deletes
 * and overwrites them. When that stops each is there, once, as it should be;
 * when the clients have gone none is.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as PersistentNode from "../../../src/recipe/PersistentNode.ts"
import { ZooKeeper } from "../../../src/ZooKeeper.ts"
import * as ZnodePath from "../../../src/ZnodePath.ts"
import type { Participant, Workload } from "../Simulation.ts"

const root = "/present"
const modes = ["ephemeral", "ephemeralSequential", "persistent", "persistentSequential"] as const

const text = new TextDecoder()

export const presentWorkload: Workload = {
  name: "present",
  make: (run) => {
    run.pace = 1000
    let calls = 0
    let quiet = 0

    const names = () => [...run.ensemble.leader.server.tree.get(root)?.children ?? []]

    /** Somebody who does what they should not. */
    const meddle = ({ randomness, zk }: Participant): Effect.Effect<void> =>
      Effect.suspend(() => {
        calls++
        const found = names()
        const name = found[randomness.below(Math.max(1, found.length))]
        if (name === undefined) return Effect.void
        const path = `${root}/${name}`
        return randomness.chance(0.7) ? Effect.ignore(zk.delete(path)) : Effect.ignore(zk.set(path, "meddled"))
      })

    return {
      prepare: (zk) => zk.create(root),
      client: (participant) =>
        Effect.gen(function*() {
          const { index, randomness, zk } = participant
          const mode = randomness.pick(modes)
          const make = (name: string) =>
            Effect.provideService(PersistentNode.make(`${root}/${name}`, "first", { mode }), ZooKeeper, zk)
          // Some are begun and given up at any moment.
          for (let attempt = 0; attempt < 3; attempt++) {
            const patience = randomness.between(1, randomness.pick([500, 5000]))
            yield* Effect.timeoutOption(Effect.scoped(make(`given-up-${index}-${attempt}-`)), patience)
          }
          const scope = yield* Scope.make()
          const node = yield* Scope.provide(make(`kept-${index}-`), scope)
          yield* Effect.forkIn(
            // The first one may be of earlier; each later one is told as it is found.
            Stream.runForEach(Stream.drop(node.states, 1), (state) =>
              Effect.map(zk.state, (session) => {
                if (state._tag !== "Present" || session._tag !== "Connected" || !mode.startsWith("ephemeral")) return
                const { ephemeralOwner } = state.stat
                if (ephemeralOwner !== session.sessionId) {
                  run.violation("L19", `client${index}: its node is one of session ${ephemeralOwner}, not ${session.sessionId}`)
                }
              })),
            scope
          )
          let data = "first"
          while (!participant.isOver) {
            yield* participant.pause
            if (randomness.chance(0.3)) {
              data = `<n${++calls}>`
              // What is not yet written will be.
              yield* Effect.timeoutOption(node.set(data), randomness.between(1, 1000))
            } else yield* meddle(participant)
          }
          quiet++
          while (quiet < run.participants.length) yield* Effect.sleep(50)
          yield* Effect.sleep(run.recovery + 5000)
          const who = `client${index}'s ${mode} node`
          const state = yield* node.state
          if (state._tag !== "Present") run.violation("G2", `${who} is ${JSON.stringify(state._tag)} in the end`)
          const znode = run.ensemble.leader.server.tree.get(node.path)
          if (znode === undefined) run.violation("G2", `${who} is not there in the end`)
          else {
            const found = text.decode(znode.data ?? undefined)
            if (found !== data) run.violation("G2", `${who} holds ${found}, not ${data}`)
            const { id } = yield* zk.session
            const owner = mode.startsWith("ephemeral") ? id : 0n
            if (znode.stat.ephemeralOwner !== owner) run.violation("G2", `${who} is of session ${znode.stat.ephemeralOwner}`)
          }
          const own = names().filter((name) => name.includes(`kept-${index}-`))
          if (own.length !== 1 || own[0] !== ZnodePath.name(node.path)) {
            run.violation("G2", `${who} is there as ${own.join()}`)
          }
          yield* Scope.close(scope, Exit.void)
          const left = names().filter((name) => name.includes(`kept-${index}-`))
          if (left.length > 0) run.violation("G1", `${who} is left as ${left.join()}`)
        }),
      conclude: () =>
        Effect.sync(() => {
          const left = names()
          if (left.length > 0) run.violation("G1", `left: ${left.join()}`)
        }),
      check: () => undefined,
      calls: () => calls
    }
  }
}

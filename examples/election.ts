/**
 * Three candidates; whoever leads works until it resigns, and an observer follows
 * who leads.
 *
 * Start a server, then: `ZK_HOSTS=127.0.0.1:2181 node examples/election.ts`
 */
import { Console, Effect, Fiber, Option, Stream } from "effect"
import * as Election from "../src/recipe/Election.ts"
import { ZooKeeper, ZooKeeperLive } from "../src/ZooKeeper.ts"

const layer = ZooKeeperLive({ hosts: process.env["ZK_HOSTS"] ?? "127.0.0.1:2181" })

const text = (data: Uint8Array) => new TextDecoder().decode(data)

const candidate = (name: string, path: string) =>
  Effect.gen(function*() {
    const election = yield* Election.make(path, { identifier: name })
    yield* election.lead((grant) =>
      // What runs here is interrupted when the leadership is lost.
      Effect.andThen(Console.log(`${name} leads, epoch ${grant.token}`), Effect.andThen(Effect.sleep(200), election.resign))
    ).pipe(
      Effect.catchTag("Resigned", () => Console.log(`${name} has resigned`))
    )
    // Each candidate is a client of its own, as if on another machine.
  }).pipe(Effect.provide(layer, { local: true }))

const program = Effect.gen(function*() {
  const zk = yield* ZooKeeper
  const path = yield* Effect.acquireRelease(
    zk.create("/election-example-", "", { mode: "persistentSequential" }),
    (created) => Effect.ignore(zk.deleteRecursive(created))
  )
  const { leaderChanges } = yield* Election.make(path)
  const observing = yield* leaderChanges.pipe(
    Stream.map(Option.map(({ identifier }) => text(identifier))),
    Stream.tap((leader) => Console.log(`leader: ${Option.getOrElse(leader, () => "nobody")}`)),
    Stream.runDrain,
    Effect.forkChild({ startImmediately: true })
  )
  yield* Effect.forEach(["alice", "bob", "carol"], (name) => candidate(name, path), { concurrency: "unbounded" })
  yield* Fiber.interrupt(observing)
})

program.pipe(Effect.scoped, Effect.provide(layer), Effect.runPromise)

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import * as ZooKeeperServer from "./ZooKeeperServer.ts"

describe.skipIf(!ZooKeeperServer.canStart)("ZooKeeperServer", () => {
  it.live("kills, restarts, freezes and thaws a standalone server", () =>
    Effect.gen(function*() {
      const server = yield* ZooKeeperServer.standalone({ tickTime: 300, config: { maxSessionTimeout: 7000 } })
      const configuration = yield* server.command("conf")
      assert.include(configuration, "tickTime=300")
      assert.include(configuration, "maxSessionTimeout=7000")

      yield* server.kill9
      assert.isTrue(Option.isNone(yield* server.mode))
      yield* server.restart
      assert.deepStrictEqual(yield* server.mode, Option.some("standalone"))

      yield* server.freeze
      assert.isTrue(Option.isNone(yield* server.mode))
      yield* server.thaw
      assert.strictEqual(yield* server.command("ruok"), "imok")

      yield* server.stop
      assert.isTrue(Option.isNone(yield* server.mode))
    }))

  it.live("elects another leader when the leader is killed, and takes the dead one back", () =>
    Effect.gen(function*() {
      const ensemble = yield* ZooKeeperServer.ensemble()
      const first = yield* ensemble.leader
      yield* first.kill9
      const second = yield* ensemble.leader
      assert.notStrictEqual(second.id, first.id)
      yield* first.restart
      yield* ensemble.serving
      assert.lengthOf(yield* ensemble.followers, 2)
    }))

  // Sleeps and timeouts inside would never end on the test clock.
  it.effect("works under TestClock", () =>
    Effect.gen(function*() {
      const server = yield* ZooKeeperServer.standalone()
      assert.strictEqual(yield* server.command("ruok"), "imok")
    }))

  it.live("says why a server does not start, at once", () =>
    Effect.gen(function*() {
      const occupant = yield* ZooKeeperServer.standalone()
      const error = yield* Effect.flip(ZooKeeperServer.standalone({ config: { clientPort: occupant.port } }))
      assert.include(error.message, "Its log ends with")
      assert.include(error.message, "Address already in use")
    }), 15_000)

  it.live("leaves nothing behind when the run is killed", () =>
    Effect.gen(function*() {
      const run = yield* victim
      const [port, configuration] = JSON.parse(yield* firstLine(run)) as [number, string]
      const directory = dataDirectory(configuration)
      assert.isTrue(existsSync(directory))
      run.kill("SIGKILL")
      yield* Effect.gen(function*() {
        const answer = yield* Effect.option(ZooKeeperServer.fourLetterWord(port, "ruok"))
        return Option.isNone(answer) && !existsSync(directory)
      }).pipe(Effect.repeat({ until: (gone) => gone, schedule: Schedule.spaced("20 millis") }))
    }))
})

const dataDirectory = (configuration: string): string => /^dataDir=(.+)$/m.exec(configuration)?.[1] ?? ""

/** Another test run, with a server of its own, that would never end. */
const victim = Effect.acquireRelease(
  Effect.sync(() =>
    spawn(process.execPath, ["--input-type=module-typescript", "--eval", program], {
      cwd: import.meta.dirname,
      stdio: ["ignore", "pipe", "inherit"]
    })
  ),
  (run) => Effect.sync(() => run.kill("SIGKILL"))
)

const program = `
import * as Effect from "effect/Effect"
import * as ZooKeeperServer from "./ZooKeeperServer.ts"
await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
  const server = yield* ZooKeeperServer.standalone()
  console.log(JSON.stringify([server.port, yield* server.command("conf")]))
  yield* Effect.never
})))
`

const firstLine = (run: ReturnType<typeof spawn>) =>
  Effect.callback<string>((resume) => {
    run.stdout?.once("data", (line) => resume(Effect.succeed(`${line}`)))
  })

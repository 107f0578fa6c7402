/**
 * `npm run quickstart`: runs `examples/quickstart.ts` against `ZK_HOSTS`, or
 * against a real server that is started for it, and installed before if need be.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import { spawnSync } from "node:child_process"
import { join } from "node:path"
import { advice, install } from "./Installation.ts"
import * as ZooKeeperServer from "./ZooKeeperServer.ts"

const example = join(import.meta.dirname, "../../examples/quickstart.ts")

const program = Effect.gen(function*() {
  const { description, hosts, program } = install()
  if (hosts === undefined && program === undefined) {
    console.error(`No quickstart without a ZooKeeper (${description})\n${advice}`)
    process.exitCode = 1
    return
  }
  const server = yield* ZooKeeperServer.shared
  console.log(`Running examples/quickstart.ts with ZK_HOSTS=${server.hosts} (${description})\n`)
  const { status } = spawnSync(process.execPath, [example], {
    stdio: "inherit",
    env: { ...process.env, ZK_HOSTS: server.hosts }
  })
  process.exitCode = status ?? 1
})

NodeRuntime.runMain(Effect.scoped(program))

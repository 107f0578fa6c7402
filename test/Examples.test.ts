/** Each example runs to its end as a program of its own, and the process exits by itself. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { readdirSync } from "node:fs"
import { promisify } from "node:util"
import { shared } from "./support/Clients.ts"

const run = promisify(execFile)

const example = (name: string, env: NodeJS.ProcessEnv) =>
  Effect.promise(async () => {
    const { stderr, stdout } = await run(process.execPath, [`examples/${name}`], { env, timeout: 20_000 })
    assert.isAbove(stdout.length, 0)
    assert.strictEqual(stderr, "")
    return stdout
  })

const { ZK_HOSTS: _, ...env } = process.env

describe.skipIf(shared === undefined)("examples", () => {
  for (const name of readdirSync("examples").filter((file) => file.endsWith(".ts"))) {
    it.live(name, () => example(name, { ...env, ZK_HOSTS: shared }))
  }
})

it.live("the quickstart, as it is, has a server of its own", () =>
  Effect.map(example("quickstart.ts", env), (stdout) => assert.include(stdout, "is hello, world")))

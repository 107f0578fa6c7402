/** Each example runs to its end as a program of its own, and the process exits by itself. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { readdirSync } from "node:fs"
import { promisify } from "node:util"
import { shared } from "./support/Clients.ts"

const run = promisify(execFile)

/** What an example is there to show, where that is the same each time. */
const shows: Readonly<Record<string, ReadonlyArray<RegExp>>> = {
  "observability.ts": [
    /^span zookeeper\.get \/observed-\d{10} ok$/m,
    /^span zookeeper\.get \/observed-\d{10}-not NoNode$/m,
    /^zookeeper_client_requests\{operation="create",outcome="ok"\} 1$/m,
    /^zookeeper_client_requests\{operation="get",outcome="refused"\} 1$/m,
    /^zookeeper_client_sessions\{state="Connected"\} 1$/m,
    /^zookeeper_client_connections\{result="connected"\} 1$/m
  ]
}

const example = (name: string, env: NodeJS.ProcessEnv) =>
  Effect.promise(async () => {
    const { stderr, stdout } = await run(process.execPath, [`examples/${name}`], { env, timeout: 20_000 })
    assert.isAbove(stdout.length, 0)
    for (const line of shows[name] ?? []) assert.match(stdout, line)
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

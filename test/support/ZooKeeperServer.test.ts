import { assert, describe, inject, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import * as ZooKeeperServer from "./ZooKeeperServer.ts"

describe.skipIf(inject("zookeeper") === undefined)("the shared server", () => {
  it("is there", () => assert.match(inject("zookeeper") ?? "", /:\d+/))
})

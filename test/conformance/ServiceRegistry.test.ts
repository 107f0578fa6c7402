import { describe } from "@effect/vitest"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import { shared } from "../support/Clients.ts"
import { inMemory } from "../support/InMemory.ts"
import { serviceRegistry } from "./serviceRegistry.ts"

serviceRegistry("in memory", inMemory)

describe.skipIf(shared === undefined)("a real server", () => {
  serviceRegistry("real", (settings) => ZooKeeper.layer({ hosts: shared ?? "", ...settings }))
})

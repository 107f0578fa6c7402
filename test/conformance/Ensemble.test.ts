/**
 * Every suite on a real ensemble of three. The clients of recipes are spread
 * over the members: what one of them has written another one sees late. The
 * suites that look at one client's work with another one, without waiting, have
 * all of their clients at one member.
 */
import { afterAll, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import type { Connect } from "../../src/testing/Connect.ts"
import { operations } from "../../src/testing/Operations.ts"
import { watches } from "../../src/testing/Watches.ts"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import * as ZooKeeperServer from "../support/ZooKeeperServer.ts"
import { barrier } from "./barrier.ts"
import { counter } from "./counter.ts"
import { election } from "./election.ts"
import { following } from "./following.ts"
import { lease } from "./lease.ts"
import { lock } from "./lock.ts"
import { lockingQueue } from "./lockingQueue.ts"
import { members } from "./members.ts"
import { multiLock } from "./multiLock.ts"
import { persistentNode } from "./persistentNode.ts"
import { queue } from "./queue.ts"
import { readWriteLock } from "./readWriteLock.ts"
import { semaphore } from "./semaphore.ts"
import { serviceRegistry } from "./serviceRegistry.ts"
import { setPartitioner } from "./setPartitioner.ts"
import { treeCache } from "./treeCache.ts"

const views = [following, members, persistentNode, serviceRegistry, treeCache]

const recipes = [
  barrier,
  counter,
  election,
  lease,
  lock,
  lockingQueue,
  multiLock,
  queue,
  readWriteLock,
  semaphore,
  setPartitioner
]

describe.skipIf(!ZooKeeperServer.canStart)("an ensemble", () => {
  const scope = Scope.makeUnsafe()
  const ensemble = Effect.runSync(Effect.cached(Scope.provide(ZooKeeperServer.ensemble(), scope)))
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

  const connect = (choose: (ensemble: ZooKeeperServer.Ensemble) => string): Connect => ({ chroot = "", ...settings } = {}) =>
    Layer.unwrap(Effect.map(Effect.orDie(ensemble), (servers) =>
      ZooKeeper.layer({ hosts: `${choose(servers)}${chroot}`, ...settings })))

  const spread = connect(({ hosts }) => hosts)

  const together = connect(({ members: [member] }) => member?.hosts ?? "")
  operations("operations", together)
  watches("watches", together)
  for (const suite of views) suite(suite.name, together)
  for (const suite of recipes) suite(suite.name, spread)
})

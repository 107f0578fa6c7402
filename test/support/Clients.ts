/** Clients for tests: to the shared server, through a proxy or not. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { inject } from "vitest"
import type { SessionState } from "../../src/SessionState.ts"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import * as Proxy from "./Proxy.ts"

/** The shared server; tests that need it are skipped, loudly, where there is none. */
export const shared = inject("zookeeper")

export const sharedHost = shared?.split(",")[0] ?? "127.0.0.1:1"

const port = Number(sharedHost.slice(sharedHost.lastIndexOf(":") + 1))

/** A proxy in front of the shared server. */
export const proxy: Effect.Effect<Proxy.Proxy, never, Scope.Scope> = Proxy.make(port)

export const connect = (options?: Partial<ZooKeeper.Options>) =>
  ZooKeeper.make({ hosts: sharedHost, sessionTimeout: "4 seconds", ...options })

export const through = (via: Proxy.Proxy, options?: Partial<ZooKeeper.Options>) =>
  connect({ hosts: via.hosts, ...options })

/** The first state of this kind, from the current one on. */
export const untilState = <Tag extends SessionState["_tag"]>(zk: ZooKeeper.Service, tag: Tag) =>
  zk.states.pipe(Stream.filter((state) => state._tag === tag), Stream.runHead)

let roots = 0

/** A znode of a test's own, gone with the scope. */
export const root = (zk: ZooKeeper.Service) =>
  Effect.acquireRelease(
    zk.create(`/test-${process.pid}-${roots++}-`, "", { mode: "persistentSequential" }),
    (path) => Effect.ignore(Effect.flatMap(connect(), (other) => other.deleteRecursive(path)).pipe(Effect.scoped))
  )

export const text = (data: Uint8Array): string => new TextDecoder().decode(data)

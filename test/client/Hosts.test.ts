import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Ref } from "effect"
import { getServers, setServers } from "node:dns"
import { dial, lookupSrv } from "../../src/client/NodeTransport.ts"
import type { Host } from "../../src/ConnectionString.ts"
import type * as ZooKeeper from "../../src/ZooKeeper.ts"
import { ConnectionError } from "../../src/ZooKeeperError.ts"
import { connect, proxy, root, shared, sharedHost, untilState } from "../support/Clients.ts"
import * as DnsServer from "../support/DnsServer.ts"
import * as Proxy from "../support/Proxy.ts"

const reasonOf = (error: unknown) => error instanceof ConnectionError ? error.reason._tag : String(error)

const portOf = (zk: ZooKeeper.Service) => Effect.map(zk.session, ({ server }) => server.port)

const host = (port: number): Host => ({ host: "127.0.0.1", port })

describe.skipIf(shared === undefined)("Hosts that change", () => {
  it.live("updateHosts: the connection moves when its server is gone, with the session, and nothing in flight is lost", () =>
    Effect.gen(function*() {
      const first = yield* proxy
      const second = yield* proxy
      const zk = yield* connect({ hosts: first.hosts })
      const base = yield* root(zk)
      const { id } = yield* zk.session
      yield* zk.create(`${base}/held`, "", { mode: "ephemeral" })
      const writes = yield* Ref.make(0)
      const writing = yield* Effect.forkScoped(
        Effect.forever(Effect.andThen(zk.set(base, "x"), Ref.update(writes, (count) => count + 1))),
        { startImmediately: true }
      )
      yield* zk.updateHosts(second.hosts)
      yield* Effect.repeat(Effect.sleep("2 millis"), { until: () => second.requests.length > 20 })
      assert.isUndefined(writing.pollUnsafe())
      yield* Fiber.interrupt(writing)
      const { version } = (yield* zk.get(base)).stat
      // The one that was interrupted may have been applied.
      assert.isAtMost(version - (yield* Ref.get(writes)), 1)
      assert.strictEqual(yield* portOf(zk), second.port)
      assert.strictEqual((yield* zk.session).id, id)
      assert.strictEqual(first.live(), 0)
      yield* zk.updateHosts([second.hosts])
      assert.strictEqual(second.accepted(), 1)
      for (const bad of ["", "a:b", `${second.hosts}/other`]) {
        assert.strictEqual((yield* Effect.flip(zk.updateHosts(bad)))._tag, "BadArguments")
      }
    }))

  it.live("updateHosts while nobody serves us: the new servers are tried", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      const zk = yield* connect({ hosts: via.hosts })
      const { id } = yield* zk.session
      yield* via.refuse(true)
      via.cut()
      yield* untilState(zk, "Suspended")
      yield* zk.updateHosts(sharedHost)
      yield* untilState(zk, "Connected")
      assert.strictEqual((yield* zk.session).id, id)
    }))

  it.live("updateHosts while a server that is gone then is being asked: it is not stayed with", () =>
    Effect.gen(function*() {
      const first = yield* proxy
      const second = yield* proxy
      const zk = yield* connect({ hosts: first.hosts })
      const { id } = yield* zk.session
      const remove = first.onReply(({ opCode }) => opCode === Proxy.connectOpCode ? { _tag: "Hold" } : undefined)
      first.cut()
      yield* untilState(zk, "Suspended")
      yield* first.until(() => first.held() === 1)
      yield* zk.updateHosts(second.hosts)
      remove()
      first.release()
      yield* untilState(zk, "Connected")
      assert.strictEqual(yield* portOf(zk), second.port)
      assert.strictEqual((yield* zk.session).id, id)
    }))

  it.live("dns-srv: the servers are those of the records, looked up again when none serves us", () =>
    Effect.gen(function*() {
      const first = yield* proxy
      const second = yield* proxy
      let records = [host(first.port)]
      const asked: Array<string> = []
      const lookupSrv = (name: string) =>
        Effect.sync(() => {
          asked.push(name)
          return records
        })
      const zk = yield* connect({ hosts: "dns-srv://_zookeeper._tcp.example/zookeeper", lookupSrv, sessionTimeout: "20 seconds" })
      assert.strictEqual(zk.chroot, "/zookeeper")
      assert.include(yield* zk.getChildren("/"), "config")
      const { id } = yield* zk.session
      records = [host(second.port)]
      yield* first.refuse(true)
      first.cut()
      yield* untilState(zk, "Suspended")
      yield* untilState(zk, "Connected")
      assert.strictEqual(yield* portOf(zk), second.port)
      assert.strictEqual((yield* zk.session).id, id)
      assert.deepStrictEqual([...new Set(asked)], ["_zookeeper._tcp.example"])
    }))

  it.live("dns-srv: as a name server has it, records without port or target are none", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      const server = yield* DnsServer.make(() => [
        { target: "localhost.", port: via.port },
        { target: "localhost", port: 0 },
        { target: ".", port: 2181 }
      ])
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          const before = getServers()
          setServers([server.address])
          return before
        }),
        (before) => Effect.sync(() => setServers(before))
      )
      assert.deepStrictEqual(yield* lookupSrv("_zookeeper._tcp.example.com"), [{ host: "localhost", port: via.port }])
      const zk = yield* connect({ hosts: "dns-srv://_zookeeper._tcp.example.com" })
      yield* zk.exists("/")
      assert.strictEqual(yield* portOf(zk), via.port)
    }))

  it.live("dns-srv: without records the client is Unreachable, and says why", () =>
    Effect.gen(function*() {
      const none = yield* Effect.flip(Effect.scoped(
        connect({ hosts: "dns-srv://none.example", lookupSrv: () => Effect.succeed([]), connectTimeout: "300 millis" })
      ))
      assert.strictEqual(reasonOf(none), "Unreachable")
      assert.include(none.message, "no SRV records")
      for (const hosts of ["dns-srv://", "dns-srv://a:1", "dns-srv://a b", "dns-srv://a//b"]) {
        assert.strictEqual((yield* Effect.flip(Effect.scoped(connect({ hosts }))))._tag, "BadArguments")
      }
    }))

  it.live("a name with many addresses: dead ones are skipped, and the name is resolved at every attempt", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      const other = yield* proxy
      const addresses = [["127.0.0.9", "127.0.0.1", "127.0.0.8"]]
      let lookups = 0
      const zk = yield* connect({
        hosts: `zk.example:${via.port}`,
        dial: (server) =>
          dial(server, (_, done) => {
            lookups++
            done(null, (addresses[0] ?? []).map((address) => ({ address, family: 4 })))
          })
      })
      for (let round = 1; round <= 3; round++) {
        assert.strictEqual(lookups, round)
        yield* zk.exists("/")
        via.cut()
        yield* untilState(zk, "Suspended")
        yield* untilState(zk, "Connected")
      }
      assert.strictEqual(other.accepted(), 0)
    }))

  it.live("a name that cannot be resolved is an attempt that failed", () =>
    Effect.gen(function*() {
      const zk = yield* connect({ hosts: ["no-such-name.invalid:2181", sharedHost] })
      yield* zk.exists("/")
      const error = yield* Effect.flip(Effect.scoped(
        connect({ hosts: "no-such-name.invalid:2181", connectTimeout: "500 millis" })
      ))
      assert.include(error.message, "no-such-name.invalid")
    }))
})

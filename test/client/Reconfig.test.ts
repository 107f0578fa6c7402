import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Ref, Schedule, Stream } from "effect"
import { getServers, setServers } from "node:dns"
import type { Host } from "../../src/ConnectionString.ts"
import * as EnsembleConfig from "../../src/EnsembleConfig.ts"
import { dial, lookupSrv } from "../../src/client/NodeTransport.ts"
import { record } from "../../src/testing/Recording.ts"
import { line } from "../../src/testing/Watches.ts"
import { ConnectionError } from "../../src/ZooKeeperError.ts"
import type * as ZooKeeper from "../../src/ZooKeeper.ts"
import { connect, proxy, root, shared, sharedHost, untilState } from "../support/Clients.ts"
import * as DnsServer from "../support/DnsServer.ts"
import * as Proxy from "../support/Proxy.ts"
import * as ZooKeeperServer from "../support/ZooKeeperServer.ts"

const reasonOf = (error: unknown) => error instanceof ConnectionError ? error.reason._tag : String(error)

const superUser = { auth: [{ scheme: "digest", credential: ZooKeeperServer.superUser }] }

const portOf = (zk: ZooKeeper.Service) => Effect.map(zk.session, ({ server }) => server.port)

const host = (port: number): Host => ({ host: "127.0.0.1", port })

const versionsOf = (zk: ZooKeeper.Service) => record(Stream.map(zk.configChanges, ({ version }) => version))

describe.skipIf(!ZooKeeperServer.canStart)("Reconfiguration", () => {
  it.live("members leave and join; whoever follows the configuration goes along", () =>
    Effect.gen(function*() {
      const ensemble = yield* ZooKeeperServer.ensemble()
      const admin = yield* connect({ hosts: `${ensemble.hosts}/some/chroot`, connectTimeout: "30 seconds", ...superUser })
      const before = yield* admin.config
      assert.deepStrictEqual(before.members.map(({ id }) => id), [1, 2, 3])
      assert.deepStrictEqual(
        EnsembleConfig.clientHosts(before).map(({ port }) => port),
        ensemble.members.map(({ port }) => port)
      )
      const versions: Array<bigint> = []
      yield* admin.configChanges.pipe(
        Stream.runForEach(({ version }) => Effect.sync(() => versions.push(version))),
        Effect.forkScoped
      )
      // Outside of any chroot, though it lies in this one, and looks like lying in that one.
      const inside = yield* connect({ hosts: `${ensemble.hosts}/zookeeper` })
      const events = yield* record(Stream.map(inside.watch("/config"), line))
      const beside = yield* connect({ hosts: `${ensemble.hosts}/zoo` })
      const ofInside = yield* versionsOf(inside)
      const ofBeside = yield* versionsOf(beside)
      assert.deepStrictEqual([yield* ofInside.next, yield* ofBeside.next], [before.version, before.version])
      const leader = yield* ensemble.leader
      const [leaving] = (yield* ensemble.followers)
      if (leaving === undefined) return assert.fail("a follower")
      const follower = yield* connect({ hosts: leaving.hosts, followConfig: true, connectTimeout: "30 seconds" })
      const { id } = yield* follower.session

      const after = yield* admin.reconfig({ leaving: [leaving.id], version: before.version })
      assert.deepStrictEqual(after.members.map(({ id }) => id), before.members.map(({ id }) => id).filter((id) => id !== leaving.id))
      assert.isTrue(after.version > before.version)
      assert.deepStrictEqual([yield* ofInside.next, yield* ofBeside.next], [after.version, after.version])
      assert.strictEqual(yield* events.next, "NodeDataChanged /config")
      // It moves, with its session, to a server that has stayed.
      yield* Effect.repeat(portOf(follower), { until: (port) => port !== leaving.port, schedule: Schedule.spaced("20 millis") })
      assert.strictEqual((yield* follower.session).id, id)
      assert.strictEqual((yield* Effect.flip(admin.reconfig({ joining: ["server.9=127.0.0.1:1:2;3"], version: before.version })))._tag, "BadVersion")

      const back = before.members.find((member) => member.id === leaving.id)
      if (back === undefined) return assert.fail("the member")
      const again = yield* Effect.retry(admin.reconfig({ joining: [back] }), {
        while: (error) => error._tag === "NewConfigNoQuorum" || error._tag === "ReconfigInProgress",
        schedule: Schedule.spaced("200 millis"),
        times: 50
      })
      assert.strictEqual(again.members.length, 3)
      yield* Effect.repeat(Effect.sleep("10 millis"), { until: () => versions.at(-1) === again.version })
      assert.isTrue(versions.length >= 2 && versions.length <= 3)

      // Without the right to, and malformed ones.
      const stranger = yield* connect({ hosts: leader.hosts })
      assert.strictEqual((yield* Effect.flip(stranger.reconfig({ leaving: [1] })))._tag, "NoAuth")
      for (const change of [{}, { leaving: [-1] }, { joining: ["nonsense"] }, { members: [] }]) {
        assert.strictEqual((yield* Effect.flip(stranger.reconfig(change)))._tag, "BadArguments")
      }
      const all = yield* admin.reconfig({ members: before.members.map((member) => EnsembleConfig.formatMember(member)) })
      assert.strictEqual(all.members.length, 3)
    }), 180_000)

  it.live("a standalone server has a configuration without members, and cannot be reconfigured", () =>
    Effect.gen(function*() {
      const server = yield* ZooKeeperServer.standalone()
      const zk = yield* connect({ hosts: server.hosts, ...superUser })
      assert.deepStrictEqual((yield* zk.config).members, [])
      assert.strictEqual(reasonOf(yield* Effect.flip(zk.reconfig({ leaving: [1] }))), "Unimplemented")
    }), 60_000)
})

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

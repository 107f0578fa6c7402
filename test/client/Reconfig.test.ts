import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule, Stream } from "effect"
import * as EnsembleConfig from "../../src/EnsembleConfig.ts"
import { record } from "../../src/testing/Recording.ts"
import { line } from "../../src/testing/Watches.ts"
import { ConnectionError } from "../../src/ZooKeeperError.ts"
import type * as ZooKeeper from "../../src/ZooKeeper.ts"
import { connect } from "../support/Clients.ts"
import * as ZooKeeperServer from "../support/ZooKeeperServer.ts"

const reasonOf = (error: unknown) => error instanceof ConnectionError ? error.reason._tag : String(error)

const superUser = { auth: [{ scheme: "digest", credential: ZooKeeperServer.superUser }] }

const portOf = (zk: ZooKeeper.Service) => Effect.map(zk.session, ({ server }) => server.port)

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

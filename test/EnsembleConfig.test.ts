import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as EnsembleConfig from "../src/EnsembleConfig.ts"

const text = "server.1=127.0.0.1:2888:3888:participant;0.0.0.0:2181\n" +
  "server.2=[::1]:2888:3888:observer;[::1]:2182\n" +
  "server.3=zk3:2888:3888|zk3b:2889:3889;2183\n" +
  "server.4=zk4:2888:3888\n" +
  "version=100000003"

describe("EnsembleConfig", () => {
  it("is read: addresses, roles, client ports of every form, the version", () => {
    const config = Result.getOrThrow(EnsembleConfig.parse(text))
    assert.strictEqual(config.version, 0x1_0000_0003n)
    assert.deepStrictEqual(config.members.map(({ id, role }) => `${id} ${role}`), [
      "1 participant",
      "2 observer",
      "3 participant",
      "4 participant"
    ])
    assert.deepStrictEqual(EnsembleConfig.clientHosts(config), [
      { host: "127.0.0.1", port: 2181 },
      { host: "::1", port: 2182 },
      { host: "zk3", port: 2183 }
    ])
    assert.strictEqual(config.members[2]?.addresses.length, 2)
  })

  it("is written as it is read", () => {
    for (const member of Result.getOrThrow(EnsembleConfig.parse(text)).members) {
      assert.deepStrictEqual(EnsembleConfig.parseMember(EnsembleConfig.formatMember(member)), Result.succeed(member))
    }
    assert.strictEqual(
      EnsembleConfig.formatMember({
        id: 7,
        addresses: [{ host: "::1", quorumPort: 1, electionPort: 2 }],
        role: "observer",
        client: undefined
      }),
      "server.7=[::1]:1:2:observer"
    )
  })

  it("is empty on a standalone server", () => {
    assert.deepStrictEqual(EnsembleConfig.parse(""), Result.succeed({ members: [], version: -1n, text: "" }))
  })

  it("malformed members are told as such", () => {
    for (
      const line of [
        "",
        "server.1=",
        "server.x=a:1:2",
        "server.1=a:1",
        "server.1=a:1:99999",
        "server.1=a:1:2:king",
        "server.1=a:1:2;",
        "server.1=a:1:2;b:c:d",
        "server.1=a:1:2,server.2=b:1:2"
      ]
    ) assert.isTrue(Result.isFailure(EnsembleConfig.parseMember(line)), line)
    assert.isTrue(Result.isFailure(EnsembleConfig.parse("server.1=nonsense")))
  })
})
